"""The incidents of the data that the triggers' records tell of: which hold a model back, and which rows they spoilt.

They are a part of the triggers' state (`triggers.incident_state`), so that a look, its verdict and what
it found are one row. Only triggers that are configured to find incidents count: the record of another is
nobody's to clear.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from retraind.ledger import looks
from retraind.ledger.ledger import Transaction
from triggers.base import Trigger
from triggers.incident_state import IncidentState, OpenIncident


@dataclass(frozen=True)
class Found:
    """An open incident, and the trigger that found it."""

    trigger: str
    open: OpenIncident


def open_of(connection: Connection, model: str, triggers: Mapping[str, Trigger]) -> list[Found]:
    """The model's open incidents, acknowledged ones too, in the order of the triggers' names."""
    return [Found(trigger, each) for trigger, state in _states(connection, model, triggers) for each in state.open]


def holding(connection: Connection, model: str, triggers: Mapping[str, Trigger]) -> list[Found]:
    """Those that nobody has acknowledged."""
    return [each for each in open_of(connection, model, triggers) if each.open.acknowledged_by is None]


def spoilt(
    connection: Connection, model: str, triggers: Mapping[str, Trigger]
) -> list[tuple[datetime, datetime | None]]:
    """The half-open spans whose rows are not to be trained on, by their start; None: there is no end yet."""
    found = {span for _, state in _states(connection, model, triggers) for span in state.spoilt}
    return sorted(found, key=lambda span: span[0])


def clear(transaction: Transaction, model: str, triggers: Mapping[str, Trigger], reason: str) -> list[Found]:
    """A person says that the data is right: what holds the model back holds it no more. Returns what that was."""
    cleared = holding(transaction.connection, model, triggers)
    for trigger, state in _states(transaction.connection, model, triggers):
        keys = [each.open.incident.key for each in cleared if each.trigger == trigger]
        if keys:
            whole = looks.record(transaction.connection, model, trigger).state
            values = {"state": state.acknowledged(keys, transaction.actor).within(whole)}
            looks.save(transaction, model, trigger, values)
    for each in cleared:
        _tell_cleared(transaction, model, each, reason)
    return cleared


def follow(transaction: Transaction, model: str, trigger: str, before: IncidentState, after: IncidentState) -> None:
    """Tells what opened and what is gone between two looks. What a person acknowledged was told then."""
    known = {each.incident.key for each in before.open}
    there = {each.incident.key for each in after.open}
    for each in after.open:
        if each.incident.key not in known:
            transaction.event("data.incident", model=model, data=_told(trigger, each))
    for each in before.holding:
        if each.incident.key not in there:
            _tell_cleared(transaction, model, Found(trigger, each), "a look finds it gone")


def _tell_cleared(transaction: Transaction, model: str, found: Found, reason: str) -> None:
    transaction.event("data.cleared", model=model, data={**_told(found.trigger, found.open), "reason": reason})


def _told(trigger: str, found: OpenIncident) -> dict[str, object]:
    incident = found.incident
    return {
        "trigger": trigger,
        "kind": str(incident.kind),
        "column": incident.column,
        "sentence": incident.sentence,
        "numbers": dict(incident.numbers),
        "since": found.since,
    }


def _states(connection: Connection, model: str, triggers: Mapping[str, Trigger]) -> list[tuple[str, IncidentState]]:
    finders = [name for name, trigger in triggers.items() if trigger.finds_incidents]
    if not finders:
        return []
    records = {record.trigger: record for record in looks.records(connection, model)}
    return [(name, IncidentState.of(records[name].state)) for name in finders if name in records]
