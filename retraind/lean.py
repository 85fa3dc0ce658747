"""Imports libraries without what they take along unasked, for processes that run for weeks and hold what they import.

structlog takes rich along where it is installed, to draw tracebacks that these processes never draw: 5 MiB
in each of them. This is to be imported before whatever else imports structlog; after it does nothing.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Imports inside find these optional libraries missing; those that are imported already stay."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python notes a failed import
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def redis_client() -> Any:
    """The package `redis`, without the telemetry that it would find installed with MLflow: 3 MiB, and never on."""
    with without("opentelemetry"):
        import redis
    return redis


with without("rich", "better_exceptions"):
    import structlog  # noqa: F401  # for its effect
