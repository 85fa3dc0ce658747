"""Every look at a trigger: its answer, what was decided, and the state it carries to the next."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    column,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from retraind.ledger import tables
from retraind.ledger.ledger import Transaction
from retraind.ledger.prepared import write
from retraind.ledger.rows import FromRow, insert_if_absent, upsert
from triggers.verdict import Verdict

_triggers = tables.triggers
_looks = tables.looks
_fires = tables.fires
RECENT_LOOKS = 100  # as many as confirmations can ask for
_PICTURE = "picture"  # among a kept look's numbers, so that it comes and goes with them; in no event and no firing
# Made once: see `retraind.ledger.rows`.
_KNOWN_KEY = exists().where(
    _fires.c.model == bindparam("of"), _fires.c.trigger == bindparam("named"), _fires.c.key == bindparam("known")
)
_RECORD = select(_triggers, _KNOWN_KEY.label("counted")).select_from(
    select(literal(1))
    .subquery()
    .outerjoin(_triggers, and_(_triggers.c.model == bindparam("of"), _triggers.c.trigger == bindparam("named")))
)
_KEEP = insert(_looks)
_WAITING = select(_fires).where(_fires.c.model == bindparam("of"), _fires.c.role == "waiting").order_by(_fires.c.id)


@dataclass(frozen=True)
class TriggerRecord(FromRow):
    """What the ledger keeps of one trigger. None: not yet."""

    model: str
    trigger: str
    state: Mapping[str, Any] | None = None
    last_look_at: datetime | None = None
    outcome: str | None = None
    sentence: str | None = None
    decision: str | None = None
    next_look_at: datetime | None = None
    fired_at: datetime | None = None
    recent: list[str] | None = None
    armed: bool = True
    quiet_looks: int = 0
    errors: int = 0


@dataclass(frozen=True)
class Look:
    """One look that was kept. `picture` is the verdict's; None: it left none. `job` is the job that it led to."""

    id: int
    model: str
    trigger: str
    at: datetime
    outcome: str
    sentence: str
    decision: str
    job: str | None
    numbers: Mapping[str, Any]
    picture: Mapping[str, Any] | None


def record(connection: Connection, model: str, trigger: str) -> TriggerRecord:
    """The trigger's record; an empty one before its first look."""
    return record_and_count(connection, model, trigger, None)[0]


def record_and_count(connection: Connection, model: str, trigger: str, key: str | None) -> tuple[TriggerRecord, bool]:
    """The trigger's record, and whether a firing of this `key` was recorded. None: it has no key, and never was."""
    row = connection.execute(_RECORD, {"of": model, "named": trigger, "known": key}).one()
    return TriggerRecord(model, trigger) if row.model is None else TriggerRecord.of(row), bool(row.counted)


def records(connection: Connection, model: str | None = None) -> list[TriggerRecord]:
    query = select(_triggers).order_by(_triggers.c.model, _triggers.c.trigger)
    if model is not None:
        query = query.where(_triggers.c.model == model)
    return [TriggerRecord.of(row) for row in connection.execute(query)]


def planned(connection: Connection, before: datetime) -> list[TriggerRecord]:
    """The records whose next look was due before that, without what their triggers remember."""
    columns = (_triggers.c.model, _triggers.c.trigger, _triggers.c.last_look_at, _triggers.c.next_look_at)
    rows = connection.execute(select(*columns).where(_triggers.c.next_look_at < before))
    return [
        TriggerRecord(row.model, row.trigger, None, row.last_look_at, next_look_at=row.next_look_at) for row in rows
    ]


def save(transaction: Transaction, model: str, trigger: str, values: Mapping[str, Any]) -> None:
    """Sets columns of the trigger's record."""
    upsert(transaction, _triggers, {"model": model, "trigger": trigger}, values)


NOTHING_NEW = "nothing new in the store"
_NEWEST = select(tables.chain.c.seq)
_NAMED = (
    select(tables.events.c.model, func.max(tables.events.c.seq))
    .where(tables.events.c.seq > bindparam("since"))
    .group_by(tables.events.c.model)
)
_LISTED = {
    "sqlite": "SELECT value FROM json_each({})",
    "postgresql": "SELECT json_array_elements_text(CAST({} AS json))",
}
# By models and triggers apart, which takes a third of what their pairs would: the index is walked model by model.
_PASS_OVER = {
    dialect: update(_triggers)
    .where(
        _triggers.c.model.in_(text(listed.format(":models")).columns(column("model"))),
        _triggers.c.trigger.in_(text(listed.format(":triggers")).columns(column("trigger"))),
    )
    .values(last_look_at=bindparam("now"), next_look_at=bindparam("due"), decision=bindparam("because"))
    for dialect, listed in _LISTED.items()
}


def events_since(connection: Connection, seq: int) -> tuple[int, Mapping[str, int]]:
    """The last event's number, and the last one of each model that events after `seq` name."""
    newest = connection.execute(_NEWEST).scalar_one()
    if newest == seq:
        return newest, {}
    return newest, {model: last for model, last in connection.execute(_NAMED, {"since": seq}) if model is not None}


def pass_over(transaction: Transaction, models: Sequence[str], triggers: Sequence[str], due: datetime | None) -> None:
    """Notes a look that found nothing new at each of `triggers` of each of `models`; the next look is due at `due`."""
    connection = transaction.connection
    values = {"now": transaction.now, "due": due, "because": NOTHING_NEW}
    values |= {"models": json.dumps(models), "triggers": json.dumps(triggers)}
    connection.execute(_PASS_OVER[connection.dialect.name], values)


def keep(transaction: Transaction, model: str, trigger: str, verdict: Verdict, decision: str, job: str | None) -> None:
    """Keeps the look with its numbers, its picture and its answer."""
    picture = {} if verdict.picture is None else {_PICTURE: dict(verdict.picture)}
    values = {
        "model": model,
        "trigger": trigger,
        "at": transaction.now,
        "outcome": verdict.outcome,
        "sentence": verdict.sentence,
        "numbers": {**verdict.numbers, **picture},
        "decision": decision,
        "job": job,
    }
    write(transaction.connection, _KEEP, values)


def latest(
    connection: Connection, model: str, trigger: str | None = None, limit: int = 20, through: int | None = None
) -> list[Look]:
    """The newest looks, newest first; with `through` those up to the one of that id."""
    query = select(_looks).where(_looks.c.model == model).order_by(_looks.c.id.desc()).limit(limit)
    if trigger is not None:
        query = query.where(_looks.c.trigger == trigger)
    if through is not None:
        query = query.where(_looks.c.id <= through)
    return [_look(row) for row in connection.execute(query)]


def one(connection: Connection, look: int) -> Look | None:
    """The look with this id; None: there is none, or it is no longer kept."""
    row = connection.execute(select(_looks).where(_looks.c.id == look)).one_or_none()
    return None if row is None else _look(row)


def of_firing(connection: Connection, model: str, trigger: str, at: datetime) -> Look | None:
    """The look that the firing at `at` came of, which was written together with it; None: it is no longer kept."""
    query = select(_looks).where(_looks.c.model == model, _looks.c.trigger == trigger, _looks.c.at == at)
    row = connection.execute(query.order_by(_looks.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _look(row)


def _look(row: Row[Any]) -> Look:
    numbers = dict(row.numbers or {})
    picture = numbers.pop(_PICTURE, None)
    kept = {name: getattr(row, name) for name in ("id", "model", "trigger", "at", "outcome", "sentence", "decision")}
    return Look(**kept, job=row.job, numbers=numbers, picture=picture)


def fire(transaction: Transaction, model: str, trigger: str, verdict: Verdict, *, role: str, job: str | None) -> bool:
    """Records a firing with the job it belongs to. False when a firing with this key was recorded before."""
    values = {
        "model": model,
        "trigger": trigger,
        "key": verdict.key,
        "at": transaction.now,
        "sentence": verdict.sentence,
        "numbers": dict(verdict.numbers),
        "role": role,
        "job": job,
    }
    return insert_if_absent(transaction, _fires, values)


def waiting(connection: Connection, model: str) -> list[Any]:
    """Firings that wait for the model's open job to end, or for a hold to pass, oldest first."""
    return list(connection.execute(_WAITING, {"of": model}))


def models_waiting(connection: Connection) -> frozenset[str]:
    """The models with such firings, which belong to no job."""
    query = select(_fires.c.model).where(_fires.c.job.is_(None), _fires.c.role == "waiting").distinct()
    return frozenset(connection.execute(query).scalars())


def adopt(transaction: Transaction, model: str, job: str) -> None:
    """Gives all waiting firings to `job`."""
    transaction.connection.execute(
        update(_fires).where(_fires.c.model == model, _fires.c.role == "waiting").values(job=job, role="cause")
    )


def drop_waiting(transaction: Transaction, model: str) -> int:
    """Marks waiting firings as skipped; returns how many."""
    return transaction.connection.execute(
        update(_fires).where(_fires.c.model == model, _fires.c.role == "waiting").values(role="skipped")
    ).rowcount
