"""Models of which nothing is new are passed over together, and none of which something is."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from clocks import SetClock
from sqlalchemy import event

from daemon.monitor import Monitor, Watched
from retraind.config.loading import load
from retraind.ledger import Ledger, looks
from retraind.queue import Queue

MINUTE = timedelta(minutes=1)
TRIGGERS = {
    "volume": {"type": "volume", "rows": 1_000_000},
    "drift": {"type": "drift", "look_every": "1m"},
    "decay": {"type": "performance", "metric": "accuracy", "below": 0.1, "window": "7d", "look_every": "1m"},
}


class Scene:
    """Models that share a store, under a monitor whose looks are made one minute after the other."""

    def __init__(self, folder: Path, models: int, **predictions: Any) -> None:
        self.path = folder / "monitoring.db"
        self.sql("CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER)")
        one = {
            "predictions": {"url": "sqlite:///monitoring.db", **predictions},
            "triggers": TRIGGERS,
            "training": {"trainer": {"sklearn": "sklearn.linear_model.LogisticRegression"}},
        }
        (folder / "retraind.yaml").write_text(yaml.safe_dump({"models": {f"m{each}": one for each in range(models)}}))
        settings = load(folder / "retraind.yaml", os.environ)
        self.clock = SetClock()
        self.ledger = Ledger.open(settings.ledger_url, self.clock)
        queue = Queue(settings, self.ledger)
        self.monitor = Monitor(settings, self.ledger, queue, lambda transaction: None, lambda: False)
        self.monitor._begin()
        self.statements: list[str] = []
        self.ledger.engine.dispose()  # those that are opened from now on tell what they are asked
        event.listen(self.ledger.engine, "connect", self._listen)

    def _listen(self, driver: sqlite3.Connection, _record: object) -> None:
        driver.set_trace_callback(self.statements.append)

    def sql(self, statement: str) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute(statement)
        connection.close()

    def minute(self) -> list[str]:
        """One minute later everything is looked at. The statements that the ledger was asked."""
        self.clock.move(minutes=1)
        self.statements.clear()
        self.monitor._look_at_due()
        while any(watched.looking_since for watched in self.watched):
            self.monitor.stopped.wait(0.01)
        return list(self.statements)

    @property
    def watched(self) -> list[Watched]:
        return list(self.monitor._watched.values())

    def kept(self, model: str) -> int:
        """How many looks computed something."""
        with self.ledger.read() as connection:
            return len(looks.latest(connection, model, limit=1000))

    def records(self) -> list[looks.TriggerRecord]:
        with self.ledger.read() as connection:
            return looks.records(connection)

    def close(self) -> None:
        self.monitor._end()
        self.ledger.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def scene(models: int = 6, **predictions: Any) -> Scene:
        made.append(Scene(tmp_path, models, **predictions))
        for _ in range(2):  # everything is looked at, and passed over
            made[0].minute()
        return made[0]

    yield scene
    for each in made:
        each.close()


def test_one_change_check_and_a_few_statements_pass_over_all_models(make: Callable[..., Scene]) -> None:
    scene = make()
    asked = []
    token = scene.monitor._bells.token
    scene.monitor._bells.token = lambda predictions: asked.append(predictions) or token(predictions)  # type: ignore[method-assign]
    statements = scene.minute()
    assert len(asked) == 1
    assert len([each for each in statements if "triggers" in each]) <= 2  # for looks that are due again in a minute
    assert [scene.kept(watched.name) for watched in scene.watched] == [len(TRIGGERS)] * 6
    records = scene.records()
    assert {(each.last_look_at, each.decision) for each in records} == {(scene.clock.now(), looks.NOTHING_NEW)}
    assert {each.next_look_at for each in records} == {scene.clock.now() + MINUTE}
    assert {due for watched in scene.watched for due in watched.due.values()} == {scene.clock.now() + MINUTE}


def test_models_that_are_due_one_after_another_are_asked_about_together_then_on(
    make: Callable[..., Scene],
) -> None:
    scene = make()
    for number, watched in enumerate(scene.watched):
        watched.due = dict.fromkeys(watched.due, scene.clock.now() + timedelta(milliseconds=700 * number))
        scene.monitor._schedule(watched)
    for _ in range(5):
        scene.clock.move(seconds=1)
        scene.monitor._look_at_due()
        while any(watched.looking_since for watched in scene.watched):
            scene.monitor.stopped.wait(0.01)
    dues = {due for watched in scene.watched for due in watched.due.values() if due is not None}
    assert len(dues) <= 2  # the dozenth of a minute that four seconds may lie across
    assert all(timedelta(seconds=50) < due - scene.clock.now() <= MINUTE for due in dues)


def test_between_looks_the_models_hold_no_connection_to_their_store(make: Callable[..., Scene]) -> None:
    scene = make()
    scene.sql("INSERT INTO predictions VALUES ('2026-01-01', 1, 1)")
    scene.minute()
    lanes = [watched.reader.store._backend.session._lane for watched in scene.watched]  # type: ignore[attr-defined]
    assert [lane._thread for lane in lanes] == [None] * 6


def test_new_rows_are_looked_at_by_every_model(make: Callable[..., Scene]) -> None:
    scene = make()
    scene.minute()
    scene.sql("INSERT INTO predictions VALUES ('2026-01-01', 1, 1)")
    scene.minute()
    assert [scene.kept(watched.name) for watched in scene.watched] == [2 * len(TRIGGERS)] * 6


def test_a_model_that_an_event_names_is_looked_at_and_the_others_are_passed_over(make: Callable[..., Scene]) -> None:
    scene = make()
    scene.minute()
    with scene.ledger.write("test") as transaction:
        transaction.event("model.paused", model="m3", data={})
    statements = scene.minute()
    assert len([each for each in statements if each.startswith("INSERT INTO triggers")]) == len(TRIGGERS)  # of m3
    assert {each.last_look_at for each in scene.records()} == {scene.clock.now()}
    assert len([each for each in scene.minute() if each.startswith("INSERT INTO triggers")]) == 0


def test_a_store_that_does_not_answer_has_every_model_looked_at_by_itself(make: Callable[..., Scene]) -> None:
    scene = make()
    scene.path.rename(scene.path.with_name("elsewhere.db"))
    scene.minute()
    assert {each.outcome for each in scene.records()} == {"error"}
    scene.path.with_name("elsewhere.db").rename(scene.path)
    scene.clock.move(hours=2)
    scene.minute()
    assert "error" not in {each.outcome for each in scene.records()}
