"""Reads a SQLite file without ever being able to write it."""

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy.dialects import sqlite

from retraind.errors import StoreBusy, StoreError
from retraind.store.answers import answer
from retraind.store.binding import Value
from retraind.store.session import DRIVER_ERRORS, ConnectionLost, Session

# isort: split

import adbc_driver_sqlite.dbapi  # after the session, which imports the driver manager alone

T = TypeVar("T")

_LOCK_SECONDS = 5.0
_JOURNAL_SECONDS = 0.1
_HOT_JOURNAL = "attempt to write a readonly database"  # what SQLite says of a journal that it would have to roll back
_OTHER_TYPE = "Type mismatch"  # what the driver says of a value that the column's type cannot hold
_BATCH = "adbc.sqlite.query.batch_rows"
_BATCH_ROWS = (1 << 20, 1 << 24, 1 << 30)
_WAL_HEADER = (2, 2)  # bytes 18 and 19 of the file: https://sqlite.org/fileformat.html, 1.3.3


class SqliteSession(Session):
    """The file is opened with `mode=ro`; `query_only` keeps a user's query from writing what it attaches.

    `immutable` is never set: it would read stale rows beside a writer. A WAL database that nobody
    has open needs its -shm file made by whoever reads it first; that is the one file that SQLite
    may write here.
    """

    dialect = sqlite.dialect(paramstyle="qmark")

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.path = _path(url)
        self._identity: tuple[int, ...] = ()
        super().__init__(str(self.path), timeout_seconds)

    def _connect(self) -> Any:
        file = self._file()
        try:
            connection = adbc_driver_sqlite.dbapi.connect(f"{self.path.as_uri()}?mode=ro", autocommit=True)
        except DRIVER_ERRORS as error:
            raise self._unopened("the file cannot be opened") from error
        try:
            wait = math.ceil(1000 * min(_LOCK_SECONDS, self.timeout_seconds))
            for statement in (f"PRAGMA busy_timeout={wait:d}", "PRAGMA query_only=ON", "SELECT 1 FROM sqlite_master"):
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    answer(cursor)
            self._identity = (*file, self._shared_memory())
            self._check()
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self) -> None:
        """A file put in this one's place is another database, though the old one can still be read. The same goes
        for a WAL whose files somebody deleted: whoever holds the old ones sees no later commit."""
        if (*self._file(), self._shared_memory()) != self._identity:
            raise ConnectionLost

    def _lost(self, error: Exception) -> bool:
        """Where a living writer ended its journal between SQLite's two looks at it, another connection reads well."""
        return _HOT_JOURNAL in _message(error) and self._journal() != "left"

    def _journal(self) -> Literal["none", "written", "left"]:
        """A living writer's journal changes, or goes, within the wait."""
        journal = self.path.with_name(f"{self.path.name}-journal")
        seen: list[tuple[int, int, int]] = []
        for wait in (_JOURNAL_SECONDS, 0.0):
            try:
                found = journal.stat()
            except OSError:
                return "written" if seen else "none"
            seen.append((found.st_ino, found.st_size, found.st_mtime_ns))
            time.sleep(wait)
        return "left" if seen[0] == seen[1] else "written"

    def _unwritable(self) -> StoreError:
        """What it means that SQLite was to write: to roll a journal back, or because a query says so."""
        journal = self._journal()
        if journal == "written":
            return StoreBusy(f"{self.path} is being written to; the next look tries again")
        if journal == "none":
            return StoreError(f"{self.path} is only ever read, and the query would write to it; write a SELECT")
        return StoreError(
            f"{self.path} was left in the middle of a transaction by a writer that died; "
            "open it once with the application, which repairs it"
        )

    def _shared_memory(self) -> int:
        """The number of the -shm file that all who have a WAL database open share; 0: there is none."""
        try:
            return self.path.with_name(f"{self.path.name}-shm").stat().st_ino
        except OSError:
            return 0

    def _file(self) -> tuple[int, int]:
        """What tells the file from another under the same name. Raises StoreError if there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise StoreError(
                f"there is no predictions store {self.path}; correct predictions: {{url: ...}}, "
                "or start the application that writes it"
            ) from None
        except OSError as error:
            raise self._unopened(os.strerror(error.errno or 0)) from error
        if self.path.is_dir():
            raise StoreError(f"{self.path} is a directory; name the SQLite file in predictions: {{url: ...}}")
        return found.st_dev, found.st_ino

    def _fetch(self, taken: Callable[[Any], T], sql: str, values: Sequence[Value], **options: str) -> T:
        """In a batch as small as will do: the driver fixes a column's type by the first one and fails where a later one
        differs, but asks for the memory of a whole batch at once, of the largest for 8 GiB a column."""
        for rows in _BATCH_ROWS[:-1]:
            try:
                return super()._fetch(taken, sql, values, **options, **{_BATCH: str(rows)})
            except OSError as error:
                if _OTHER_TYPE not in str(error):
                    raise
        return super()._fetch(taken, sql, values, **options, **{_BATCH: str(_BATCH_ROWS[-1])})

    def _values(self, values: Sequence[Value]) -> list[Value]:
        return [int(value) if isinstance(value, bool) else value for value in values]

    def _translated(self, error: Exception) -> StoreError:
        """The driver passes SQLite's message on but not its code, so that only the text can tell."""
        said = _message(error)
        if "locked" in said:
            return StoreBusy(f"{self.path} is locked by another process ({said}); the next look tries again")
        if "unable to open database file" in said or ("readonly" in said and self._is_idle_wal()):
            return self._unopened(said)
        if _HOT_JOURNAL in said:
            return self._unwritable()
        for text, meaning in _MEANINGS.items():
            if text in said:
                return StoreError(f"{self.path} {meaning}")
        if isinstance(error, OSError) and _OTHER_TYPE in said:
            return StoreBusy(f"{self.path} changed while it was read; the next look tries again")
        return StoreError(f"{self.path} cannot be read: {said}")

    def _unopened(self, said: str) -> StoreError:
        may_write = os.access(self.path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
        if self._is_idle_wal() and not may_write:
            return StoreError(
                f"{self.path} is in WAL mode and nobody has it open, so that reading it would have to create "
                f"{self.path.name}-shm in a directory that this user cannot write; keep the application running, "
                "run retraind as its user, or name a backup copy made with `sqlite3 FILE '.backup COPY'`"
            )
        return StoreError(f"{self.path} cannot be opened: {said}; let this user read it and the directories above it")

    def _is_idle_wal(self) -> bool:
        try:
            with self.path.open("rb") as file:
                header = file.read(20)
        except OSError:
            return False
        return tuple(header[18:20]) == _WAL_HEADER and not self.path.with_name(f"{self.path.name}-shm").exists()


_MEANINGS = {
    "file is not a database": "is not a SQLite database; correct predictions: {url: ...}",
    "malformed JSON": "holds text that is no JSON in a column of JSON features; mend the rows, or name another column",
    "disk image is malformed": "is damaged (database disk image is malformed); restore it from a backup",
    "no such table": "has lost the table since the last look; correct predictions: {table: ...}",
}


def _path(url: str) -> Path:
    """As written, like `retraind.config.paths` has it: a percent sign in a file's name is a percent sign."""
    scheme, _, rest = url.partition(":///")
    database = rest.partition("?")[0]
    if scheme != "sqlite" or database in {"", ":memory:"} or database.startswith("file:"):
        raise StoreError("this URL names no SQLite file; write sqlite:///PATH in predictions: {url: ...}")
    return Path(database).expanduser().absolute()


def _message(error: Exception) -> str:
    """SQLite's own words: without the driver's prefix and the query."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return line.rpartition("query: ")[2].removeprefix("IO: ").removeprefix("[SQLite] ")
