"""Imports libraries without what they take along unasked, for processes that run for weeks and hold what they import.

structlog takes rich along where it is installed, to draw tracebacks that these processes never draw: 5 MiB
in each of them. This is to be imported before whatever else imports structlog; after it does nothing.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Missing:
    """A finder for which some libraries are not installed, in the thread that made it: another may need them just now.

    None in `sys.modules` says so too, but to all threads, and not to Cython.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._thread = threading.get_ident()

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if threading.get_ident() == self._thread and name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Imports inside find these optional libraries missing; those that are imported already stay."""
    finder = _Missing(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def redis_client() -> Any:
    """The package `redis`, without the telemetry that it would find installed with MLflow: 3 MiB, and never on."""
    with without("opentelemetry"):
        import redis
    return redis


with without("rich", "better_exceptions"):
    import structlog  # noqa: F401  # for its effect
