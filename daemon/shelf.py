"""The files that profiles are kept in: written whole or not at all, read with suspicion, removed once of no use.

Called by `daemon.profiles`. A directory of one model holds

    NAME.origin            which reference answers a request, and of which content of its rows it was built
    HASH.reference         a reference, by the hash of its bytes
    NAME.buckets/listing   which buckets there are, over which reference, and how far the store was read
    NAME.buckets/START     a bucket, by its start in microseconds since 1970

Nothing is flushed to the disk: what a crash tears does not have the length and checksum that its listing says, and is
made again from the store. Where nothing can be written, profiles are held in memory meanwhile.
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from retraind import faults

_log = structlog.get_logger(__name__)
_FORMAT = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SWEEP_EVERY = timedelta(hours=1)


class Damaged(Exception):
    """A bucket that is not what its listing says."""

    def __init__(self, start: datetime, reason: str) -> None:
        super().__init__(f"the bucket of {start.isoformat()}: {reason}")
        self.start = start


@dataclass(frozen=True)
class Held:
    """A bucket as the listing has it: its rows, and the checksum of its file."""

    rows: int
    checksum: int


@dataclass
class Listing:
    """Buckets over one reference. `key` and `until`: they hold all rows up to that key of before that instant."""

    reference: str
    key: int | None = None
    until: datetime | None = None
    buckets: dict[datetime, Held] = field(default_factory=dict)


class Shelf:
    """One model's directory. For one thread at a time; another process may write to it too, and each finds out."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unwritten: dict[Path, bytes] = {}
        self._used: set[str] = set()  # references asked for by this process
        self._next_sweep: datetime | None = None

    def reference(self, name: str, stamp: str) -> bytes | None:
        """The reference that answers the request of that name, built of rows with that stamp. None: build it."""
        origin = self._json(self._directory / f"{name}.origin")
        if origin is None or origin.get("stamp") != stamp:
            return None
        content = str(origin.get("content"))
        data = self._read(self._directory / f"{content}.reference")
        if data is None or hashlib.sha256(data).hexdigest() != content:
            _log.warning("profile_rebuilt", reason=f"{self._directory / content}.reference is missing or damaged")
            return None
        self._used.add(content)
        return data

    def keep_reference(self, name: str, stamp: str, data: bytes) -> None:
        """In place of the one that answered the request of that name before."""
        content = hashlib.sha256(data).hexdigest()
        origin = self._directory / f"{name}.origin"
        before = (self._json(origin) or {}).get("content")
        self._used.add(content)
        self._write(self._directory / f"{content}.reference", data)
        self._write(origin, _to_json({"stamp": stamp, "content": content}))
        others = (self._json(path) for path in self._directory.glob("*.origin"))
        if before not in {None, *((each or {}).get("content") for each in others)}:
            self._used.discard(before)
            self._remove(self._directory / f"{before}.reference")

    def listing(self, name: str) -> Listing | None:
        """None: there is none, or none that can be read."""
        found = self._json(self._directory / f"{name}.buckets" / "listing")
        if found is None:
            return None
        try:
            buckets = {_instant(start): Held(rows, checksum) for start, rows, checksum in found["buckets"]}
            return Listing(found["reference"], found["key"], _instant(found["until"]), buckets)
        except (KeyError, TypeError, ValueError, OverflowError):
            _log.warning("profile_rebuilt", reason=f"the listing of {name}.buckets in {self._directory} is damaged")
            return None

    def keep_listing(self, name: str, origin: str, listing: Listing, window: timedelta) -> None:
        """Also removes the files of buckets that are not in it. `origin` names the request of its reference."""
        folder = self._directory / f"{name}.buckets"
        assert listing.until is not None  # noqa: S101 - it was brought up to an instant
        value = {
            "origin": origin,
            "reference": listing.reference,
            "key": listing.key,
            "until": _ticks(listing.until),
            "window": window // _MICROSECOND,
            "buckets": [[_ticks(start), held.rows, held.checksum] for start, held in sorted(listing.buckets.items())],
        }
        self._write(folder / "listing", _to_json(value))
        named = {"listing", *(str(_ticks(start)) for start in listing.buckets)}
        there = [path for path in _entries(folder) if path.name not in named]
        there += [path for path in self._unwritten if path.parent == folder and path.name not in named]
        for path in there:
            self._remove(path)

    def bucket(self, name: str, start: datetime, held: Held) -> bytes:
        """Raises Damaged."""
        data = self._read(self._directory / f"{name}.buckets" / str(_ticks(start)))
        if data is None or zlib.crc32(data) != held.checksum:
            raise Damaged(start, "its file is missing or damaged")
        return data

    def keep_bucket(self, name: str, start: datetime, rows: int, data: bytes) -> Held:
        self._write(self._directory / f"{name}.buckets" / str(_ticks(start)), data)
        return Held(rows, zlib.crc32(data))

    def sweep(self, now: datetime) -> None:
        """Now and then: removes buckets whose window is past, and references that no buckets are over and this process
        has not asked for."""
        if self._next_sweep is not None and now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_EVERY
        origins = set()
        for folder in self._directory.glob("*.buckets"):
            found = self._json(folder / "listing")
            if found is None or _instant(found["until"] + found["window"]) <= now:
                self._remove(folder)
            else:
                origins.add(found["origin"])
        kept = set(self._used)
        for path in self._directory.glob("*.origin"):
            content = str((self._json(path) or {}).get("content"))
            if path.stem in origins or content in self._used:
                kept.add(content)
            else:
                self._remove(path)
        for path in self._directory.glob("*.reference"):
            if path.stem not in kept:
                self._remove(path)

    def _json(self, path: Path) -> dict[str, Any] | None:
        data = self._read(path)
        if data is None:
            return None
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            _log.warning("profile_rebuilt", reason=f"{path} is damaged, or another version's")
            return None
        return found

    def _read(self, path: Path) -> bytes | None:
        if path in self._unwritten:
            return self._unwritten[path]
        try:
            return path.read_bytes()
        except OSError:
            return None

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f"{path.name}.new")
            beside.write_bytes(data)
            with faults.around("profiles.replace"):
                beside.replace(path)
            self._unwritten.pop(path, None)
        except OSError as error:
            if not self._unwritten:
                _log.warning("profiles_unwritten", path=str(path), error=str(error))
            self._unwritten[path] = data

    def _remove(self, path: Path) -> None:
        self._unwritten.pop(path, None)
        _take_away(path)


def keep_only(directory: Path, models: Collection[str]) -> None:
    """Removes what `directory` holds of other models: of one that is configured again it is made again."""
    for path in _entries(directory):
        if path.name not in models:
            _take_away(path)


def _take_away(path: Path) -> None:
    with faults.around("profiles.remove"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _log.info("profile_unremoved", path=str(path), error=str(error))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _to_json(value: dict[str, Any]) -> bytes:
    return json.dumps({"format": _FORMAT, **value}, sort_keys=True).encode()


def _ticks(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(ticks: int) -> datetime:
    return _EPOCH + ticks * _MICROSECOND
