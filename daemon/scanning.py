"""One scan of watched files: which there are, and what they hold. Called for every look at a file trigger.

Small files are hashed, so that a rewrite which keeps size and time is seen. A digest is used again
only while size, modification time, change time (which no program can set) and inode stay the same, and
only if both times were some seconds old when it was taken: a file system's clock moves in steps, and a
second write within one step leaves no trace in them.

What is there but cannot be read keeps the facts of the scan before (a file uploaded with mode 0600
appears once it may be read); a file that vanishes meanwhile is not there.
"""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from daemon.globbing import ANY_DEPTH, Glob, is_literal, name_matches
from retraind.errors import FilesUnreadable
from triggers.evidence import FileFact, Manifest

_OLD_ENOUGH_NS = 2_000_000_000  # FAT keeps times in steps of 2 s, everything else in finer ones
_BLOCK_BYTES = 2**20
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_TRIES = 3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Remembered:
    identity: tuple[int, ...]
    digest: str


@dataclass
class _Past:
    """What the last scan of one pattern left."""

    digests: dict[str, _Remembered] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()


class Memory:
    """What one caller's scans found out: digests that still hold, and what was complained of already.

    Not for two threads at once.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.now_ns = now_ns
        self._by_pattern: dict[str, _Past] = {}

    def past(self, pattern: str) -> _Past:
        return self._by_pattern.get(pattern) or _Past()

    def keep(self, pattern: str, past: _Past) -> None:
        """Replaces what is known of the pattern's files: those that have gone are forgotten."""
        self._by_pattern[pattern] = past


def scan(
    pattern: str, hash_below_bytes: int, previous: Manifest | None = None, memory: Memory | None = None
) -> Manifest:
    """The regular files that match `pattern` now, links to files followed.

    `previous` is the scan before, for what cannot be read just now. Without `memory` every file
    smaller than `hash_below_bytes` is read. The directory is resolved once, so a link that is swapped
    meanwhile never mixes two of them. Raises FilesUnreadable when the directory cannot be read.
    """
    glob = Glob.of(pattern)
    for _ in range(_TRIES):
        root = os.path.realpath(glob.fixed)
        try:
            if not stat.S_ISDIR(Path(root).stat().st_mode):
                return Manifest(root, {}, missing=True)
            one = _Scan(root, glob, hash_below_bytes, previous, memory or Memory())
            return Manifest(root, one.files())
        except OSError as error:
            if error.errno not in _GONE:
                raise FilesUnreadable(
                    f"{glob.pattern} cannot be scanned: {error.strerror} ({error.filename or root}); "
                    "let the user that retraind runs as read it, or see to its disk or server"
                ) from error
    return Manifest(root, {}, missing=True)


@dataclass
class _Scan:
    """One scan under way. Paths are relative to `root`."""

    root: str
    glob: Glob
    hash_below_bytes: int
    previous: Manifest | None
    memory: Memory
    _listings: dict[str, list[os.DirEntry[str]]] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)
    _digests: dict[str, _Remembered] = field(default_factory=dict)
    _past: _Past = field(init=False)

    def __post_init__(self) -> None:
        self._past = self.memory.past(self.glob.pattern)

    def files(self) -> dict[str, FileFact]:
        """Raises OSError when the root is gone or may not be read, or a disk or server fails."""
        if not is_literal(self.glob.parts[0]):
            self._list("")
        found: dict[str, FileFact] = {}
        for path in self._matching("", self.glob.parts):
            fact = None if path in found else self._fact(path)
            if fact is not None:
                found[path] = fact
        found |= self._kept(found)
        self.memory.keep(self.glob.pattern, _Past(self._digests, frozenset(self._unreadable)))
        return {_text(path): found[path] for path in sorted(found)}

    def _matching(self, directory: str, parts: tuple[str, ...]) -> Iterator[str]:
        part, rest = parts[0], parts[1:]
        if part == ANY_DEPTH:
            yield from self._matching(directory, rest)
            for entry in self._list(directory):
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    yield from self._matching(_join(directory, entry.name), parts)
            return
        names = [part] if is_literal(part) else [e.name for e in self._list(directory) if name_matches(e.name, part)]
        for name in names:
            path = _join(directory, name)
            if not rest:
                yield path
            elif self._is_directory(path):
                yield from self._matching(path, rest)

    def _is_directory(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(Path(self.root, path).stat().st_mode)
        except OSError as error:
            if not self._excused(path, error):
                raise
            return False

    def _list(self, directory: str) -> list[os.DirEntry[str]]:
        if directory not in self._listings:
            try:
                with os.scandir(_join(self.root, directory)) as entries:
                    self._listings[directory] = list(entries)
            except OSError as error:
                if not directory or not self._excused(directory, error):
                    raise
                self._listings[directory] = []
        return self._listings[directory]

    def _fact(self, path: str) -> FileFact | None:
        """None for what is no regular file, is gone, or may not be read."""
        try:
            facts = Path(self.root, path).stat()
            if not stat.S_ISREG(facts.st_mode):
                return None
            if facts.st_size >= self.hash_below_bytes:
                return FileFact(facts.st_size, facts.st_mtime_ns, facts.st_ino)
            return self._hashed(path, facts)
        except OSError as error:
            if not self._excused(path, error):
                raise
            return None

    def _hashed(self, path: str, facts: os.stat_result) -> FileFact:
        known = self._past.digests.get(path)
        if known is not None and known.identity == _identity(facts):
            self._digests[path] = known
            return FileFact(facts.st_size, facts.st_mtime_ns, facts.st_ino, known.digest)
        began_ns = self.memory.now_ns()
        digest, before, after = _read(_join(self.root, path))
        quiet = max(after.st_mtime_ns, after.st_ctime_ns) + _OLD_ENOUGH_NS <= began_ns
        if quiet and _identity(before) == _identity(after):
            self._digests[path] = _Remembered(_identity(after), digest)
        return FileFact(after.st_size, after.st_mtime_ns, after.st_ino, digest)

    def _excused(self, path: str, error: OSError) -> bool:
        """True for what is gone, or may not be read; the latter is noted."""
        if error.errno in _FORBIDDEN:
            self._unreadable.add(path)
            if path not in self._past.unreadable:
                _log.warning("unreadable", path=_join(self.root, _text(path)), error=error.strerror)
            return True
        return error.errno in _GONE

    def _kept(self, found: Mapping[str, FileFact]) -> dict[str, FileFact]:
        """The earlier facts of what may not be read now."""
        kept: dict[str, FileFact] = {}
        for path in self._unreadable:
            kept |= {name: fact for name, fact in self._below(path) if name not in found}
        return kept

    def _below(self, path: str) -> Iterator[tuple[str, FileFact]]:
        if self.previous is None or self.previous.root != self.root:
            return
        for name, fact in self.previous.files.items():
            if name == _text(path) or name.startswith(f"{_text(path)}/"):
                yield name, fact


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _read(path: str) -> tuple[str, os.stat_result, os.stat_result]:
    """The SHA-256 of a file, in hex, and its facts before and after it was read."""
    # Without O_NONBLOCK a pipe that took the file's place would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        digest = hashlib.sha256()
        while block := os.read(descriptor, _BLOCK_BYTES):
            digest.update(block)
        return digest.hexdigest(), before, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name


def _text(path: str) -> str:
    """A path that any database and JSON can hold: bytes that are no UTF-8 are written as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
