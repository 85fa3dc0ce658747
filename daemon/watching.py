"""Wakes the monitor when watched files change: the file source of its wake-ups.

A wake-up says only "look again": the scan decides what changed. Each pattern has a thread of its own,
so that a server that hangs delays no other pattern. It waits for events (`daemon.directories`), lets a
burst of them pass, follows links and directories that were replaced, and wakes. Where events cannot be
relied upon (network file systems, watch limits), it compares scans instead.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import structlog

from daemon.directories import Directories, WatchLimit
from daemon.filesystems import is_silent, kind_of
from daemon.globbing import Glob
from daemon.scanning import Memory, scan
from daemon.way import Way
from retraind.errors import FilesUnreadable
from triggers.evidence import Manifest

_MOST_TURNS = 5  # of resolving anew while the way is being rebuilt
_RETRY_SECONDS = 600.0  # before a pattern that met a watch limit asks for events again

_log = structlog.get_logger(__name__)
K = TypeVar("K", bound=Hashable)


class Mode(StrEnum):
    """How changes of a pattern are noticed."""

    EVENTS = "events"  # the kernel tells (inotify on Linux)
    POLL = "poll"  # scans are compared


@dataclass(frozen=True)
class Health:
    """How a pattern is watched. `ok` is False where it is not as it should be; `sentence` says it to people."""

    ok: bool
    mode: Mode
    sentence: str


@dataclass(frozen=True)
class Pace:
    """Times of one watcher, in seconds."""

    prompt: float = 0.01  # from the first event to a wake-up: what is written at one go is whole by then
    quiet: float = 0.3  # without another event before a burst counts as passed, and wakes once more
    longest: float = 2.0  # a wake-up waits no longer than this, whatever still happens
    poll: float = 10.0  # between two scans where there are no events


class FileWatcher(Generic[K]):
    """Watches `patterns` and calls `wake` with a pattern's key; each is woken once when its watch stands.

    `mode` is `auto`, `inotify` (also on file systems that tell too little) or `poll`. `wake` is called
    in threads of the watcher.
    """

    def __init__(
        self, patterns: Mapping[K, str], wake: Callable[[K], None], mode: str = "auto", pace: Pace | None = None
    ) -> None:
        self._directories = Directories(self._changed)
        self._watches = [
            _PatternWatch(key, Glob.of(pattern), wake, mode, self._directories, pace or Pace())
            for key, pattern in patterns.items()
        ]
        for watch in self._watches:
            watch.start()

    def check(self, wait_seconds: float = 5.0) -> dict[K, Health]:
        """Mends watches that died, follows directories that were replaced, and tells how each pattern is watched.

        A pattern that does not answer in `wait_seconds` (in all) is told as such.
        """
        deadline = time.monotonic() + wait_seconds
        asked = [(watch, watch.ask()) for watch in self._watches]
        return {watch.key: watch.answer(number, deadline) for watch, number in asked}

    def stop(self) -> None:
        """Ends all threads; no wake-up comes afterwards."""
        for watch in self._watches:
            watch.end()
        for watch in self._watches:
            watch.join(timeout=5.0)  # one may hang in a server that does not answer
        self._directories.stop()

    def _changed(self, path: str, is_directory: bool) -> None:  # noqa: FBT001 - as `Directories` calls it
        for watch in self._watches:
            watch.offer(path, is_directory=is_directory)


class _PatternWatch(threading.Thread, Generic[K]):
    """The thread of one pattern."""

    def __init__(
        self, key: K, glob: Glob, wake: Callable[[K], None], mode: str, directories: Directories, pace: Pace
    ) -> None:
        super().__init__(name=f"watch {glob.pattern}", daemon=True)
        self.key = key
        self._glob = glob
        self._wake = wake
        self._wanted_mode = mode
        self._directories = directories
        self._pace = pace
        self._condition = threading.Condition()
        # Under the condition:
        self._ended = False
        self._asked = self._answered = 0
        self._first_event: float | None = None  # since the last wake-up
        self._last_event = 0.0
        self._begins = False  # that event began a burst, rather than went on with one
        self._way = Way("/", exists=False, turns=frozenset())
        self._health: Health | None = None  # not watched yet
        # Of this thread alone:
        self._mode = Mode.EVENTS
        self._told = ""
        self._problem: str | None = None
        self._limit: str | None = None
        self._limit_until = 0.0
        self._seen: Manifest | str | None = None
        self._memory = Memory()

    # --- called by other threads

    def offer(self, path: str, *, is_directory: bool) -> None:
        """Takes note of a change at `path`, if it may concern the pattern."""
        with self._condition:
            if self._concerns(path, is_directory=is_directory):
                now = time.monotonic()
                if self._first_event is None:
                    self._begins = now - self._last_event > self._pace.quiet
                    self._first_event = now
                    self._condition.notify_all()
                self._last_event = now

    def ask(self) -> int:
        """Asks for a check; `answer` takes the number."""
        with self._condition:
            self._asked += 1
            self._condition.notify_all()
            return self._asked

    def answer(self, number: int, deadline: float) -> Health:
        with self._condition:
            left = max(deadline - time.monotonic(), 0.0)
            answered = self._condition.wait_for(lambda: self._answered >= number, left)
            if answered and self._health is not None:
                return self._health
        told = f"{self._glob.fixed} does not answer: its disk or server hangs, or is very slow."
        return Health(ok=False, mode=self._mode, sentence=told)

    def end(self) -> None:
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def _concerns(self, path: str, *, is_directory: bool) -> bool:
        if path in self._way.turns:
            return True
        below = f"{self._way.root.rstrip('/')}/"
        if not path.startswith(below):
            return False
        return (is_directory and self._glob.is_deep) or self._glob.matches(path[len(below) :])

    # --- this thread

    def run(self) -> None:
        """Until `end`: 1. refresh the watch; 2. wake where events came, the watch is new, or a scan differs; 3. tell
        how it is watched; 4. wait for a burst of events to pass, a check, or the time to poll."""
        woken = True
        while not self._ended:
            with self._condition:
                asked = self._asked
            try:
                anew = self._refresh()
                differs = self._mode is Mode.POLL and self._poll()
                if woken or anew or differs:
                    self._wake(self.key)
            except Exception:  # noqa: BLE001 - the boundary of a tick: the pattern is watched on
                _log.exception("watch_failed", pattern=self._glob.pattern)
            self._tell(asked)
            woken = self._wait()

    def _tell(self, asked: int) -> None:
        """Answers checks up to number `asked`, and logs a health that is new."""
        found = Health(ok=self._problem is None, mode=self._mode, sentence=self._problem or self._told)
        with self._condition:
            new, self._health = found != self._health, found
            self._answered = max(self._answered, asked)
            self._condition.notify_all()
        if new:
            level = _log.info if found.ok else _log.warning
            level("watching", pattern=self._glob.pattern, mode=str(found.mode), sentence=found.sentence)

    def _wait(self) -> bool:
        """Waits for the next thing to do. True when events came."""
        with self._condition:
            poll_at = time.monotonic() + self._pace.poll if self._mode is Mode.POLL else None
            while not self._ended:
                now = time.monotonic()
                due = self._due()
                if due is not None and now >= due:
                    self._first_event = None
                    return True
                if self._asked > self._answered or (poll_at is not None and now >= poll_at):
                    return False
                until = min((instant for instant in (due, poll_at) if instant is not None), default=None)
                self._condition.wait(None if until is None else until - now)
        return False

    def _due(self) -> float | None:
        """When to wake for the events since the last wake-up. None: there are none.

        Soon after the first of a burst, so that files which are whole begin to settle at once; then when the
        burst has passed, if there was more of it.
        """
        if self._first_event is None:
            return None
        if self._begins:
            return self._first_event + self._pace.prompt
        return min(self._last_event + self._pace.quiet, self._first_event + self._pace.longest)

    def _refresh(self) -> bool:
        """Makes the watch follow what is there now. True when it had to be made anew."""
        anew = False
        for _ in range(_MOST_TURNS):
            try:
                way = Way.to(self._glob.fixed)
                anew |= self._follow(way)
                if Way.to(self._glob.fixed) == way:
                    break
            except FileNotFoundError:
                continue  # it changed meanwhile
            except OSError as error:
                self._mode = Mode.POLL
                place = error.filename or self._glob.fixed
                self._problem = f"{self._glob.pattern} cannot be watched: {error.strerror} ({place})."
                break
        return anew

    def _follow(self, way: Way) -> bool:
        """True when something had to be watched anew. Raises OSError."""
        with self._condition:
            anew = way != self._way
            self._way = way
        self._problem = None if way.exists else f"{self._glob.fixed} does not exist; it is watched from when it does."
        reason = self._reason_to_poll(way)
        if reason is None:
            try:
                anew |= self._directories.watch(self, way.places(deep=self._glob.is_deep))
            except WatchLimit as limit:
                reason = self._limit = str(limit)
                self._limit_until = time.monotonic() + _RETRY_SECONDS
            else:
                self._mode, self._told, self._limit = Mode.EVENTS, f"{way.root} is watched.", None
                return anew
        self._directories.watch(self, ())
        self._mode, self._told = Mode.POLL, f"{way.root} is looked at every {self._pace.poll:g} s, because {reason}."
        if self._limit is not None:
            self._problem = self._problem or self._told
        return anew

    def _reason_to_poll(self, way: Way) -> str | None:
        """The end of a sentence. None: events are to be had."""
        if self._wanted_mode == "poll":
            return "polling is configured"
        kind = kind_of(way.root)
        if self._wanted_mode == "auto" and is_silent(kind):
            return f"{kind} does not tell of all changes"
        return self._limit if time.monotonic() < self._limit_until else None

    def _poll(self) -> bool:
        """True when a scan, which hashes nothing, differs from the last one."""
        try:
            found: Manifest | str = scan(self._glob.pattern, 0, None, self._memory)
        except FilesUnreadable as error:
            found = self._problem = str(error)
        differs = self._seen is not None and found != self._seen
        self._seen = found
        return differs
