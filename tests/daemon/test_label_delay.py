"""`predictions.label_delay` reaches the triggers: rows too young to have honest labels are not judged."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from templates import empty_ledger

from daemon.evidence import EvidenceReader
from daemon.looking import evaluate
from retraind.config.settings import Model
from retraind.ledger import Ledger
from triggers.verdict import Outcome, Verdict

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


class Standing:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def look(directory: Path, label_delay: str | None) -> Verdict:
    model = Model.model_validate(
        {
            "predictions": {"url": f"sqlite:///{directory}/predictions.db", "label_delay": label_delay},
            "triggers": {"decay": {"type": "performance", "metric": "accuracy", "below": 0.8, "window": "7d"}},
            "training": {"trainer": {"sklearn": "sklearn.linear_model.LogisticRegression"}},
        }
    )
    with (
        closing(Ledger.open(empty_ledger(directory / "ledger.db"), Standing())) as ledger,
        closing(EvidenceReader("delays", model, ledger)) as reader,
    ):
        return evaluate(reader, "decay", NOW)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store in which rows of three days ago came true and rows of an hour ago (the early labels) did not."""
    old, young = NOW - timedelta(days=3), NOW - timedelta(hours=1)
    rows = [(old.isoformat(), 1, 1)] * 150 + [(old.isoformat(), 0, 0)] * 150 + [(young.isoformat(), 1, 0)] * 300
    with closing(sqlite3.connect(tmp_path / "predictions.db")) as store, store:
        store.execute("CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER)")
        store.executemany("INSERT INTO predictions VALUES (?, ?, ?)", rows)
    return tmp_path


def test_rows_younger_than_the_label_delay_do_not_fire_a_performance_trigger(directory: Path) -> None:
    delayed = look(directory, "2d")
    assert delayed.outcome is Outcome.QUIET, delayed.sentence
    assert (delayed.numbers["value"], delayed.numbers["labelled"]) == (1.0, 300)


def test_without_a_label_delay_every_labelled_row_is_judged(directory: Path) -> None:
    at_once = look(directory, None)
    assert at_once.outcome is Outcome.FIRED, at_once.sentence
    assert (at_once.numbers["value"], at_once.numbers["labelled"]) == (0.5, 600)
