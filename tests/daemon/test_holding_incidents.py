"""Incidents of the data, with a real store and ledger: told, held, cleared, and looked for before a job starts."""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clocks import SetClock
from sqlalchemy import select
from templates import empty_ledger

from daemon import looking
from daemon.evidence import EvidenceReader
from daemon.monitor import Monitor
from daemon.policy import Course
from daemon.reconciler import Reconciler
from retraind.audit import AuditLog
from retraind.config.loading import load
from retraind.ledger import Ledger, incidents, jobs, looks, tables
from retraind.queue import Queue
from triggers.verdict import Outcome, Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS, PER_DAY = 24, 150
DRIFT = "drift: {type: drift, window: 7d, prediction: false, reference: {window: 14d}}"
MANY = "many: {type: volume, rows: 5}"
NIGHTLY = 'nightly: {type: cron, schedule: "0 3 * * *"}'

Row = tuple[str, float | None, str, int, int]


def rows_of(day: datetime, random_numbers: random.Random, distance: float | None = 0.0) -> list[Row]:
    """A day's rows, before `day`. `distance` None: it is missing in all of them."""
    times = sorted(day - random_numbers.random() * DAY for _ in range(PER_DAY))
    made = [None if distance is None else random_numbers.gauss(distance, 1) for _ in times]
    return [
        (moment.isoformat(), value, random_numbers.choice("ABC"), 1, 1)
        for moment, value in zip(times, made, strict=True)
    ]


class Scene:
    """A model with these triggers, three weeks and more of quiet rows, and a ledger whose clock is moved."""

    def __init__(self, folder: Path, triggers: str, policy: str = "{}") -> None:
        self.folder = folder
        self.numbers = random.Random(1)
        with closing(sqlite3.connect(folder / "monitoring.db")) as store, store:
            columns = "timestamp TEXT, distance REAL, carrier TEXT, prediction INTEGER, actual INTEGER"
            store.execute(f"CREATE TABLE predictions ({columns})")
        for back in range(DAYS):
            self.add(NOW - back * DAY)
        (folder / "retraind.yaml").write_text(
            f"""
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db", columns: {{features: [distance, carrier]}}}}
    triggers: {{{triggers}}}
    policy: {policy}
    training: {{trainer: {{sklearn: sklearn.linear_model.LogisticRegression}}}}
"""
        )
        self.settings = load(folder / "retraind.yaml", os.environ)
        self.model = self.settings.models["delays"]
        self.clock = SetClock(NOW)
        self.ledger = Ledger.open(empty_ledger(self.settings.state / "ledger.db"), self.clock)
        self.reader = EvidenceReader("delays", self.model, self.ledger)

    def add(self, day: datetime, **values: Any) -> None:
        with closing(sqlite3.connect(self.folder / "monitoring.db")) as store, store:
            rows = rows_of(day, self.numbers, **values)
            store.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows)

    def a_day_later(self, **values: Any) -> None:
        self.clock.move(days=1)
        self.add(self.clock.now(), **values)

    def look(self, trigger: str = "drift", guard: Any = lambda transaction: None) -> tuple[Verdict, Any, str | None]:
        self.reader.begin_round()
        verdict = looking.evaluate(self.reader, trigger, self.clock.now())
        return verdict, *self.commit(trigger, verdict, guard)

    def commit(self, trigger: str, verdict: Verdict, guard: Any = lambda transaction: None) -> tuple[Any, str | None]:
        look = looking.Look("delays", trigger, self.model.triggers[trigger], self.model.policy, verdict)
        return looking.commit(self.ledger, look, self.model, audit_unwritable=False, guard=guard)

    def events(self, *names: str) -> list[Any]:
        query = select(tables.events).order_by(tables.events.c.seq)
        with self.ledger.read() as connection:
            return [row for row in connection.execute(query) if row.event in names]

    def clear(self) -> list[incidents.Found]:
        with self.ledger.write("user:ann") as transaction:
            return incidents.clear(transaction, "delays", self.model.triggers, "we moved to the metric system")

    def holding(self) -> list[str]:
        with self.ledger.read() as connection:
            found = incidents.holding(connection, "delays", self.model.triggers)
        return [each.open.incident.kind for each in found]

    def spoilt(self) -> list[tuple[datetime, datetime | None]]:
        with self.ledger.read() as connection:
            return incidents.spoilt(connection, "delays", self.model.triggers)

    def jobs(self) -> list[str]:
        with self.ledger.read() as connection:
            return [job.id for job in jobs.latest(connection, "delays")]


Make = Callable[..., Scene]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Make]:
    made: list[Scene] = []

    def make(*triggers: str, **options: Any) -> Scene:
        made.append(Scene(tmp_path, ", ".join(triggers), **options))
        return made[-1]

    yield make
    for each in made:
        each.reader.close()
        each.ledger.close()


def test_an_incident_is_told_once_when_it_opens_and_once_when_it_is_gone(scene: Make) -> None:
    made = scene(DRIFT)
    assert made.look()[0].outcome is Outcome.QUIET
    for _ in range(2):
        made.a_day_later(distance=None)
        verdict, decision, job = made.look()
        assert (verdict.outcome, decision.course, job) == (Outcome.INSUFFICIENT, Course.NOTHING, None)
    (opened,) = made.events("data.incident")
    assert opened.data["sentence"] == "column distance is missing in 100 % of 150 rows, where 0 % are usual"
    assert (opened.data["trigger"], opened.data["kind"], opened.data["column"]) == ("drift", "missing", "distance")
    assert made.events("data.cleared") == []
    made.a_day_later()
    made.look()
    (cleared,) = made.events("data.cleared")
    assert (cleared.data["column"], cleared.data["reason"]) == ("distance", "a look finds it gone")
    assert len(made.events("data.incident")) == 1
    assert made.events("trigger.fired") == [] or made.events("trigger.fired")[0].seq > cleared.seq


def test_every_trigger_of_the_model_is_held_while_it_is_open_and_says_why(scene: Make) -> None:
    made = scene(DRIFT, MANY, NIGHTLY)
    made.look("nightly")
    made.a_day_later(distance=None)
    made.look()
    for name, course in (("many", Course.HOLD), ("nightly", Course.WAIT)):
        verdict, decision, job = made.look(name)
        assert verdict.fired
        assert (decision.course, job) == (course, None)
        assert decision.because == (
            "an incident of the data is open: column distance is missing in 100 % of 150 rows, where 0 % are usual"
        )
    assert [event.data["trigger"] for event in made.events("trigger.held")] == ["many", "nightly"]
    made.a_day_later()
    made.look()
    assert made.look("many")[1].course is Course.REQUEST


def test_what_waited_for_the_end_of_an_incident_becomes_a_job_then_and_not_before(scene: Make) -> None:
    made = scene(DRIFT, NIGHTLY)
    made.look("nightly")
    made.a_day_later(distance=None)
    made.look()
    made.look("nightly")
    audit = AuditLog(made.settings.audit.path, made.ledger, made.settings.audit.rotate)
    queue = Queue(made.settings, made.ledger)
    reconciler = Reconciler(made.settings, made.ledger, audit, queue, lambda transaction: None)
    reconciler.start_waiting()
    assert made.jobs() == []
    made.clear()
    reconciler.start_waiting()
    assert len(made.jobs()) == 1


def test_where_the_policy_ignores_incidents_they_are_told_and_hold_nothing(scene: Make) -> None:
    made = scene(DRIFT, MANY, policy="{on_incident: ignore}")
    made.a_day_later(distance=None)
    assert made.look()[0].outcome is Outcome.INSUFFICIENT
    assert len(made.events("data.incident")) == 1
    assert made.look("many")[1].course is Course.REQUEST


def test_a_person_who_says_go_ends_the_hold_and_is_named_and_it_is_not_told_again(scene: Make) -> None:
    made = scene(DRIFT, MANY)
    made.a_day_later(distance=None)
    made.look()
    assert [each.open.incident.column for each in made.clear()] == ["distance"]
    (cleared,) = made.events("data.cleared")
    assert (cleared.actor, cleared.data["reason"]) == ("user:ann", "we moved to the metric system")
    assert made.clear() == []
    assert made.holding() == []
    assert made.look("many")[1].course is Course.REQUEST
    made.a_day_later(distance=None)
    assert made.look()[0].outcome is Outcome.FIRED
    made.a_day_later()
    made.look()
    made.a_day_later(distance=None)
    assert made.look()[0].outcome is Outcome.INSUFFICIENT
    assert len(made.events("data.incident")) == 2
    assert len(made.events("data.cleared")) == 1


def test_what_is_said_while_a_look_is_under_way_is_not_lost(scene: Make) -> None:
    made = scene(DRIFT)
    made.a_day_later(distance=None)
    made.look()
    made.reader.begin_round()
    verdict = looking.evaluate(made.reader, "drift", made.clock.now())
    made.clear()
    made.commit("drift", verdict)
    assert made.holding() == []


def test_the_span_of_an_incident_is_kept_and_that_of_an_acknowledged_one_is_not(scene: Make) -> None:
    made = scene(DRIFT)
    made.a_day_later(distance=None)
    made.look()
    began = made.clock.now() - 2 * DAY
    assert made.spoilt() == [(began, None)]
    made.a_day_later()
    made.look()
    assert made.spoilt() == [(began, made.clock.now())]
    made.a_day_later(distance=None)
    made.look()
    made.clear()
    assert made.spoilt() == [(began, made.clock.now() - DAY)]


def test_an_incident_that_a_trigger_found_which_no_longer_looks_for_them_holds_nothing(scene: Make) -> None:
    made = scene(DRIFT, MANY)
    made.a_day_later(distance=None)
    made.look()
    other = dict(made.model.triggers)
    with made.ledger.read() as connection:
        assert incidents.holding(connection, "delays", other)
        del other["drift"]
        assert incidents.holding(connection, "delays", other) == []


def watched(made: Scene, condition: Callable[[], object]) -> None:
    """A monitor runs until the condition holds."""
    monitor = Monitor(made.settings, made.ledger, Queue(made.settings, made.ledger), lambda _: None, lambda: False)
    thread = threading.Thread(target=monitor.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    monitor.stop()
    thread.join(30)
    assert not thread.is_alive()


def looked_at(made: Scene, trigger: str) -> bool:
    with made.ledger.read() as connection:
        return looks.record(connection, "delays", trigger).last_look_at == made.clock.now()


def test_before_a_job_starts_the_data_is_looked_at_whenever_that_was_planned(scene: Make) -> None:
    made = scene(DRIFT, MANY)
    made.look()
    made.clock.move(hours=20)
    made.add(NOW + DAY * 20 / 24, distance=None)
    watched(made, lambda: looked_at(made, "many"))
    assert made.jobs() == []
    assert looked_at(made, "drift")
    assert [event.event for event in made.events("data.incident", "trigger.held")] == ["data.incident", "trigger.held"]


def test_a_store_that_falls_silent_is_noticed_though_nothing_new_is_in_it(scene: Make) -> None:
    made = scene(DRIFT)
    monitor = Monitor(made.settings, made.ledger, Queue(made.settings, made.ledger), lambda _: None, lambda: False)
    watched_model = monitor._watched["delays"]
    monitor._round(watched_model, ["drift"])
    made.clock.move(hours=2)
    monitor._round(watched_model, ["drift"])
    with made.ledger.read() as connection:
        assert looks.record(connection, "delays", "drift").decision == "nothing new in the store"
    made.clock.move(hours=22)
    monitor._round(watched_model, ["drift"])
    assert made.holding() == ["volume"]
    made.clock.move(hours=24)
    monitor._round(watched_model, ["drift"])
    with made.ledger.read() as connection:
        assert looks.record(connection, "delays", "drift").decision == "nothing new in the store"
    watched_model.reader.close()
