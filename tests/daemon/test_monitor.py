"""The monitor's loop with real threads, stores, files and ledger: no model waits for another."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from clocks import SetClock
from sqlalchemy import select
from templates import empty_ledger

from daemon import looking
from daemon.monitor import Monitor
from retraind.config.loading import load
from retraind.errors import LeaseLost
from retraind.ledger import Ledger, Transaction, jobs, looks, tables
from retraind.queue import Queue
from triggers.cron import CronTrigger
from triggers.evidence import Evidence, ModelFacts

OFTEN = {"type": "volume", "rows": 1_000_000, "look_every": "50ms"}


class Scene:
    """Models with triggers, each with a store of its own, under one monitor at a time."""

    def __init__(
        self, folder: Path, models: Mapping[str, Mapping[str, Any]], guard: Any = lambda transaction: None
    ) -> None:
        self.folder = folder
        document: dict[str, Any] = {"models": {}, "lease": {"length": "30s", "heartbeat": "500ms"}}
        for name, triggers in models.items():
            document["models"][name] = {
                "predictions": {"url": f"sqlite:///{name}.db"},
                "triggers": dict(triggers),
                "training": {"trainer": {"sklearn": "sklearn.linear_model.LogisticRegression"}},
            }
            self.sql(name, "CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER)")
            self.add_rows(name, 10)
        (folder / "retraind.yaml").write_text(yaml.safe_dump(document))
        self.settings = load(folder / "retraind.yaml", os.environ)
        self.ledger = Ledger.open(empty_ledger(self.settings.state / "ledger.db"))
        self.guard: Callable[[Transaction], None] = guard

    def sql(self, model: str, statement: str) -> None:
        with sqlite3.connect(self.folder / f"{model}.db") as connection:
            connection.execute(statement)
        connection.close()

    def add_rows(self, model: str, count: int) -> None:
        at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        self.sql(model, f"INSERT INTO predictions VALUES {', '.join([repr((at, 1, 1))] * count)}")

    @contextmanager
    def watched(self) -> Iterator[Monitor]:
        """While a monitor runs in a thread of its own."""
        queue = Queue(self.settings, self.ledger)
        monitor = Monitor(self.settings, self.ledger, queue, self.guard, lambda: False)
        thread = threading.Thread(target=monitor.run)
        thread.start()
        try:
            yield monitor
        finally:
            monitor.stop()
            thread.join(30)
            assert not thread.is_alive()

    def record(self, model: str, trigger: str) -> looks.TriggerRecord:
        with self.ledger.read() as connection:
            return looks.record(connection, model, trigger)

    def kept(self, model: str, trigger: str) -> list[Any]:
        """The looks that computed something, newest first."""
        with self.ledger.read() as connection:
            return looks.latest(connection, model, trigger, limit=1000)

    def looked_again(self, model: str, trigger: str, times: int = 3) -> bool:
        """Waits until the trigger was looked at so many times more."""
        seen = {self.record(model, trigger).last_look_at}
        return until(lambda: seen.add(self.record(model, trigger).last_look_at) or len(seen) > times)

    def jobs(self) -> list[str]:
        with self.ledger.read() as connection:
            return [job.model for job in jobs.latest(connection)]


def until(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    """Waits for the condition. False when it did not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


Make = Callable[..., Scene]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Make]:
    made: list[Scene] = []

    def make(models: Mapping[str, Mapping[str, Any]], **options: Any) -> Scene:
        made.append(Scene(tmp_path, models, **options))
        return made[-1]

    yield make
    for each in made:
        each.ledger.close()


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_model_whose_store_does_not_answer_delays_no_other(scene: Make, tmp_path: Path) -> None:
    made = scene({"stuck": {"often": OFTEN}, "quick": {"often": OFTEN}})
    command = [sys.executable, "-c", LOCK, str(tmp_path / "stuck.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == b"locked\n"
        with made.watched() as monitor:
            assert until(lambda: "stuck" in monitor.busy())
            since = monitor.busy()["stuck"]
            assert made.looked_again("quick", "often", 5)
            assert monitor.busy().get("stuck") == since  # all the while it was the same look
            assert made.kept("stuck", "often") == []
            locker.communicate()
            assert until(lambda: made.kept("stuck", "often"))


def test_a_model_whose_store_is_broken_is_looked_at_less_and_others_as_ever(scene: Make, tmp_path: Path) -> None:
    made = scene({"broken": {"often": OFTEN}, "sound": {"often": OFTEN}})
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    with made.watched():
        assert until(lambda: made.kept("broken", "often"))
        assert made.looked_again("sound", "often", 5)
    broken = made.record("broken", "often")
    assert broken.outcome == "error"
    assert broken.next_look_at is not None
    assert broken.last_look_at is not None
    assert broken.next_look_at - broken.last_look_at == timedelta(seconds=10)
    assert len(made.kept("broken", "often")) == 1


def test_a_look_that_raises_what_nobody_foresaw_keeps_no_other_trigger_from_being_looked_at(
    scene: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene({"odd": {"first": OFTEN, "second": OFTEN}, "other": {"often": OFTEN}})
    commit = looking.commit
    victim: list[str] = []  # whichever comes first in a round
    raised: list[float] = []

    def broken(ledger: Ledger, look: looking.Look, *arguments: Any, **options: Any) -> Any:
        if look.model == "odd" and look.trigger_name in (victim or [look.trigger_name]):
            victim[:] = [look.trigger_name]
            raised.append(time.monotonic())
            raise RuntimeError("nobody foresaw this")
        return commit(ledger, look, *arguments, **options)

    monkeypatch.setattr(looking, "commit", broken)
    with made.watched():
        assert until(lambda: victim)
        assert made.looked_again("odd", "second" if victim == ["first"] else "first")
        assert made.looked_again("other", "often")
        assert until(lambda: len(raised) >= 2)
    assert raised[1] - raised[0] >= 0.5  # not again and again


def test_a_file_that_comes_brings_its_trigger_s_look_forward(scene: Make, tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    landing = {"type": "file", "path": "landing/*.csv", "settle": "200ms", "look_every": "1h"}
    made = scene({"delays": {"landing": landing}})
    with made.watched():
        assert until(lambda: made.record("delays", "landing").last_look_at)
        (tmp_path / "landing" / "rows.csv").write_text("a,b\n1,2\n")
        assert until(made.jobs)
    assert made.record("delays", "landing").outcome == "fired"


def test_nothing_is_computed_while_nothing_is_new_in_the_store(scene: Make) -> None:
    made = scene({"delays": {"often": OFTEN}})
    with made.watched():
        assert made.looked_again("delays", "often", 5)
        assert made.record("delays", "often").decision == "nothing new in the store"
        assert len(made.kept("delays", "often")) == 1
        made.add_rows("delays", 7)
        assert until(lambda: len(made.kept("delays", "often")) == 2)
        assert made.kept("delays", "often")[0].numbers["rows"] == 17


def test_a_look_that_is_quiet_like_the_last_is_told_only_to_those_who_ask_for_all(scene: Make) -> None:
    made = scene({"delays": {"often": {"type": "volume", "rows": 15, "look_every": "50ms"}}})
    with structlog.testing.capture_logs() as logged, made.watched():
        assert until(lambda: len(made.kept("delays", "often")) == 1)
        made.add_rows("delays", 2)
        assert until(lambda: len(made.kept("delays", "often")) == 2)
        made.add_rows("delays", 3)
        assert until(made.jobs)
    told = [(line["log_level"], line["outcome"]) for line in logged if line["event"] == "look"]
    assert told[:3] == [("info", "quiet"), ("debug", "quiet"), ("info", "fired")]


def test_a_restart_keeps_to_the_looks_that_were_planned(scene: Make) -> None:
    hourly = {"type": "volume", "rows": 1_000_000, "look_every": "1h"}
    made = scene({"delays": {"often": OFTEN, "hourly": hourly, "overdue": hourly}})
    with made.watched():
        assert until(
            lambda: made.record("delays", "overdue").last_look_at and made.record("delays", "hourly").last_look_at
        )
    planned = made.record("delays", "hourly")
    with made.ledger.write("test") as transaction:  # it was to be looked at while nobody watched
        looks.save(transaction, "delays", "overdue", {"next_look_at": transaction.now - timedelta(seconds=1)})
    with made.watched():
        assert until(lambda: len(made.kept("delays", "overdue")) == 2)
        assert made.looked_again("delays", "often")
    assert made.record("delays", "hourly") == planned
    assert len(made.kept("delays", "hourly")) == 1


def test_a_monitor_that_lost_the_lead_stops_and_leaves_nothing_behind(scene: Make) -> None:
    lost = threading.Event()

    def guard(transaction: Transaction) -> None:
        if lost.is_set():
            raise LeaseLost("another daemon leads")

    made = scene({"delays": {"often": {"type": "volume", "rows": 15, "look_every": "50ms"}}}, guard=guard)
    with made.watched() as monitor:
        assert made.looked_again("delays", "often")
        lost.set()
        made.add_rows("delays", 20)
        assert monitor.stopped.wait(20)
    assert made.jobs() == []
    with made.ledger.read() as connection:
        assert connection.execute(select(tables.events)).all() == []


def test_a_firing_becomes_one_job_however_often_it_is_looked_at(scene: Make) -> None:
    made = scene({"delays": {"enough": {"type": "volume", "rows": 5, "look_every": "50ms"}}})
    with made.watched():
        assert until(made.jobs)
        assert made.looked_again("delays", "enough")
    assert made.jobs() == ["delays"]


# --- the clock is set


def test_what_was_planned_before_the_clock_was_set_back_is_brought_forward(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {"delays": {"volume": {**OFTEN, "look_every": "1m"}}})
    clock = SetClock()
    scene.ledger.clock = clock
    with scene.ledger.write("daemon") as transaction:
        values = {"last_look_at": transaction.now, "next_look_at": transaction.now + timedelta(minutes=1)}
        looks.save(transaction, "delays", "volume", values)
    monitor = Monitor(scene.settings, scene.ledger, Queue(scene.settings, scene.ledger), scene.guard, lambda: False)
    monitor._begin()
    clock.step(hours=-1)
    assert monitor._look_at_due() <= 60
    assert monitor._watched["delays"].due == {"volume": clock.now() + timedelta(minutes=1)}
    monitor._end()
    scene.ledger.close()


def test_a_scheduled_instant_that_comes_twice_because_the_clock_was_set_back_fires_once() -> None:
    trigger = CronTrigger(schedule="0 * * * *")
    facts = ModelFacts(datetime(2026, 3, 1, tzinfo=UTC), None, None, None, None, {})
    state: Mapping[str, Any] = {}
    fired = []
    for hour, minute in ((11, 50), (12, 1), (11, 55), (12, 0), (12, 5), (13, 0), (12, 30), (13, 2)):
        now = datetime(2026, 3, 1, hour, minute, tzinfo=UTC)
        verdict = trigger.evaluate(Evidence(facts, state, {}), now)
        state = verdict.state or {}
        if verdict.fired:
            fired.append(verdict.key)
    assert fired == ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"]
