"""The verbs by which a person acts: each writes the ledger under the person's name, and can be asked twice."""

import getpass
import json
import time
from types import SimpleNamespace

import pytest
import redis

from daemon.cli import following
from retraind.config.policy import Breaker
from retraind.ledger import jobs, looks, models, shown, trail, work
from retraind.states import STAGES, JobState, Stage
from triggers.verdict import Outcome, Verdict

ME = f"user:{getpass.getuser()}"


def events(project, name):
    with project.ledger.read() as connection:
        return [event for event in trail.beyond(connection, 0) if event["event"] == name]


def messages(url):
    """The tasks that wait in the broker."""
    with redis.Redis.from_url(url) as client:
        return [json.loads(raw)["headers"]["task"] for raw in client.lrange("retraind", 0, -1)]


def test_a_person_asks_for_a_retraining_and_is_named(project, valkey_url):
    project.configure(valkey_url)
    answer = project("trigger", "delays", "--reason", "new schedule")
    assert (answer.code, answer.err) == (0, "")
    (requested,) = events(project, "job.requested")
    assert answer.out == f"job {requested['job']} is requested; `retraind show {requested['job']}` tells how it goes\n"
    assert requested["actor"] == ME
    assert requested["data"]["reason"] == "new schedule"
    assert messages(valkey_url) == ["retraind.ingest"]
    assert project.state(requested["job"]) == "queued"


def test_a_broker_that_does_not_answer_takes_the_request_back_in_no_way(project):
    answer = project("trigger", "delays", "--json")
    assert answer.code == 0
    assert "does not answer" in answer.err
    assert "the request stands in the ledger, and the daemon announces it then" in answer.err
    report = answer.json
    assert (report["requested"], report["announced"], report["state"]) == (True, False, "requested")


def test_asking_again_names_the_open_job_and_is_no_error(project):
    first = project("trigger", "delays", "--json").json
    second = project("trigger", "delays")
    assert second.code == 0
    assert second.out == f"model 'delays' has an open job already: {first['job']} (requested)\n"
    again = project("trigger", "delays", "--json").json
    assert (again["job"], again["requested"]) == (first["job"], False)
    assert len(events(project, "job.requested")) == 1


def test_an_unknown_model_is_a_wrong_call_with_the_nearest_name(project):
    for call in (["trigger", "dealys"], ["rollback", "dealys"], ["pause", "dealys"], ["resume", "dealys"]):
        answer = project(*call)
        assert (answer.code, answer.out) == (2, "")
        assert "there is no model 'dealys' in the configuration (did you mean 'delays'?)" in answer.err
    assert events(project, "job.requested") == []


def test_a_paused_model_is_not_retrained_unless_forced(project):
    project("pause", "delays", "--reason", "holidays")
    answer = project("trigger", "delays")
    assert answer.code == 1
    assert answer.err == (
        f"retraind: model 'delays' is paused by {ME}: holidays; `retraind resume delays` ends that, "
        "--force asks all the same\n"
    )
    assert project("trigger", "delays", "--force").code == 0
    assert events(project, "job.requested")[0]["data"]["forced"] is True


def test_force_cannot_be_given_to_a_job_that_runs_without(project):
    project("trigger", "delays")
    assert "it was not forced, and --force cannot change that now" in project("trigger", "delays", "--force").out


def test_a_firing_that_waited_joins_the_job_that_a_person_asked_for(project):
    with project.ledger.write("daemon") as transaction:
        verdict = Verdict(Outcome.FIRED, "It is Sunday.", key="sunday")
        looks.fire(transaction, "delays", "weekly", verdict, role="waiting", job=None)
    job = project("trigger", "delays", "--json").json["job"]
    with project.ledger.read() as connection:
        assert [cause["trigger"] for cause in jobs.causes(connection, job)] == ["weekly"]
        assert looks.waiting(connection, "delays") == []


@pytest.fixture
def while_waiting(monkeypatch):
    """Takes steps, of which one is taken each time that the command waits."""

    def take(*steps):
        left = list(steps)
        stand_in = SimpleNamespace(sleep=lambda _seconds: left.pop(0)(), monotonic=time.monotonic)
        monkeypatch.setattr(following, "time", stand_in)

    return take


def carry_out(project, outcome):
    """What a worker does, as far as the ledger sees it."""
    with project.ledger.read() as connection:
        job = jobs.open_job(connection, "delays")
    held = project.claim(job.id)
    project.run(held, *STAGES[:-1])
    with project.ledger.write(held.owner) as transaction:
        if outcome is JobState.AWAITING_APPROVAL:
            work.release(transaction, held, state=outcome)
        else:
            job = jobs.get(transaction.connection, held.job.id)
            jobs.close(transaction, job, outcome, Breaker(), error="accuracy fell short")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (JobState.DEPLOYED, 0),
        (JobState.AWAITING_APPROVAL, 0),
        (JobState.GATE_FAILED, 1),
        (JobState.FAILED, 1),
        (JobState.SKIPPED, 1),
    ],
)
def test_waiting_follows_the_job_to_its_end(project, while_waiting, outcome, code):
    while_waiting(lambda: carry_out(project, outcome))
    answer = project("trigger", "delays", "--wait")
    assert answer.code == code
    assert "worker:here:1 took the job" in answer.out
    assert "train done in" in answer.out
    assert "no worker is alive" in answer.err


def test_waiting_follows_an_open_job_too_and_keeps_json_clean(project, while_waiting):
    job = project.job()
    while_waiting(lambda: None, lambda: carry_out(project, JobState.DEPLOYED))
    answer = project("trigger", "delays", "--wait", "--json")
    assert (answer.code, answer.json) == (
        0,
        {"model": "delays", "job": job, "requested": False, "announced": True, "state": "deployed"},
    )


def test_an_approved_challenger_is_deployed_by_a_worker(project, valkey_url):
    project.configure(valkey_url)
    job = project.awaiting()
    answer = project("approve", job)
    assert (answer.code, answer.out) == (0, f"job {job} is approved\n")
    assert project.state(job) == "deploying"
    assert messages(valkey_url) == ["retraind.deploy"]
    assert events(project, "job.approved")[0]["actor"] == ME


def test_approving_twice_is_no_error(project, valkey_url):
    project.configure(valkey_url)
    job = project.awaiting()
    assert project("approve", job, "--json").json["changed"] is True
    again = project("approve", job, "--json")
    assert (again.code, again.json["changed"], again.json["state"]) == (0, False, "deploying")
    assert len(events(project, "job.approved")) == 1


def test_what_does_not_await_approval_cannot_be_approved(project):
    answer = project("approve", project.job())
    assert answer.code == 1
    assert "is requested, not awaiting approval; there is nothing to approve" in answer.err


def test_a_rejection_needs_a_reason(project):
    job = project.awaiting()
    assert project("reject", job).code == 2
    answer = project("reject", job, "--reason", "the holidays distort it")
    assert (answer.code, answer.out) == (0, f"job {job} is rejected\n")
    assert project.state(job) == "rejected"
    assert events(project, "job.closed")[0]["data"]["error"] == "the holidays distort it"
    assert project("reject", job, "--reason", "again").out == f"job {job} is rejected already; it is rejected\n"


def test_a_waiting_job_is_cancelled_at_once(project):
    job = project.job()
    answer = project("cancel", job)
    assert (answer.code, answer.out) == (0, f"job {job} is cancelled\n")
    assert project.state(job) == "cancelled"
    assert project("cancel", job, "--json").json["changed"] is False


def test_a_job_that_a_worker_holds_is_ended_by_the_worker(project):
    held = project.claim(project.job())
    report = project("cancel", held.job.id, "--json").json
    assert (report["changed"], report["ended"], report["state"]) == (True, False, "running")
    assert "its worker ends it at the next step" in project("cancel", held.job.id).out


def test_what_has_ended_cannot_be_cancelled(project):
    answer = project("cancel", project.closed(JobState.FAILED))
    assert answer.code == 1
    assert "has ended already, as failed; there is nothing to cancel" in answer.err


def test_an_unknown_job_is_a_wrong_call(project):
    for call in (["approve", "nope"], ["cancel", "nope"], ["reject", "nope", "--reason", "x"]):
        answer = project(*call)
        assert (answer.code, answer.err) == (2, "retraind: there is no job 'nope'; `retraind jobs` lists them\n")


def test_a_rollback_goes_back_and_wakes_the_workers(project, valkey_url):
    project.configure(valkey_url)
    project.deployed()
    project.deployed()
    answer = project("rollback", "delays", "--reason", "complaints")
    assert (answer.code, answer.out) == (0, "delays goes back from version 2 to version 1\n")
    with project.ledger.read() as connection:
        assert models.champions(connection, "delays").current.version == "1"
    assert messages(valkey_url) == ["retraind.converge"]
    assert events(project, "model.rolled_back")[0]["data"]["reason"] == "complaints"


def test_without_an_earlier_version_there_is_nothing_to_go_back_to(project):
    project.deployed()
    answer = project("rollback", "delays")
    assert answer.code == 1
    assert answer.err == "retraind: model 'delays' has no earlier version to go back to\n"


def test_a_rollback_waits_until_every_target_shows_the_version(project, while_waiting):
    project.deployed()
    project.deployed()

    def converge():
        with project.ledger.write("worker") as transaction:
            shown.note(transaction, "delays", "mlflow:delays@champion", "1")

    while_waiting(lambda: None, converge)
    answer = project("rollback", "delays", "--wait")
    assert answer.code == 0
    assert "every target of delays shows version 1" in answer.out


def test_a_target_that_fails_ends_the_wait_with_1(project, while_waiting):
    project.deployed()
    project.deployed()

    def fail():
        with project.ledger.write("worker") as transaction:
            shown.note(transaction, "delays", "mlflow:delays@champion", "2", "MLflow does not answer")
            data = {"target": "mlflow:delays@champion", "version": "1", "error": "MLflow does not answer"}
            transaction.event("target.failed", model="delays", data=data)

    while_waiting(fail)
    answer = project("rollback", "delays", "--wait", "--json")
    assert (answer.code, answer.json["shown"]) == (1, False)


def test_nobody_waits_for_ever_for_a_rollback_that_no_worker_carries_out(project, monkeypatch):
    project.deployed()
    project.deployed()
    ticks = iter(range(0, 10_000, 50))
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: float(next(ticks))))
    answer = project("rollback", "delays", "--wait")
    assert answer.code == 1
    assert "no worker made the targets of delays show version 1 within 120 seconds" in answer.err


def test_pausing_and_resuming_twice_is_no_error(project):
    assert project("pause", "delays", "--reason", "holidays").out == "delays is paused: no new job starts\n"
    assert project("pause", "delays").out == "delays was paused already\n"
    assert project("resume", "delays").out == "delays is watched and retrained again\n"
    assert project("resume", "delays").out == "delays was not paused already\n"
    assert project("pause", "delays", "--json").json == {"model": "delays", "paused": True, "changed": True}
    assert [event["actor"] for event in events(project, "model.paused")] == [ME, ME]


def test_every_request_lets_the_audit_log_catch_up(project):
    project("pause", "delays")
    (line,) = (project.folder / "state" / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "model.paused"


def test_a_stage_that_runs_is_what_is_waited_for(project):
    held = project.claim(project.job())
    with project.ledger.write(held.owner) as transaction:
        work.begin_stage(transaction, held, Stage.TRAIN)
    report = project("status", "--json").json
    assert report["models"][0]["open_job"]["stage"] == "train"


def test_a_log_that_cannot_be_written_is_told_aside_and_keeps_json_clean(project):
    (project.folder / "state" / "audit.jsonl").mkdir()
    answer = project("pause", "delays", "--json")
    assert (answer.code, answer.json["changed"]) == (0, True)
    assert answer.err.startswith(f"retraind: the audit log {project.folder}/state/audit.jsonl cannot be written")


def test_a_secret_of_the_configuration_is_hidden_wherever_it_turns_up(project):
    text = (project.folder / "retraind.yaml").read_text()
    project.configure(text=text + "alerts: [{url: 'json://hunter2hunter@localhost', on: [failed]}]\n")
    job = project.closed(JobState.FAILED, error="could not post to json://hunter2hunter@localhost")
    for call in (["show", job], ["show", job, "--json"], ["jobs"], ["jobs", "--json"], ["audit", "tail"]):
        answer = project(*call)
        assert "could not post to json://***" in answer.out
        assert "hunter2hunter" not in answer.out
