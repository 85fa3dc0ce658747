"""The ledger: retraind's one source of truth. Every change and its events are one transaction.

Whoever commits, daemon, worker or command, then lets the audit log catch up.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from retraind import faults
from retraind.clock import Clock, SystemClock
from retraind.errors import LedgerAbsent
from retraind.events import EVENTS
from retraind.ledger import tables
from retraind.ledger.chain import digest, plain, record_of
from retraind.ledger.engine import open_engine, transaction
from retraind.ledger.prepared import write
from retraind.ledger.schema import ensure_schema
from retraind.outage import Outage
from retraind.redaction import redact_data

# Made once: see `retraind.ledger.rows`.
_HEAD = select(tables.chain.c.seq, tables.chain.c.hash).with_for_update()
_APPEND = insert(tables.events)
_MOVE_HEAD = (
    update(tables.chain)
    .where(tables.chain.c.seq == bindparam("after"), tables.chain.c.hash == bindparam("prev"))
    .values(seq=bindparam("last"), hash=bindparam("head"))
)


class Transaction:
    """One write transaction: a connection, the instant it happens at, and who does it."""

    def __init__(self, connection: Connection, now: datetime, actor: str, redact: Callable[[Any], Any]) -> None:
        self._redact = redact
        self.connection = connection
        self.now = now
        self.actor = actor
        self._events: list[dict[str, Any]] = []

    def event(self, name: str, *, model: str | None = None, job: str | None = None, data: Mapping[str, Any]) -> None:
        """Records an event, to be committed with the change it tells of."""
        if name not in EVENTS:
            raise KeyError(name)
        self._events.append(
            {
                "time": self.now,
                "event": name,
                "model": model,
                "job": job,
                "actor": self.actor,
                "data": self._redact(plain(data)),
            }
        )

    def append_events(self, newest: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Chains and writes what was recorded, and returns it as it stands in the ledger.

        `newest` are events that were the last ones when they were committed; nobody else has written since, as
        a rule, and then the chain's head need not be read.

        Comes last in the transaction: the chain's row is the one lock that all writers share, so
        that commit order is seq order on Postgres too, and it is held as shortly as can be.
        """
        if not self._events:
            return ()
        if not (newest and self._chain(newest[-1]["seq"], newest[-1]["hash"])):
            head = self.connection.execute(_HEAD).one()
            self._chain(head.seq, head.hash)
        write(self.connection, _APPEND, *self._events)
        return self._events

    def _chain(self, after: int, prev: str) -> bool:
        """Numbers and chains the events after the one that has this seq and hash. False: that is not the head."""
        head = prev
        for seq, event in enumerate(self._events, after + 1):
            event |= {"seq": seq, "prev": head}
            head = event["hash"] = digest(record_of(event))
        values = {"after": after, "prev": prev, "last": after + len(self._events), "head": head}
        return write(self.connection, _MOVE_HEAD, values) == 1


class Ledger:
    """Opened once per process. `after_commit` is called after each commit that wrote events; it must not raise.

    With an `outage`, as long-running processes give it, a ledger that does not answer is told once, and so is
    its return; whoever gets the LedgerError need not.

    `newest` are the events of the last commit of this process that had any: the audit log need not read them back.

    `redact` hides secrets in an event's data before it is hashed: what is written can never be unwritten.
    """

    def __init__(self, engine: Engine, clock: Clock, after_commit: Callable[[], None] = lambda: None) -> None:
        self.engine = engine
        self._url = str(engine.url)
        self.clock = clock
        self.after_commit = after_commit
        self.redact: Callable[[Any], Any] = redact_data
        self.outage: Outage | None = None
        self.newest: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def open(cls, url: str, clock: Clock | None = None, *, lasting: bool = True) -> "Ledger":
        """Opens, and creates or migrates where needed. Without `lasting` it may be lost with the machine.

        Raises ConfigurationError for a bad URL, LedgerAbsent for a database that does not answer, LedgerNewer for
        one whose schema is for newer versions only.
        """
        engine = open_engine(url, lasting=lasting)
        with _translated(url):
            ensure_schema(engine)
        return cls(engine, clock or SystemClock())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction: one consistent snapshot on SQLite, statement by statement on Postgres."""
        with self._told(), transaction(self.engine, write=False) as connection:
            yield connection

    @contextmanager
    def write(self, actor: str) -> Iterator[Transaction]:
        """A write transaction by `actor` (`daemon`, `worker:HOST:PID`, `user:NAME`), committed at the end.

        Raises LedgerError when the database does not answer; then nothing was committed, or the
        commit's answer was lost and the next look at the ledger tells.
        """
        where = f"ledger.{faults.caller(1)}" if faults.ARMED else ""
        faults.point(f"{where}.before")
        with self._told(), transaction(self.engine, write=True) as connection:
            change = Transaction(connection, self.clock.now(), actor, self.redact)
            yield change
            told = change.append_events(self.newest)
            faults.point(f"{where}.in")
        if self.outage is not None:
            self.outage.leave()  # by a commit: a database that is busy or full can still be read
        faults.point(f"{where}.after")
        if told:
            self.newest = told
            self.after_commit()

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with _translated(self._url):
                yield
        except LedgerAbsent as error:
            if self.outage is not None:
                self.outage.enter(error)
            raise


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.OperationalError) as error:
        if isinstance(error, DBAPIError) and not _is_absence(error):
            raise
        # A connection that could not be prepared fails with the driver's own error.
        said = error.orig if isinstance(error, DBAPIError) else error
        raise LedgerAbsent(
            f"the ledger {_without_password(url)} does not answer: {str(said).strip()}; "
            "check that its directory or server is there and try again"
        ) from error


def _is_absence(error: DBAPIError) -> bool:
    """True for what passes by itself or once a person has mended the server; all else is a fault of ours."""
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return True
    # A standby that was promoted elsewhere, or a session ended for idling in its transaction.
    return getattr(error.orig, "sqlstate", None) in {"25006", "25P03", "57P05"}


def _without_password(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).render_as_string(hide_password=True)
