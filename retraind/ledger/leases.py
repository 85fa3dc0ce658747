"""Named leases (the leading daemon, a model's convergence) and the processes that are alive."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, literal, or_, select, update

from retraind.errors import LeaseLost
from retraind.identity import is_gone
from retraind.instants import outlasts
from retraind.ledger import tables
from retraind.ledger.ledger import Transaction
from retraind.ledger.prepared import write
from retraind.ledger.rows import insert_if_absent, upsert

_leases = tables.leases
_processes = tables.processes
LEADER = "leader"
# Made once: see `retraind.ledger.rows`.
_RENEW = update(_leases).where(
    _leases.c.name == bindparam("of"), _leases.c.token == bindparam("held"), _leases.c.owner.is_not(None)
)


def acquire(transaction: Transaction, name: str, owner: str, length: timedelta) -> int | None:
    """Takes the lease. Returns its fencing token, or None while another owner's lease is live.

    One whose owner is known to be gone is taken before it runs out, and so is one that a clock like ours could not
    have written.
    """
    insert_if_absent(transaction, _leases, {"name": name, "owner": None, "token": 0, "until": None})
    found = holder(transaction.connection, name)
    orphaned = found.owner is not None and is_gone(found.owner)
    row = transaction.connection.execute(
        update(_leases)
        .where(
            _leases.c.name == name,
            or_(
                _leases.c.owner.is_(None),
                _leases.c.until <= transaction.now,
                _leases.c.until > transaction.now + 2 * length,  # see `retraind.instants.outlasts`
                and_(literal(orphaned), _leases.c.owner == found.owner, _leases.c.token == found.token),
            ),
        )
        .values(owner=owner, token=_leases.c.token + 1, until=transaction.now + length)
        .returning(_leases.c.token)
    ).one_or_none()
    return None if row is None else int(row.token)


def renew(transaction: Transaction, name: str, token: int, length: timedelta) -> None:
    """Extends the lease. Raises LeaseLost when another has taken it."""
    values = {"of": name, "held": token, "until": transaction.now + length}
    if not write(transaction.connection, _RENEW, values):
        raise LeaseLost(f"the lease {name!r} was taken by another process")


def release(transaction: Transaction, name: str, token: int) -> None:
    """Gives the lease back at once; nothing happens when it was lost already."""
    transaction.connection.execute(
        update(_leases).where(_leases.c.name == name, _leases.c.token == token).values(owner=None, until=None)
    )


def holder(connection: Connection, name: str) -> Any:
    """The lease's row (owner, token, until), or None."""
    return connection.execute(select(_leases).where(_leases.c.name == name)).one_or_none()


def is_free(connection: Connection, name: str, now: datetime, length: timedelta) -> bool:
    """True when `acquire` would most likely be given the lease."""
    found = holder(connection, name)
    if found is None or found.owner is None or found.until <= now:
        return True
    return outlasts(found.until, length, now) or is_gone(found.owner)


def beat(
    transaction: Transaction,
    identity: str,
    kind: str,
    host: str,
    pid: int,
    started_at: datetime,
    broker_absent_since: datetime | None = None,
) -> None:
    """Notes that a process is alive, and since when it has had no broker (None: it has one, or needs none)."""
    values = {
        "kind": kind,
        "host": host,
        "pid": pid,
        "started_at": started_at,
        "seen_at": transaction.now,
        "broker_absent_since": broker_absent_since,
    }
    upsert(transaction, _processes, {"id": identity}, values)


def note_refused(transaction: Transaction, identity: str, messages: int) -> None:
    """Notes how many messages a worker has refused since it started."""
    transaction.connection.execute(
        update(_processes).where(_processes.c.id == identity).values(refused_messages=messages)
    )


def gone(transaction: Transaction, identity: str) -> None:
    """Forgets a process that stops in good order."""
    transaction.connection.execute(delete(_processes).where(_processes.c.id == identity))


def forget_silent(transaction: Transaction, before: datetime) -> None:
    """Forgets processes that have not been heard of since `before`."""
    transaction.connection.execute(delete(_processes).where(_processes.c.seen_at < before))


def processes(connection: Connection) -> list[Any]:
    return list(connection.execute(select(_processes).order_by(_processes.c.kind, _processes.c.started_at)))
