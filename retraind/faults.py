"""Fault points: named places at which a test kills, stops, holds or fails this very process.

Off unless RETRAIND_FAULTS names a directory when the process starts; a point is then an empty call.
In that directory:

    armed/POINT   a fault to strike at the point of that name, once: the file holds the fault's name
    struck/...    where the file goes when it strikes, so that one process of all takes it
    passed        if it exists, a line `PID POINT` for every point passed
    clock         if it exists, the seconds by which every process's wall clock is stepped
    keeper        if it exists, the id of the process that arms the faults: as a parent, it is spared

A point within `around(A)` is called `A>POINT`. Every ledger transaction has points of its own
(`retraind.ledger.ledger`), named after the function that opens it; every other outside effect stands
within `around`. A test holds both.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

VARIABLE = "RETRAIND_FAULTS"
LONGEST_HOLD_SECONDS = 120.0
ARMED = bool(os.environ.get(VARIABLE))
_scope: ContextVar[str] = ContextVar("scope", default="")
_directory = Path(os.environ.get(VARIABLE) or os.devnull)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _parent() -> int:
    """The parent's process id; this process's own where the parent is the keeper."""
    keeper = _directory / "keeper"
    parent = os.getppid()
    return os.getpid() if keeper.exists() and int(keeper.read_text()) == parent else parent


def _kill_parent() -> None:
    os.kill(_parent(), signal.SIGKILL)


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _terminate_parent() -> None:
    os.kill(_parent(), signal.SIGTERM)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fail() -> None:
    raise ConnectionResetError(errno.ECONNRESET, "a fault point broke the connection")


def _full() -> None:
    raise OSError(errno.ENOSPC, "a fault point says that no space is left on the device")


FAULTS: dict[str, Callable[[], None]] = {
    "kill": _kill,
    "kill-parent": _kill_parent,
    "terminate": _terminate,
    "terminate-parent": _terminate_parent,
    "stop": _stop,  # whoever armed it sends SIGCONT
    "fail": _fail,
    "full": _full,
}
HOLD = "hold"  # waits until its file in struck/ is removed: whoever armed it acts meanwhile


def _pass(place: str) -> None:
    name = _scope.get() + place
    if (_directory / "passed").exists():
        with (_directory / "passed").open("a") as passed:
            passed.write(f"{os.getpid()} {name}\n")
    struck = _directory / "struck" / f"{name}~{os.getpid()}~{time.monotonic_ns()}"
    try:
        (_directory / "armed" / name).rename(struck)
    except FileNotFoundError:
        return
    fault = struck.read_text().strip()
    if fault != HOLD:
        FAULTS[fault]()
        return
    deadline = time.monotonic() + LONGEST_HOLD_SECONDS
    while struck.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def _off(name: str) -> None:
    """What a point is when nothing is armed."""


point: Callable[[str], None] = _pass if ARMED else _off
_NOTHING = nullcontext()


@contextmanager
def _points_around(name: str) -> Iterator[None]:
    point(f"{name}.before")
    token = _scope.set(f"{_scope.get()}{name}>")
    try:
        yield
    finally:
        _scope.reset(token)
    point(f"{name}.after")


def around(name: str) -> AbstractContextManager[None]:
    """Two points, `NAME.before` and `NAME.after`, around an outside effect."""
    return _points_around(name) if ARMED else _NOTHING


def parts(payload: bytes, name: str) -> Iterator[bytes]:
    """`payload`, whole; where points are on, in two halves with the point `NAME.in` between, as a torn write is."""
    if not ARMED:
        yield payload
        return
    yield payload[: len(payload) // 2]
    point(f"{name}.in")
    yield payload[len(payload) // 2 :]


def caller(depth: int) -> str:
    """`module.function` of the caller's caller `depth` frames further up, as part of a point's name."""
    frame = sys._getframe(depth + 2)
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}"


class _Around:
    """An object whose every method call stands between two points."""

    def __init__(self, target: Any, name: str) -> None:
        self._target = target
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._target, attribute)
        if not callable(found):
            return found

        @wraps(found)
        def call(*arguments: Any, **options: Any) -> Any:
            with around(f"{self._name}.{attribute}"):
                return found(*arguments, **options)

        return call


def around_calls(target: Any, name: str) -> Any:
    """`target`, with points around each of its methods: `NAME.METHOD.before` and `NAME.METHOD.after`."""
    return _Around(target, name) if ARMED else target


def _step(now: datetime) -> datetime:
    try:
        return now + timedelta(seconds=float((_directory / "clock").read_text()))
    except (OSError, ValueError):  # not stepped, or being written
        return now


def _same(now: datetime) -> datetime:
    return now


stepped: Callable[[datetime], datetime] = _step if ARMED else _same
