"""The absence of something this process needs, as a state: told once when it begins and once when it ends.

Every process has one for its ledger and one for its broker. Whoever uses either says how it went;
whoever wants to try again asks how long to wait first.
"""

import random
import threading
from datetime import datetime

import structlog

from retraind.clock import Clock

_log = structlog.get_logger(__name__)


class Backoff:
    """Ever longer waits, in seconds: each is `first` doubled as often as there were failures, at most `longest`,
    less a random part of up to half, so that many processes do not come back at one instant."""

    def __init__(self, first: float = 0.5, longest: float = 15.0) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def next(self) -> float:
        """The wait after one more failure."""
        full = min(self._first * 2.0**self._failures, self._longest)
        self._failures = min(self._failures + 1, 60)
        return full * (1.0 - random.random() / 2.0)  # noqa: S311  # jitter, no secret

    def reset(self) -> None:
        self._failures = 0


class Outage:
    """Whether the thing of this name (`broker`, `ledger`) is absent. For any number of threads."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._since: datetime | None = None
        self._began = 0.0

    @property
    def since(self) -> datetime | None:
        """When the absence began. None: it is not absent, or was not asked yet."""
        return self._since

    def enter(self, error: object) -> bool:
        """It did not answer. True when that is new."""
        with self._lock:
            if self._since is not None:
                return False
            self._since, self._began = self._clock.now(), self._clock.monotonic()
        _log.warning(f"{self._name}_absent", error=str(error))
        return True

    def leave(self) -> bool:
        """It answered. True when it had been absent until now."""
        if self._since is None:
            return False
        with self._lock:
            if self._since is None:
                return False
            self._since = None
        _log.warning(f"{self._name}_back", seconds=round(self._clock.monotonic() - self._began, 1))
        return True
