"""Tells of changes in a set of directories, as long as the kernel does. The one user of watchdog.

What it tells are only wake-ups. An observer that looks alive may watch nothing (its directory was
deleted and made again, a watch limit was reached half-way down a tree), so every `watch` and `mend`
checks each directory anew.
"""

import errno
import os
import threading
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

# The kernel is asked for nothing else: neither for the reading of files, which the scans do themselves,
# nor for every write to one. All watches ask for the same, because watches on one directory share a mask.
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
]
_LIMITS = {
    errno.ENOSPC: "the limit of inotify watches is reached; raise the sysctl fs.inotify.max_user_watches",
    errno.EMFILE: "the limit of inotify instances or of open files is reached; raise the sysctl "
    "fs.inotify.max_user_instances, or the open-files limit of the daemon",
}


class WatchLimit(Exception):
    """The kernel gives no more watches. The message says what to raise."""


@dataclass(frozen=True)
class Place:
    """A directory (absolute, links resolved) to be told about; with `deep` all directories below it too."""

    path: str
    deep: bool


class Directories:
    """Watches the places of any number of keys. `changed` is called with a path and whether it is a directory, in a
    thread of its own; it must not raise, wait, or call back."""

    def __init__(self, changed: Callable[[str, bool], None]) -> None:
        self._handler = _Handler(changed)
        self._lock = threading.Lock()
        self._wanted: dict[Hashable, frozenset[Place]] = {}
        self._watches: dict[Place, tuple[ObservedWatch, tuple[int, int]]] = {}
        self._observer: BaseObserver | None = None

    def watch(self, key: Hashable, places: Collection[Place]) -> bool:
        """Makes `places` those of `key`, in place of earlier ones. True when one had to be watched anew.

        Raises WatchLimit; FileNotFoundError for a place that is gone; OSError for one that may not be
        read. The key has no places then.
        """
        with self._lock:
            self._wanted[key] = frozenset(places)
            try:
                self._drop_unwanted()
                anew = [self._ensure(place) for place in self._wanted[key]]
            except OSError as error:
                self._wanted[key] = frozenset()
                self._drop_unwanted()
                if error.errno in _LIMITS:
                    raise WatchLimit(_LIMITS[error.errno]) from error
                raise
            return any(anew)

    def stop(self) -> None:
        """Ends all threads. Twice does nothing more."""
        with self._lock:
            self._wanted.clear()
            self._watches.clear()
            if self._observer is not None:
                _end(self._observer)
                self._observer = None

    def _drop_unwanted(self) -> None:
        wanted = frozenset[Place]().union(*self._wanted.values())
        for place in self._watches.keys() - wanted:
            self._drop(place)

    def _drop(self, place: Place) -> None:
        watch, _ = self._watches.pop(place)
        if self._observer is not None:
            self._observer.unschedule(watch)

    def _ensure(self, place: Place) -> bool:
        """True when the place had to be watched anew."""
        observer = self._running()
        identity = _identity(place.path)
        known = self._watches.get(place)
        if known is not None:
            alive = any(emitter.watch == known[0] and emitter.is_alive() for emitter in observer.emitters)
            if alive and known[1] == identity:
                return False
            self._drop(place)
        if not os.access(place.path, os.R_OK):  # watchdog would watch nothing, and say nothing
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place.path)
        watch = observer.schedule(self._handler, place.path, recursive=place.deep, event_filter=_EVENTS)
        self._watches[place] = (watch, identity)
        if place.deep:
            _expect_room(place.path)  # below the top watchdog passes over what it could not watch
        return True

    def _running(self) -> BaseObserver:
        if self._observer is not None and not self._observer.is_alive():
            _end(self._observer)
            self._observer = None
            self._watches.clear()
        if self._observer is None:
            observer = Observer()
            observer.start()
            self._observer = observer
        return self._observer


class _Handler(FileSystemEventHandler):
    def __init__(self, changed: Callable[[str, bool], None]) -> None:
        self._changed = changed

    def dispatch(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            if path:
                self._changed(os.fsdecode(path), event.is_directory)


def _identity(path: str) -> tuple[int, int]:
    facts = Path(path).lstat()
    return facts.st_dev, facts.st_ino


def _expect_room(path: str) -> None:
    """Raises OSError when not one more watch is to be had."""
    with _observer() as trial:
        trial.schedule(FileSystemEventHandler(), path, event_filter=_EVENTS)


@contextmanager
def _observer() -> Iterator[BaseObserver]:
    observer = Observer()
    try:
        observer.start()
        yield observer
    finally:
        _end(observer)


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()
