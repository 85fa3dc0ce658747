"""What each deploy target is known to show: written by the worker that converged it."""

from typing import Any

from sqlalchemy import Connection, or_, select

from retraind.ledger import tables
from retraind.ledger.ledger import Transaction
from retraind.ledger.rows import upsert

_targets = tables.targets


def note(transaction: Transaction, model: str, target: str, version: str | None, error: str | None = None) -> None:
    """Records that `target` shows `version`, or why it could not be made to."""
    values = {"version": version, "at": transaction.now, "error": error}
    upsert(transaction, _targets, {"model": model, "target": target}, values)


def of(connection: Connection, model: str) -> list[Any]:
    """The model's target rows (target, version, at, error), by name."""
    return list(connection.execute(select(_targets).where(_targets.c.model == model).order_by(_targets.c.target)))


def behind(connection: Connection, model: str, version: str) -> bool:
    """True when some target is known to show another version, or to have failed."""
    query = select(_targets.c.target).where(
        _targets.c.model == model,
        or_(_targets.c.version.is_(None), _targets.c.version != version, _targets.c.error.is_not(None)),
    )
    return connection.execute(query).first() is not None
