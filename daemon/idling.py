"""Models of which nothing is new, passed over many at a time: one change check for each database, one transaction.

Called by the monitor. A trigger that was passed over once leaves a note of what the next look hangs on. While
the store's change token is the note's, and no event of the ledger names the model since, a look would find what
the last one found: it is noted as made, and nothing else is asked or computed.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
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
class Note:
    """What a look that found nothing new hung on. `seq`: the last event of the ledger then. `cadence` and `may_insist`
    say what the trigger would answer if it was asked; None: it must be asked when to look next."""

    token: str
    facts: ModelFacts
    state: Mapping[str, Any]
    seq: int
    cadence: timedelta | None
    may_insist: bool

    @classmethod
    def of(cls, trigger: Trigger, token: str, facts: ModelFacts, state: Mapping[str, Any], seq: int) -> "Note":
        kind = type(trigger)
        cadence = trigger.cadence() if kind.next_look is Trigger.next_look else None
        return cls(token, facts, state, seq, cadence, kind.must_look is not Trigger.must_look)


@dataclass
class Idle:
    """A model, and those of its triggers that are due and were passed over the last time."""

    name: str
    model: Model
    notes: dict[str, Note]
    triggers: Collection[str]


def pass_over(
    ledger: Ledger, guard: Callable[[Transaction], None], token: str, models: Sequence[Idle]
) -> dict[str, dict[str, datetime | None]]:
    """Notes looks at all triggers of those models of which nothing is new, and returns when the next ones are due.

    A model that is not in the answer is to be looked at. Raises LedgerError, and LeaseLost as `guard` does.
    """
    found: dict[str, dict[str, datetime | None]] = {}
    plans: dict[tuple[datetime | None, tuple[str, ...]], list[str]] = defaultdict(list)
    together: dict[timedelta, datetime] = {}
    with ledger.write("daemon") as transaction:
        guard(transaction)
        now = transaction.now
        oldest = min(note.seq for each in models for note in each.notes.values())
        newest, named = looks.events_since(transaction.connection, oldest)
        for each in models:
            if not _is_idle(each, token, named.get(each.name, 0), now):
                continue
            dues = found[each.name] = _dues(each, newest, now, together)
            for due in (distinct := set(dues.values())):
                names = dues if len(distinct) == 1 else [name for name in dues if dues[name] == due]
                plans[due, tuple(names)].append(each.name)
        for (due, triggers), alike in plans.items():
            looks.pass_over(transaction, alike, triggers, due)
    return found


def _is_idle(each: Idle, token: str, named_at: int, now: datetime) -> bool:
    for name in each.triggers:
        note = each.notes[name]
        if note.token != token or named_at > note.seq:
            return False
        if note.may_insist and each.model.triggers[name].must_look(note.state, now):
            return False
    return True


def _dues(each: Idle, newest: int, now: datetime, together: dict[timedelta, datetime]) -> dict[str, datetime | None]:
    """When to look next at each of the triggers. Each is passed over as of the event `newest`."""
    dues = {}
    for name in each.triggers:
        note = each.notes[name]
        note.seq = newest
        dues[name] = _due(each, name, note, now, together)
    return dues


def _due(each: Idle, name: str, note: Note, now: datetime, together: dict[timedelta, datetime]) -> datetime | None:
    """`together` has what was found for the same cadence before."""
    if note.cadence is None:
        return each.model.triggers[name].next_look(note.facts, note.state, now)
    if note.cadence not in together:
        together[note.cadence] = _together(now + note.cadence, note.cadence)
    return together[note.cadence]


def _together(due: datetime, cadence: timedelta) -> datetime:
    """A little sooner, at an instant that models have in common: they are asked about together from then on."""
    part = cadence / _PARTS
    return _EPOCH + (due - _EPOCH) // part * part
