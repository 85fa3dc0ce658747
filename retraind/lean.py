"""Lets processes that run for weeks hold little: libraries without what they take along unasked, and one heap.

structlog takes rich along where it is installed, to draw tracebacks that these processes never draw: 5 MiB
in each of them, and asyncio with the system's TLS, to log from coroutines that they have none of: 3 MiB. This is to
be imported before whatever else imports structlog; after it does nothing.
"""

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_M_ARENA_MAX = -8  # malloc.h


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


class _Later(ModuleType):
    """A module that is imported when something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


@contextmanager
def later(name: str) -> Iterator[None]:
    """What is imported inside gets the module `name` once it uses it. Nothing else changes, and nothing where it is
    imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _Later(name)
    try:
        yield
    finally:
        if isinstance(sys.modules[name], _Later):
            del sys.modules[name]


def part_of(package: str, module: str) -> Any:
    """A module of a package, imported without running the package itself. Raises ModuleNotFoundError."""
    spec = find_spec(package)
    if package in sys.modules or spec is None:
        return import_module(f"{package}.{module}")
    sys.modules[package] = module_from_spec(spec)
    try:
        return import_module(f"{package}.{module}")
    finally:
        del sys.modules[package]


def share_one_heap() -> None:
    """Lets threads that mostly wait share the C library's main heap, instead of one each that is never given back: 2
    MiB less in a daemon of a dozen. For later threads, and glibc alone: see mallopt(3)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def redis_client() -> Any:
    """The package `redis`, without the telemetry that it would find installed with MLflow: 3 MiB, and never on."""
    with without("opentelemetry"):
        import redis
    return redis


with without("rich", "better_exceptions"), later("asyncio"):
    import structlog  # noqa: F401  # for its effect
