"""A round of looks: each trigger judges what is new to it, and nothing is computed where nothing is new."""

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clocks import SetClock
from templates import empty_ledger

from daemon.monitor import Monitor
from retraind.config.loading import load
from retraind.ledger import Ledger, looks, models, tables
from retraind.queue import Queue

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIGURATION = """
models:
  delays:
    predictions: {url: "sqlite:///monitoring.db", columns: {version: version}}
    triggers:
      few: {type: volume, rows: 100, look_every: 1m}
      many: {type: volume, rows: 1000, look_every: 1m}
      decay: {type: performance, metric: accuracy, below: 0.5, window: 7d, min_labels: 3, look_every: 1m}
    training: {trainer: {sklearn: sklearn.linear_model.LogisticRegression}}
"""


class Scene:
    def __init__(self, folder: Path, predictions: str = 'url: "sqlite:///monitoring.db"') -> None:
        self.store = folder / "monitoring.db"
        with sqlite3.connect(self.store) as connection:
            connection.execute(
                "CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER, version TEXT)"
            )
        connection.close()
        (folder / "retraind.yaml").write_text(CONFIGURATION.replace('url: "sqlite:///monitoring.db"', predictions))
        settings = load(folder / "retraind.yaml", os.environ)
        self.clock = SetClock()
        self.ledger = Ledger.open(empty_ledger(settings.state / "ledger.db"), self.clock)
        self.monitor = Monitor(
            settings, self.ledger, Queue(settings, self.ledger), lambda transaction: None, lambda: False
        )
        self.watched = self.monitor._watched["delays"]

    def add_rows(self, count: int) -> None:
        with sqlite3.connect(self.store) as connection:
            rows = [(self.clock.now().isoformat(), 1, 1, "1")] * count
            connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?)", rows)
        connection.close()

    def round(self, *triggers: str) -> None:
        self.clock.instant += timedelta(minutes=1)
        self.monitor._round(self.watched, list(triggers))

    def record(self, trigger: str) -> looks.TriggerRecord:
        with self.ledger.read() as connection:
            return looks.record(connection, "delays", trigger)


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    made.watched.reader.close()
    made.ledger.close()


def test_where_nothing_is_new_nothing_is_computed(scene):
    scene.round("few")
    scene.round("few")
    assert scene.record("few").decision == "nothing new in the store"


def test_what_one_trigger_has_seen_is_still_new_to_another(scene):
    scene.round("few", "many")
    scene.add_rows(10)
    scene.round("few")
    scene.round("many")
    assert scene.record("few").sentence.startswith("There are 10 rows")
    assert scene.record("many").sentence.startswith("There are 10 rows")


def test_after_a_deployment_the_same_rows_are_judged_anew(scene):
    scene.add_rows(10)
    scene.round("decay")
    assert "10 labelled rows" in scene.record("decay").sentence
    with scene.ledger.write("worker") as transaction:
        transaction.connection.execute(
            tables.versions.insert().values(
                model="delays",
                version="2",
                job="j",
                uri="u",
                directory="d",
                window_end=transaction.now,
                trained_at=transaction.now,
                registered_at=transaction.now,
            )
        )
        models.deploy(transaction, "delays", "2", "j")
    scene.round("decay")
    assert scene.record("decay").decision != "nothing new in the store"
    assert "0 labelled rows since version 2 was deployed" in scene.record("decay").sentence


def test_rows_that_only_come_of_age_are_judged_though_nothing_new_was_written(tmp_path):
    scene = Scene(tmp_path, 'url: "sqlite:///monitoring.db", label_delay: 1h')
    scene.add_rows(10)
    scene.round("decay")
    assert scene.record("decay").outcome == "insufficient"
    scene.clock.instant += timedelta(hours=1)
    scene.round("decay")
    assert "10 labelled rows" in scene.record("decay").sentence
    scene.monitor._watched["delays"].reader.close()
    scene.ledger.close()
