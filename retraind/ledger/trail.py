"""Reading the ledger's events back: for `show`, `--wait`, `audit tail`, and whoever tells what happened.

The audit log has its own reader; this one serves those who want events by job or by model. Rows are
audit records: dictionaries with seq, time (aware UTC), event, model, job, actor and data.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, select

from retraind.ledger import tables

_events = tables.events


def head(connection: Connection) -> int:
    """The seq of the newest event; 0 before the first."""
    return int(connection.execute(select(tables.chain.c.seq)).scalar_one())


def of_job(connection: Connection, job: str, after: int = 0) -> list[dict[str, Any]]:
    """The job's events beyond seq `after`, oldest first."""
    query = select(_events).where(_events.c.job == job, _events.c.seq > after).order_by(_events.c.seq)
    return _records(connection.execute(query))


def beyond(connection: Connection, after: int, model: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """At most `limit` events beyond seq `after`, oldest first; of all models where `model` is None."""
    query = select(_events).where(_events.c.seq > after).order_by(_events.c.seq).limit(limit)
    if model is not None:
        query = query.where(_events.c.model == model)
    return _records(connection.execute(query))


def newest(connection: Connection, limit: int, model: str | None = None) -> list[dict[str, Any]]:
    """The newest `limit` events, oldest of them first; of all models where `model` is None."""
    query = select(_events).order_by(_events.c.seq.desc()).limit(limit)
    if model is not None:
        query = query.where(_events.c.model == model)
    return _records(connection.execute(query))[::-1]


def _records(rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in rows]
