"""The reconciler re-drives what was left: lost messages, expired approvals, firings that waited."""

import os
from datetime import timedelta

import pytest
import redis
from clocks import SetClock
from sqlalchemy import select
from templates import empty_ledger

from daemon.reconciler import Reconciler
from retraind.audit import AuditLog
from retraind.config.loading import load
from retraind.ledger import Ledger, jobs, looks, tables, work
from retraind.queue import Queue
from retraind.states import JobState
from triggers.verdict import Outcome, Verdict


class Scene:
    def __init__(self, folder, broker: str) -> None:
        (folder / "retraind.yaml").write_text(
            f"""
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db"}}
    policy: {{cooldown: 1h}}
    training: {{trainer: {{sklearn: sklearn.linear_model.LogisticRegression}}}}
broker: {broker}
monitor: {{republish_after: 30s}}
"""
        )
        self.clock = SetClock()
        self.settings = load(folder / "retraind.yaml", os.environ)
        self.ledger = Ledger.open(empty_ledger(self.settings.state / "ledger.db"), self.clock)
        self.audit = AuditLog(self.settings.audit.path, self.ledger, self.settings.audit.rotate)
        queue = Queue(self.settings, self.ledger)
        self.reconciler = Reconciler(self.settings, self.ledger, self.audit, queue, lambda transaction: None)

    def request(self) -> str:
        with self.ledger.write("daemon") as transaction:
            job = jobs.request(transaction, "delays", reason="r")
        assert job
        return job

    def job(self, name: str):
        with self.ledger.read() as connection:
            return jobs.get(connection, name)

    def events(self, name: str):
        with self.ledger.read() as connection:
            return list(connection.execute(select(tables.events).where(tables.events.c.event == name)))


@pytest.fixture
def scene(tmp_path, valkey_url):
    made = Scene(tmp_path, valkey_url)
    yield made
    made.ledger.close()


def test_a_job_that_was_never_announced_is_announced_at_once(scene):
    job = scene.request()
    scene.reconciler.pass_once()
    assert (scene.job(job).state, scene.job(job).publications) == (JobState.QUEUED, 1)


def test_a_job_that_nobody_claims_is_announced_again_less_often_each_time(scene):
    job = scene.request()
    announced = []
    for second in range(0, 300, 5):
        before = scene.job(job).publications
        scene.reconciler.pass_once()
        if scene.job(job).publications > before:
            announced.append(second)
        scene.clock.instant += timedelta(seconds=5)
    assert announced == [0, 30, 90, 210]


def test_a_job_whose_message_the_broker_lost_is_announced_again_without_growing_patience(scene, valkey_url):
    job = scene.request()
    announced = []
    with redis.Redis.from_url(valkey_url) as broker:
        for second in range(0, 130, 5):
            before = scene.job(job).publications
            scene.reconciler.pass_once()
            if scene.job(job).publications > before:
                announced.append(second)
            broker.flushall()
            scene.clock.instant += timedelta(seconds=5)
    assert announced == [0, 30, 60, 90, 120]


def test_a_job_announced_before_the_clock_was_stepped_back_is_announced_again(scene, valkey_url):
    job = scene.request()
    scene.reconciler.pass_once()
    with redis.Redis.from_url(valkey_url) as broker:
        broker.flushall()
    scene.clock.instant -= timedelta(hours=1)
    scene.reconciler.pass_once()
    assert scene.job(job).publications == 2


def test_a_job_under_a_live_lease_is_left_alone_and_one_whose_lease_ran_out_is_not(scene):
    job = scene.request()
    scene.reconciler.pass_once()
    with scene.ledger.write("worker:a") as transaction:
        work.claim(transaction, job, "worker:a", timedelta(seconds=600))
    scene.clock.instant += timedelta(seconds=599)
    scene.reconciler.pass_once()
    assert scene.job(job).publications == 1
    scene.clock.instant += timedelta(seconds=1)
    scene.reconciler.pass_once()
    assert scene.job(job).publications == 2


def test_an_approval_nobody_gave_expires_on_its_instant(scene):
    job = scene.request()
    with scene.ledger.write("worker:a") as transaction:
        held = work.claim(transaction, job, "worker:a", timedelta(seconds=30))
        expires = transaction.now + timedelta(hours=24)
        work.release(transaction, held, state=JobState.AWAITING_APPROVAL, approval_expires_at=expires)
    scene.clock.instant += timedelta(hours=24) - timedelta(seconds=1)
    scene.reconciler.pass_once()
    assert scene.job(job).state == JobState.AWAITING_APPROVAL
    scene.clock.instant += timedelta(seconds=1)
    scene.reconciler.pass_once()
    assert scene.job(job).state == JobState.EXPIRED
    assert scene.events("job.closed")[0].data["error"] == "nobody approved in time"


def test_a_firing_that_waited_becomes_a_job_when_nothing_holds_it_back(scene):
    first = scene.request()
    with scene.ledger.write("daemon") as transaction:
        verdict = Verdict(Outcome.FIRED, "the schedule came round.", {"n": 1}, key="k")
        looks.fire(transaction, "delays", "weekly", verdict, role="waiting", job=None)
    scene.reconciler.pass_once()
    assert len(scene.events("job.requested")) == 1
    with scene.ledger.write("worker:a") as transaction:
        jobs.close(transaction, scene.job(first), JobState.DEPLOYED, scene.settings.models["delays"].policy.breaker)
    scene.clock.instant += timedelta(minutes=59)
    scene.reconciler.pass_once()
    assert len(scene.events("job.requested")) == 1
    scene.clock.instant += timedelta(minutes=1)
    scene.reconciler.pass_once()
    second = scene.events("job.requested")[1].job
    with scene.ledger.read() as connection:
        assert [(cause["trigger"], cause["role"]) for cause in jobs.causes(connection, second)] == [("weekly", "cause")]


def test_a_trigger_that_is_not_looked_at_any_more_is_an_alarm_told_once(tmp_path, valkey_url):
    made = Scene(tmp_path, valkey_url)
    text = (tmp_path / "retraind.yaml").read_text()
    (tmp_path / "retraind.yaml").write_text(
        text.replace("    policy:", "    triggers: {stale: {type: interval, every: 1h}}\n    policy:")
    )
    made.reconciler.settings = load(tmp_path / "retraind.yaml", os.environ)
    with made.ledger.write("daemon") as transaction:
        values = {"last_look_at": transaction.now, "next_look_at": transaction.now + timedelta(minutes=1)}
        looks.save(transaction, "delays", "stale", values)
    made.clock.instant += timedelta(minutes=4, seconds=1)
    made.reconciler.pass_once()
    made.reconciler.pass_once()
    assert [event.data["trigger"] for event in made.events("trigger.stale")] == ["stale"]
    made.ledger.close()


def test_an_unwritable_audit_log_is_an_alarm_and_is_caught_up(scene):
    scene.request()
    path = scene.settings.audit.path
    path.mkdir(parents=True)
    scene.reconciler.pass_once()
    assert scene.reconciler.audit_unwritable
    scene.reconciler.pass_once()
    assert len(scene.events("audit.unwritable")) == 1
    path.rmdir()
    scene.reconciler.pass_once()
    assert not scene.reconciler.audit_unwritable
    scene.reconciler.pass_once()
    assert scene.audit.lag() == 0
    assert len(scene.events("audit.repaired")) == 1


def test_a_step_that_fails_does_not_keep_the_others_from_being_done(tmp_path):
    made = Scene(tmp_path, "redis://127.0.0.1:1/0")
    job = made.request()
    made.settings.audit.path.mkdir(parents=True)
    old = made.clock.now() - timedelta(days=100)
    with made.ledger.write("daemon") as transaction:
        looks.keep(transaction, "delays", "t", Verdict(Outcome.QUIET, "q."), "answered quiet", None)
        transaction.connection.execute(tables.looks.update().values(at=old))
    made.reconciler.pass_once()
    assert made.job(job).state == JobState.REQUESTED
    with made.ledger.read() as connection:
        assert looks.latest(connection, "delays") == []
    made.ledger.close()


def test_a_step_forward_takes_no_job_from_a_worker_that_lives(scene):
    job = scene.request()
    scene.reconciler.pass_once()
    with scene.ledger.write("worker:a") as transaction:
        held = work.claim(transaction, job, "worker:a", timedelta(seconds=30))
    scene.clock.step(hours=1)
    scene.reconciler.pass_once()
    assert scene.job(job).publications == 1
    with scene.ledger.write("worker:a") as transaction:
        work.renew(transaction, held, timedelta(seconds=30))
    scene.clock.move(seconds=31)  # from here on it is dead
    scene.reconciler.pass_once()
    assert scene.job(job).publications == 2
