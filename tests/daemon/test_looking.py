"""A look's verdict becomes a decision, a job and events in one transaction, and is remembered for the next."""

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clocks import SetClock
from sqlalchemy import select, update
from templates import empty_ledger

from daemon import looking
from daemon.evidence import EvidenceReader
from daemon.policy import Course
from retraind.config.loading import load
from retraind.errors import LeaseLost, LedgerError
from retraind.ledger import Ledger, jobs, leases, looks, models, tables
from retraind.states import JobState
from triggers.verdict import Outcome

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Scene:
    """One model with the triggers of `text`, a store of `rows` rows, and a ledger."""

    def __init__(self, folder: Path, triggers: str, policy: str = "{}", rows: int = 10) -> None:
        with sqlite3.connect(folder / "monitoring.db") as connection:
            connection.execute("CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER)")
            values = [((START - timedelta(hours=index)).isoformat(), 1, 1) for index in range(rows)]
            connection.executemany("INSERT INTO predictions VALUES (?, ?, ?)", values)
        (folder / "retraind.yaml").write_text(
            f"""
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db"}}
    triggers: {triggers}
    policy: {policy}
    training: {{trainer: {{sklearn: sklearn.linear_model.LogisticRegression}}}}
"""
        )
        self.settings = load(folder / "retraind.yaml", os.environ)
        self.clock = SetClock()
        self.ledger = Ledger.open(empty_ledger(self.settings.state / "ledger.db"), self.clock)
        self.reader = EvidenceReader("delays", self.settings.models["delays"], self.ledger)

    def look(self, trigger: str, guard=lambda transaction: None):
        """One look, committed."""
        model = self.settings.models["delays"]
        self.reader.begin_round()
        verdict = looking.evaluate(self.reader, trigger, self.clock.now())
        look = looking.Look("delays", trigger, model.triggers[trigger], model.policy, verdict)
        decision, job = looking.commit(self.ledger, look, model, audit_unwritable=False, guard=guard)
        return verdict, decision, job

    def events(self, name: str | None = None):
        query = select(tables.events).order_by(tables.events.c.seq)
        with self.ledger.read() as connection:
            return [row for row in connection.execute(query) if name in {None, row.event}]

    def record(self, trigger: str):
        with self.ledger.read() as connection:
            return looks.record(connection, "delays", trigger)


@pytest.fixture
def scene(tmp_path):
    made = []

    def make(triggers: str, **options) -> Scene:
        made.append(Scene(tmp_path, triggers, **options))
        return made[-1]

    yield make
    for each in made:
        each.reader.close()
        each.ledger.close()


def test_a_firing_is_one_job_with_its_numbers_and_its_cause(scene):
    made = scene("{many: {type: volume, rows: 5}}")
    verdict, _, job = made.look("many")
    assert verdict.outcome is Outcome.FIRED
    with made.ledger.read() as connection:
        assert [cause["trigger"] for cause in jobs.causes(connection, job)] == ["many"]
    assert [event.event for event in made.events()] == ["trigger.fired", "job.requested"]
    requested = made.events("job.requested")[0].data["triggers"][0]
    assert requested["sentence"] == verdict.sentence
    assert requested["numbers"] == dict(verdict.numbers)


def test_a_second_trigger_joins_the_open_job_once(scene):
    made = scene("{many: {type: volume, rows: 5}, some: {type: volume, rows: 2}}")
    _, _, job = made.look("many")
    made.look("some")
    made.look("some")
    assert [event.job for event in made.events("job.joined")] == [job]
    assert len(made.events("job.requested")) == 1


def test_every_look_is_kept_with_its_answer_also_when_nothing_fired(scene):
    made = scene("{many: {type: volume, rows: 50}}")
    made.look("many")
    with made.ledger.read() as connection:
        kept = looks.latest(connection, "delays", "many")
    assert [(look.outcome, look.decision) for look in kept] == [("quiet", "answered quiet")]
    assert kept[0].numbers


def test_a_scheduled_instant_missed_while_down_fires_once(scene):
    made = scene('{nightly: {type: cron, schedule: "0 2 * * *", timezone: UTC}}')
    made.look("nightly")
    made.clock.instant += timedelta(days=3)
    _, _, job = made.look("nightly")
    assert job is not None
    _, decision, again = made.look("nightly")
    assert again is None
    assert decision.course == "nothing"


def test_a_firing_with_a_known_key_counts_once_even_if_the_state_was_lost(scene):
    made = scene('{nightly: {type: cron, schedule: "0 2 * * *", timezone: UTC}}')
    made.look("nightly")
    before = made.record("nightly").state
    made.clock.instant += timedelta(days=1)
    _, _, job = made.look("nightly")
    with made.ledger.write("test") as transaction:
        looks.save(transaction, "delays", "nightly", {"state": before})
        jobs.close(
            transaction,
            jobs.get(transaction.connection, job),
            JobState.SKIPPED,
            made.settings.models["delays"].policy.breaker,
        )
    verdict, decision, again = made.look("nightly")
    assert verdict.outcome is Outcome.FIRED
    assert again is None
    assert decision.because == "this firing was counted before"


def test_a_trigger_that_cannot_be_judged_tells_once_and_again_when_it_recovers(scene, tmp_path):
    made = scene("{many: {type: volume, rows: 50}}")
    store = tmp_path / "monitoring.db"
    away = tmp_path / "away.db"
    store.rename(away)
    made.reader.close()
    waits = []
    for _ in range(3):
        verdict, _, _ = made.look("many")
        assert verdict.outcome is Outcome.ERROR
        waits.append((made.record("many").next_look_at - made.clock.now()).total_seconds())
    assert waits == [10, 20, 40]
    away.rename(store)
    made.look("many")
    assert [event.event for event in made.events()] == ["trigger.error", "trigger.recovered"]


def test_nothing_is_committed_by_a_daemon_that_lost_the_lead(scene):
    made = scene("{many: {type: volume, rows: 5}}")
    with made.ledger.write("daemon:a") as transaction:
        token = leases.acquire(transaction, leases.LEADER, "daemon:a", timedelta(seconds=30))
    made.clock.instant += timedelta(seconds=31)
    with made.ledger.write("daemon:b") as transaction:
        assert leases.acquire(transaction, leases.LEADER, "daemon:b", timedelta(seconds=30)) == token + 1

    def guard(transaction):
        leases.renew(transaction, leases.LEADER, token, timedelta(seconds=30))

    with pytest.raises(LeaseLost):
        made.look("many", guard)
    assert made.events() == []
    with made.ledger.read() as connection:
        assert jobs.open_job(connection, "delays") is None


def test_a_notifying_trigger_speaks_once_until_it_was_quiet(scene, tmp_path):
    made = scene("{many: {type: volume, rows: 5, action: notify}}")
    made.look("many")
    made.look("many")
    assert len(made.events("trigger.notified")) == 1
    with made.ledger.write("test") as transaction:
        made_known = models.make_known(transaction, "delays")
        assert made_known is None
        looks.save(transaction, "delays", "many", {"armed": True})
    made.look("many")
    assert len(made.events("trigger.notified")) == 2


def test_a_firing_held_by_cooldown_is_told_once_and_fires_when_it_has_passed(scene):
    made = scene("{many: {type: volume, rows: 5}}", policy="{cooldown: 6h}")
    _, _, job = made.look("many")
    with made.ledger.write("test") as transaction:
        breaker = made.settings.models["delays"].policy.breaker
        jobs.close(transaction, jobs.get(transaction.connection, job), JobState.FAILED, breaker, error="x")
    for _ in range(3):
        _, _, none = made.look("many")
        assert none is None
    assert len(made.events("trigger.held")) == 1
    made.clock.instant += timedelta(hours=6)
    _, _, second = made.look("many")
    assert second is not None


def test_all_fires_when_every_member_has(scene):
    made = scene(
        "{many: {type: volume, rows: 5, action: none}, most: {type: volume, rows: 50, action: none}, "
        "both: {type: all, of: [many, most]}, one: {type: any, of: [many, most], action: notify}}"
    )
    for name in ("many", "most"):
        _, _, job = made.look(name)
        assert job is None
    assert made.look("both")[0].outcome is Outcome.QUIET
    assert made.look("one")[0].outcome is Outcome.FIRED


def test_a_trigger_asks_for_confirmations_of_its_own_whatever_the_policy_says(scene):
    made = scene(
        "{twice: {type: volume, rows: 5, confirmations: 2 of 3, action: notify}, "
        "once: {type: volume, rows: 5, confirmations: 1 of 1}}",
        policy="{confirmations: 3 of 3}",
    )
    assert made.look("twice")[1].because == "it fired in 1 of its last 3 looks; 2 are needed"
    assert made.look("twice")[1].course is Course.NOTIFY
    assert made.look("once")[2] is not None


def test_what_fired_before_a_training_confirms_nothing_after_it(scene):
    made = scene("{many: {type: volume, rows: 5, confirmations: 2 of 2}}")
    made.look("many")
    _, _, job = made.look("many")
    made.clock.instant += timedelta(seconds=1)
    with made.ledger.write("test") as transaction:
        breaker = made.settings.models["delays"].policy.breaker
        jobs.close(transaction, jobs.get(transaction.connection, job), JobState.GATE_FAILED, breaker, error="x")
        trained = {"trained_at": transaction.now, "window_end": START - timedelta(days=1)}
        transaction.connection.execute(update(tables.jobs).values(trained))
    made.clock.instant += timedelta(seconds=1)
    assert made.look("many")[2] is None
    assert made.record("many").recent == ["fired"]
    made.clock.instant += timedelta(seconds=1)
    assert made.look("many")[2] is not None


def test_a_member_counts_from_the_look_that_confirmed_it(scene):
    made = scene(
        "{many: {type: volume, rows: 5, action: none, confirmations: 2 of 3}, "
        "both: {type: all, of: [many], action: notify}}"
    )
    made.look("many")
    assert made.record("many").fired_at is None
    assert made.look("both")[0].outcome is Outcome.QUIET
    made.look("many")
    assert made.look("both")[0].outcome is Outcome.FIRED


def test_a_ledger_that_does_not_answer_is_no_error_of_a_trigger(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "{rows: {type: volume, rows: 5}}")
    scene.look("rows")
    scene.ledger.close()
    with sqlite3.connect(scene.settings.ledger_url.removeprefix("sqlite:///")) as connection:
        connection.execute("ALTER TABLE triggers RENAME TO gone")
    with pytest.raises(LedgerError):
        looking.evaluate(scene.reader, "rows", scene.clock.now())
