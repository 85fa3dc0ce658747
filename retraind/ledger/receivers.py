"""How far each receiver of alerts has been told: its cursor in the events."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, delete, select, update

from retraind.ledger import tables, trail
from retraind.ledger.ledger import Transaction
from retraind.ledger.rows import insert_if_absent

_receivers = tables.receivers


def register(transaction: Transaction, receiver: str) -> int:
    """The receiver's cursor; a new one starts at the newest event, for what was before is old news."""
    insert_if_absent(transaction, _receivers, {"receiver": receiver, "seq": trail.head(transaction.connection)})
    query = select(_receivers.c.seq).where(_receivers.c.receiver == receiver)
    return int(transaction.connection.execute(query).scalar_one())


def position(connection: Connection, receiver: str) -> int | None:
    """The seq up to which every event was sent or not asked for. None: the receiver is not known."""
    found = connection.execute(select(_receivers.c.seq).where(_receivers.c.receiver == receiver)).scalar()
    return None if found is None else int(found)


def move(transaction: Transaction, receiver: str, before: int, to: int) -> bool:
    """Moves the cursor on and forgets past failures. False when it does not stand at `before` any more."""
    moved = transaction.connection.execute(
        update(_receivers)
        .where(_receivers.c.receiver == receiver, _receivers.c.seq == before)
        .values(seq=to, failures=0, error=None)
    )
    return moved.rowcount == 1


def note_failure(transaction: Transaction, receiver: str, error: str) -> None:
    """Counts a failed attempt, for `status`."""
    transaction.connection.execute(
        update(_receivers)
        .where(_receivers.c.receiver == receiver)
        .values(failures=_receivers.c.failures + 1, error=error)
    )


def forget_others(transaction: Transaction, receivers: Collection[str]) -> None:
    """Forgets those that are not configured any more: one that comes back is new."""
    transaction.connection.execute(delete(_receivers).where(_receivers.c.receiver.not_in(receivers)))


def failing(connection: Connection) -> list[Any]:
    """Rows (receiver, seq, failures, error) of those whose last attempt failed."""
    return list(connection.execute(select(_receivers).where(_receivers.c.failures > 0)))
