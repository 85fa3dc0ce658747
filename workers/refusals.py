"""Counts the messages that this worker refused: forged ones, by form or because no such job exists.

Shared by the worker's parent, which sees every message, and its children, which ask the ledger. A flood
is told in one log line a minute, and its size stands in the ledger with the worker's own heartbeat.
"""

import time
from multiprocessing import get_context

import structlog

_log = structlog.get_logger(__name__)
TELL_SECONDS = 60.0
# Made before the pool forks, so that parent and children count together.
_total = get_context("fork").Value("Q", 0)
_last: list[str] = [""]
_told: list[float] = [0.0, float("-inf")]  # how many, and when


def refuse(reason: str) -> None:
    """Counts one message, refused because of `reason`."""
    with _total.get_lock():
        _total.value += 1
    _last[0] = reason
    _log.debug("message_refused", reason=reason)


def total() -> int:
    """How many messages this worker has refused since it started."""
    return int(_total.value)


def tell() -> None:
    """Logs how many were refused since the last time, at most once a minute. Called with every heartbeat."""
    now, count = time.monotonic(), total()
    if count > _told[0] and now - _told[1] >= TELL_SECONDS:
        _log.warning("messages_refused", refused=count - int(_told[0]), total=count, last_reason=_last[0] or None)
        _told[:] = [count, now]
