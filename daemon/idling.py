"""Models of which nothing is new, passed over many at a time: one change check for each database, one transaction.

Called by the monitor. A trigger that was passed over once leaves a note of what the next look hangs on. While
the store's change token is the note's, and no event of the ledger names the model since, a look would find what
the last one found: it is noted as made, and nothing else is asked or computed.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from retraind.config.predictions import Predictions
from retraind.config.settings import Model
from retraind.ledger import Ledger, Transaction, looks
from retraind.store import PredictionsStore, open_store
from triggers.base import Trigger
from triggers.evidence import ModelFacts

Place = tuple[object, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARTS = 12  # of the time between two looks; all idle models are looked at so often in it, not each at its own instant


class Bells:
    """Change tokens: one connection for all models that read the same database or, of a server, the same table."""

    def __init__(self) -> None:
        self._stores: dict[Place, PredictionsStore] = {}
        self._lock = threading.Lock()

    @staticmethod
    def place(predictions: Predictions) -> Place:
        """What models have in common whose tokens are the same."""
        if predictions.url.startswith("sqlite:"):
            return predictions.url, predictions.timeout
        columns = predictions.columns
        return predictions.url, predictions.timeout, predictions.table, columns.timestamp, columns.id

    def token(self, predictions: Predictions) -> str:
        """See `PredictionsStore.change_token`. Raises StoreError."""
        place = self.place(predictions)
        with self._lock:
            if place not in self._stores:
                self._stores[place] = open_store(predictions)
            store = self._stores[place]
        return store.change_token()

    def close(self) -> None:
        for store in self._stores.values():
            store.close()


@dataclass
class _Unchanged:
    """What a look that found nothing new hung on. `seq`: the last event of the ledger then. `insists`: from when on
    there is a look even so; None: there is none."""

    token: str
    seq: int
    insists: datetime | None

    def is_idle(self, token: str, named_at: int, now: datetime) -> bool:
        return self.token == token and named_at <= self.seq and (self.insists is None or now < self.insists)


@dataclass
class Note(_Unchanged):
    """The same of one trigger. `cadence` is None where the trigger must be asked when to look next."""

    facts: ModelFacts
    state: Mapping[str, Any]
    cadence: timedelta | None

    @classmethod
    def of(cls, trigger: Trigger, token: str, facts: ModelFacts, state: Mapping[str, Any], seq: int) -> "Note":
        cadence = trigger.cadence() if type(trigger).next_look is Trigger.next_look else None
        return cls(token, seq, trigger.insists(state), facts, state, cadence)


@dataclass
class _Joint(_Unchanged):
    """The same of triggers that were passed over together, asked in place of each of theirs. `cadences` has the
    triggers that share one."""

    triggers: list[str]
    cadences: list[tuple[timedelta, tuple[str, ...]]]


Due = tuple[datetime | None, tuple[str, ...]]  # when the next looks at these triggers are due; None: when woken


class Notes:
    """The notes of one model's triggers."""

    def __init__(self) -> None:
        self._each: dict[str, Note] = {}
        self._joint: _Joint | None = None

    def put(self, trigger: str, note: Note) -> None:
        self._part()
        self._each[trigger] = note

    def drop(self, trigger: str) -> None:
        self._part()
        self._each.pop(trigger, None)

    def clear(self) -> None:
        self._each.clear()
        self._joint = None

    def cover(self, triggers: list[str]) -> bool:
        """Whether each of these triggers was passed over at its last look."""
        return self._joint_of(triggers) is not None or self._each.keys() >= set(triggers)

    def oldest(self, triggers: list[str]) -> int:
        """The earliest event of the ledger as of which one of the triggers was passed over."""
        joint = self._joint_of(triggers)
        return min(self._each[name].seq for name in triggers) if joint is None else joint.seq

    def are_idle(self, triggers: list[str], token: str, named_at: int, now: datetime) -> bool:
        joint = self._joint_of(triggers)
        if joint is not None:
            return joint.is_idle(token, named_at, now)
        return all(self._each[name].is_idle(token, named_at, now) for name in triggers)

    def pass_over(
        self, model: Model, triggers: list[str], seq: int, now: datetime, together: dict[timedelta, datetime]
    ) -> list[Due]:
        """When to look next at the triggers, which are idle and passed over as of the event `seq`. `together` has what
        was found for the same cadence before."""
        joint = self._joint_of(triggers) or self._join(triggers)
        if joint is not None:
            joint.seq = seq
            return [(_due(cadence, now, together), names) for cadence, names in joint.cadences]
        dues: dict[datetime | None, list[str]] = defaultdict(list)
        for name in triggers:
            note = self._each[name]
            note.seq = seq
            if note.cadence is None:
                due = model.triggers[name].next_look(note.facts, note.state, now)
            else:
                due = _due(note.cadence, now, together)
            dues[due].append(name)
        return [(due, tuple(names)) for due, names in dues.items()]

    def _joint_of(self, triggers: list[str]) -> _Joint | None:
        """The joint note of exactly these triggers; None: each has its own."""
        if self._joint is not None and self._joint.triggers != triggers:
            self._part()
        return self._joint

    def _join(self, triggers: list[str]) -> _Joint | None:
        """None where a trigger must be asked."""
        notes = [self._each[name] for name in triggers]
        cadences: dict[timedelta, list[str]] = defaultdict(list)
        for name, note in zip(triggers, notes, strict=True):
            if note.cadence is None:
                return None
            cadences[note.cadence].append(name)
        insists = min((note.insists for note in notes if note.insists is not None), default=None)
        same = [(cadence, tuple(names)) for cadence, names in cadences.items()]
        self._joint = _Joint(notes[0].token, notes[0].seq, insists, triggers, same)
        return self._joint

    def _part(self) -> None:
        """Each trigger has its own note again, as of the last time that they were passed over."""
        if self._joint is not None:
            for name in self._joint.triggers:
                self._each[name].seq = self._joint.seq
            self._joint = None


@dataclass
class Idle:
    """A model, and those of its triggers that are due and were passed over the last time."""

    name: str
    model: Model
    notes: Notes
    triggers: list[str]


def pass_over(
    ledger: Ledger, guard: Callable[[Transaction], None], token: str, models: Sequence[Idle]
) -> dict[str, list[Due]]:
    """Notes looks at all triggers of those models of which nothing is new, and returns when the next ones are due.

    A model that is not in the answer is to be looked at. Raises LedgerError, and LeaseLost as `guard` does.
    """
    found: dict[str, list[Due]] = {}
    plans: dict[Due, list[str]] = defaultdict(list)
    together: dict[timedelta, datetime] = {}
    with ledger.write("daemon") as transaction:
        guard(transaction)
        now = transaction.now
        oldest = min(each.notes.oldest(each.triggers) for each in models)
        newest, named = looks.events_since(transaction.connection, oldest)
        for each in models:
            if each.notes.are_idle(each.triggers, token, named.get(each.name, 0), now):
                found[each.name] = each.notes.pass_over(each.model, each.triggers, newest, now, together)
                for due in found[each.name]:
                    plans[due].append(each.name)
        for (instant, triggers), alike in plans.items():
            looks.pass_over(transaction, alike, triggers, instant)
    return found


def _due(cadence: timedelta, now: datetime, together: dict[timedelta, datetime]) -> datetime:
    if cadence not in together:
        together[cadence] = _together(now + cadence, cadence)
    return together[cadence]


def _together(due: datetime, cadence: timedelta) -> datetime:
    """A little sooner, at an instant that models have in common: they are asked about together from then on."""
    part = cadence / _PARTS
    return _EPOCH + (due - _EPOCH) // part * part
