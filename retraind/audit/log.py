"""Projects the ledger's events to the JSONL file: in order, whole lines only, fsynced.

Whichever process commits events calls `project` afterwards; a file lock lets one write at a time. The
file can be torn by a crash or a full disk, rotated by us or by logrotate, or deleted: what is missing
is always known from the ledger, and a torn line is completed rather than cut, so that no reader ever
saw a line that later disappears.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, select

from retraind import faults
from retraind.audit.segments import closed_name, first_seq, last_rotated_seq, last_whole_line
from retraind.errors import AuditUnwritable
from retraind.ledger import Ledger, tables
from retraind.ledger.chain import canonical, record_of
from retraind.privacy import PRIVATE_FILE

_BATCH = 1000
_EVENTS_AFTER = (  # made once: see `retraind.ledger.rows`
    select(tables.events).where(tables.events.c.seq > bindparam("after")).order_by(tables.events.c.seq).limit(_BATCH)
)
_MOST_NOTED = 512  # bytes of a note, and more
_MOST_CUTS = 3  # in one projection; what is missing then is caught up at the next
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC  # appended, so that a file cut meanwhile gets no hole


def line_of(event: Mapping[str, Any]) -> bytes:
    """The audit line, newline included, of an `events` row."""
    return (canonical({**record_of(event), "hash": event["hash"]}) + "\n").encode()


@dataclass(frozen=True)
class _Position:
    """Up to which event the file is written, how long it then was, and the first event that is its own."""

    seq: int
    inode: int
    size: int
    first: int = 1

    @classmethod
    def of(cls, note: bytes) -> "_Position | None":
        """The position noted last; None where the note is missing or torn: then the file itself tells."""
        try:
            return cls(**json.loads(note))
        except (ValueError, TypeError):
            return None

    def note(self) -> bytes:
        # By hand, in a quarter of the time: it is written with each event.
        numbers = self.seq, self.inode, self.size, self.first
        return b'{"seq": %d, "inode": %d, "size": %d, "first": %d}' % numbers

    def after(self, seq: int, length: int) -> "_Position":
        """The position once `length` bytes more are written, up to the event `seq`."""
        return _Position(seq, self.inode, self.size + length, self.first)


class AuditLog:
    """The log at `path`; a segment that grew beyond `rotate_bytes` is closed and a new one begun."""

    def __init__(self, path: Path, ledger: Ledger, rotate_bytes: int) -> None:
        self.path = path
        self.ledger = ledger
        self.rotate_bytes = rotate_bytes
        self._hint = path.with_name(f".{path.name}.position")

    def project(self) -> list[str]:
        """Brings the file up to the ledger. Returns what had to be repaired on the way, as sentences.

        Raises AuditUnwritable when the file cannot be written; nothing is lost by that.
        """
        try:
            with self._locked() as lock:
                repaired: list[str] = []
                for _ in range(_MOST_CUTS):
                    if self._project(lock, repaired):
                        break
                return repaired
        except OSError as error:
            raise AuditUnwritable(
                f"the audit log {self.path} cannot be written: {error.strerror or error}; "
                "make room or mend its permissions: what is missing will be caught up"
            ) from error

    def lag(self) -> int:
        """How many of the ledger's events are not in the file yet."""
        with self.ledger.read() as connection:
            head: int = connection.execute(select(tables.chain.c.seq)).scalar_one()
        return max(0, head - self.written())

    def written(self) -> int:
        """The seq of the newest event known to be in the log; 0 before the first."""
        try:
            hinted = _Position.of(self._hint.read_bytes())
        except OSError:
            hinted = None
        return hinted.seq if hinted else last_rotated_seq(self.path)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            lock = os.open(self._hint, _LOCK_FLAGS, PRIVATE_FILE)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._hint, _LOCK_FLAGS, PRIVATE_FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _project(self, lock: int, repaired: list[str]) -> bool:
        """False when the file was cut meanwhile (copytruncate): what is missing then must be written again."""
        file, position = self._open(_Position.of(os.pread(lock, _MOST_NOTED, 0)), repaired)
        try:
            while True:
                batch = self._events_after(position.seq)
                payload = b"".join(line_of(event) for event in batch)
                written = self._already_there(file, position.size, payload, repaired)
                if not batch:
                    break
                _tell_pruned(position.seq, batch[0]["seq"], repaired)
                _write_all(file, payload[written:])
                os.fsync(file)
                position = position.after(batch[-1]["seq"], len(payload))
                if position.size >= self.rotate_bytes:
                    self._close_segment(position.seq)
                    closed = file
                    file, position = self._create(position.seq)
                    os.close(closed)
                if len(batch) < _BATCH:
                    break  # whoever commits more meanwhile projects after us
            self._note(lock, position)
            return os.fstat(file).st_size >= position.size
        finally:
            os.close(file)

    def _open(self, hinted: _Position | None, repaired: list[str]) -> tuple[int, _Position]:
        """The current file and the position from which to go on; None: nobody knows where the last left off."""
        try:
            file = os.open(self.path, _FLAGS)
        except FileNotFoundError:
            return self._create(self._resume(hinted, repaired, cut=False))
        status = os.fstat(file)
        same = hinted is not None and hinted.inode == status.st_ino
        if hinted is not None and same and hinted.size <= status.st_size:
            return file, hinted
        seq, offset = last_whole_line(file)
        if seq == 0:  # rotated by rename and create, or cut to nothing
            seq = self._resume(hinted, repaired, cut=same)
            return file, _Position(seq, status.st_ino, offset, seq + 1)
        first = first_seq(self.path) or seq
        if hinted is not None:
            self._fill(hinted, first, repaired)
        return file, _Position(seq, status.st_ino, offset, first)

    def _resume(self, hinted: _Position | None, repaired: list[str], *, cut: bool) -> int:
        """The event after which an empty file goes on.

        Where the lines it had stand in a rotated file, after the last of those: what was written while
        somebody copied and cut the file, or a crash left unnoted, is so neither lost nor doubled.
        """
        elsewhere = last_rotated_seq(self.path)
        if hinted is None or elsewhere >= hinted.first:
            if hinted is not None and elsewhere < hinted.seq:
                repaired.append(_again(elsewhere + 1, hinted.seq))
            return elsewhere
        if cut:
            repaired.append(f"the log was shorter than its {hinted.size} bytes; lines up to {hinted.seq} are gone")
        return hinted.seq

    def _fill(self, hinted: _Position, first: int, repaired: list[str]) -> None:
        """Makes a segment of the events between the rotated files and `first`, where the current one begins."""
        elsewhere = last_rotated_seq(self.path)
        if not hinted.first <= elsewhere < first - 1:
            return
        temporary = self._hint.with_suffix(".filling")
        with faults.around("audit.fill"), temporary.open("wb") as file:
            after = elsewhere
            while batch := [event for event in self._events_after(after) if event["seq"] < first]:
                file.writelines(line_of(event) for event in batch)
                after = batch[-1]["seq"]
            file.flush()
            os.fsync(file.fileno())
        with faults.around("audit.filled"):
            temporary.rename(closed_name(self.path, first - 1))
        _sync_directory(self.path.parent)
        repaired.append(_again(elsewhere + 1, first - 1))

    def _already_there(self, file: int, offset: int, payload: bytes, repaired: list[str]) -> int:
        """How many of `payload`'s bytes a crash left behind `offset`; what does not belong there is cut."""
        excess = os.fstat(file).st_size - offset
        if excess <= 0:
            return 0
        found = os.pread(file, min(excess, len(payload)), offset)
        if found and payload.startswith(found):
            return len(found)
        keep = 0
        for line, wanted in zip(found.splitlines(keepends=True), payload.splitlines(keepends=True), strict=False):
            if line != wanted:
                break
            keep += len(line)
        with faults.around("audit.cut"):
            os.ftruncate(file, offset + keep)
        repaired.append(f"{excess - keep} bytes that are no event were cut from the log's end")
        return keep

    def _create(self, seq: int) -> tuple[int, _Position]:
        file = os.open(self.path, _FLAGS | os.O_CREAT, PRIVATE_FILE)
        _sync_directory(self.path.parent)
        return file, _Position(seq, os.fstat(file).st_ino, 0, seq + 1)

    def _close_segment(self, seq: int) -> None:
        with faults.around("audit.rotate"):
            self.path.rename(closed_name(self.path, seq))
        _sync_directory(self.path.parent)

    def _events_after(self, seq: int) -> Sequence[Mapping[str, Any]]:
        committed = self.ledger.newest
        if committed and committed[0]["seq"] == seq + 1:  # most often: nobody else wrote meanwhile
            return committed
        with self.ledger.read() as connection:
            return [dict(row._mapping) for row in connection.execute(_EVENTS_AFTER, {"after": seq})]

    def _note(self, lock: int, position: _Position) -> None:
        note = position.note()
        with faults.around("audit.note"):
            os.pwrite(lock, note, 0)
            if os.fstat(lock).st_size > len(note):  # to cut to the same length costs as much as to write
                os.ftruncate(lock, len(note))


def _again(first: int, last: int) -> str:
    return f"events {first} to {last} were lost when somebody rotated the log, and were written again"


def _tell_pruned(after: int, first: int, repaired: list[str]) -> None:
    if after and first > after + 1:
        repaired.append(f"events {after + 1} to {first - 1} had left the ledger before they were written here")


def _write_all(file: int, payload: bytes) -> None:
    with faults.around("audit.append"):
        for part in faults.parts(payload, "audit.append"):
            rest = part
            while rest:
                rest = rest[os.write(file, rest) :]


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
