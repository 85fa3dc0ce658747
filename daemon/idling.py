"""Models of which nothing is new, passed over many at a time: one change check for each database, one transaction.

Called by the monitor. A trigger that was passed over once leaves a note of what the next look hangs on. While
the store's change token is the note's, and no event of the ledger names the model since, a look would find what
the last one found: it is noted as made, and nothing else is asked or computed.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retraind.config.predictions import Predictions
from retraind.config.settings import Model
from retraind.ledger import Ledger, Transaction, looks
from retraind.store import PredictionsStore, open_store
from triggers.evidence import ModelFacts

Place = tuple[object, ...]


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
    """What a look that found nothing new hung on. `seq`: the last event of the ledger then."""

    token: str
    facts: ModelFacts
    state: Mapping[str, Any]
    seq: int


@dataclass
class Idle:
    """A model, and those of its triggers that are due and were passed over the last time."""

    name: str
    model: Model
    notes: dict[str, Note]
    triggers: Sequence[str]


def pass_over(
    ledger: Ledger, guard: Callable[[Transaction], None], token: str, models: Sequence[Idle]
) -> dict[str, dict[str, datetime | None]]:
    """Notes looks at all triggers of those models of which nothing is new, and returns when the next ones are due.

    A model that is not in the answer is to be looked at. Raises LedgerError, and LeaseLost as `guard` does.
    """
    found: dict[str, dict[str, datetime | None]] = {}
    plans: dict[datetime | None, list[tuple[str, str]]] = defaultdict(list)
    with ledger.write("daemon") as transaction:
        guard(transaction)
        now = transaction.now
        oldest = min(note.seq for each in models for note in each.notes.values())
        newest, named = looks.events_since(transaction.connection, oldest)
        for each in models:
            if not _is_idle(each, token, named.get(each.name, 0), now):
                continue
            found[each.name] = {}
            for name in each.triggers:
                note = each.notes[name]
                note.seq = newest
                due = each.model.triggers[name].next_look(note.facts, note.state, now)
                found[each.name][name] = due
                plans[due].append((each.name, name))
        for due, triggers in plans.items():
            looks.pass_over(transaction, triggers, due)
    return found


def _is_idle(each: Idle, token: str, named_at: int, now: datetime) -> bool:
    return all(
        each.notes[name].token == token
        and named_at <= each.notes[name].seq
        and not each.model.triggers[name].must_look(each.notes[name].state, now)
        for name in each.triggers
    )
