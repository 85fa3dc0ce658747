"""Projects the ledger's events to the JSONL file: in order, whole lines only, fsynced.

Whichever process commits events calls `project` afterwards; a file lock lets one write at a time. The
file can be torn by a crash or a full disk, rotated by us or by logrotate, or deleted: what is missing
is always known from the ledger, and a torn line is completed rather than cut, so that no reader ever
saw a line that later disappears.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from retraind import faults
from retraind.audit.segments import closed_name, last_whole_line, segments
from retraind.errors import AuditUnwritable
from retraind.ledger import Ledger, tables
from retraind.ledger.chain import canonical, record_of
from retraind.privacy import PRIVATE_FILE

_BATCH = 1000


def line_of(event: dict[str, Any]) -> bytes:
    """The audit line, newline included, of an `events` row."""
    return (canonical({**record_of(event), "hash": event["hash"]}) + "\n").encode()


@dataclass(frozen=True)
class _Position:
    """Up to which event the file is written, and how long it then was."""

    seq: int
    inode: int
    size: int


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
                return self._project(lock)
        except OSError as error:
            raise AuditUnwritable(
                f"the audit log {self.path} cannot be written: {error.strerror or error}; "
                "make room or mend its permissions: what is missing will be caught up"
            ) from error

    def lag(self) -> int:
        """How many of the ledger's events are not in the file yet."""
        with self.ledger.read() as connection:
            head: int = connection.execute(select(tables.chain.c.seq)).scalar_one()
        position = self._hinted() or _Position(*self._found(), 0)
        return max(0, head - position.seq)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._hint, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _project(self, lock: int) -> list[str]:
        repaired: list[str] = []
        file, position = self._open(repaired)
        try:
            while True:
                batch = self._events_after(position.seq)
                payload = b"".join(line_of(event) for event in batch)
                written = self._already_there(file, position.size, payload, repaired)
                if not batch:
                    break
                _write_all(file, payload[written:])
                os.fsync(file)
                position = _Position(batch[-1]["seq"], position.inode, position.size + len(payload))
                if position.size >= self.rotate_bytes:
                    os.close(file)
                    self._close_segment(position.seq)
                    file, position = self._create(position.seq)
            self._note(lock, position)
        finally:
            os.close(file)
        return repaired

    def _open(self, repaired: list[str]) -> tuple[int, _Position]:
        """The current file and the position from which to go on."""
        hinted = self._hinted()
        if not self.path.exists():
            known = hinted.seq if hinted else max((last_whole_line(s)[0] for s in self._plain_segments()), default=0)
            return self._create(known)
        file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        status = os.fstat(file)
        if hinted and hinted.inode == status.st_ino and hinted.size <= status.st_size:
            return file, hinted
        seq, offset = last_whole_line(self.path)
        if seq == 0 and hinted:  # an empty file: rotated by rename and create, or truncated
            if hinted.inode == status.st_ino:
                repaired.append(f"the log was shorter than its {hinted.size} bytes; lines up to {hinted.seq} are gone")
            return file, _Position(hinted.seq, status.st_ino, offset)
        return file, _Position(seq, status.st_ino, offset)

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
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        _sync_directory(self.path.parent)
        return file, _Position(seq, os.fstat(file).st_ino, 0)

    def _close_segment(self, seq: int) -> None:
        with faults.around("audit.rotate"):
            self.path.rename(closed_name(self.path, seq))
        _sync_directory(self.path.parent)

    def _events_after(self, seq: int) -> list[dict[str, Any]]:
        query = select(tables.events).where(tables.events.c.seq > seq).order_by(tables.events.c.seq).limit(_BATCH)
        with self.ledger.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def _hinted(self) -> _Position | None:
        """The position noted last; None where the note is missing or torn: then the file itself tells."""
        try:
            return _Position(**json.loads(self._hint.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def _note(self, lock: int, position: _Position) -> None:
        note = json.dumps(vars(position)).encode()
        with faults.around("audit.note"):
            os.pwrite(lock, note, 0)
            os.ftruncate(lock, len(note))

    def _found(self) -> tuple[int, int]:
        known = [last_whole_line(segment)[0] for segment in self._plain_segments()]
        return max(known, default=0), 0

    def _plain_segments(self) -> list[Path]:
        return [segment for segment in segments(self.path) if segment.suffix != ".gz"]


def _write_all(file: int, payload: bytes) -> None:
    os.lseek(file, 0, os.SEEK_END)
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
