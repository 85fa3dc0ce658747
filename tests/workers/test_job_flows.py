"""Jobs from the request to their end: compared, skipped, approved, cancelled, rolled back and repaired."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from driving import BEFORE_REGISTER, MODEL, History, Project, history, until

from daemon.reconciler import Reconciler
from retraind.audit import AuditLog
from retraind.errors import Conflict
from retraind.ledger import jobs, leases, models, trail
from retraind.states import JobState, Stage


@pytest.fixture(scope="module")
def past() -> History:
    return history()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


def champions_agree(project: Project, version: str) -> bool:
    return project.serves() == {version}


# --- compared


def test_the_first_model_needs_no_champion_and_the_second_is_compared_with_it_on_the_same_rows(past: History) -> None:
    project = past.at("second deployed")
    first, second = project.job(past.first), project.job(past.second)
    assert (first.state, first.version, second.state, second.version) == (
        JobState.DEPLOYED,
        "1",
        JobState.DEPLOYED,
        "2",
    )
    assert champions_agree(project, "2")
    assert project.alias("previous") == "1"
    alone, compared = (project.events("gate.passed", job)[-1] for job in (past.first, past.second))
    assert alone["champion"] is None
    assert "there is no champion yet" in alone["sentence"]
    # The champion's bar is off by five: judged on the second job's rows, not remembered from its own.
    assert compared["champion"] < compared["challenger"] == 1.0
    assert compared["champion"] != alone["challenger"]
    assert "on the same rows" in compared["sentence"]


def test_a_job_s_closing_event_alone_tells_how_it_went(past: History) -> None:
    project = past.at("second deployed")
    closed = project.events("job.closed", past.second)[0]
    assert (closed["outcome"], closed["success"], closed["version"]) == ("deployed", True, "2")
    assert closed["trigger"] == ["drift"]
    assert closed["metrics"]["accuracy"] == 1.0
    assert (closed["error"], closed["requested_by"]) == (None, "user:ann")
    names = ["job.started", "stage.started", "model.registered", "model.deployed", "job.closed"]
    with project.session.ledger.read() as connection:
        told = [event["event"] for event in trail.of_job(connection, past.second)]
    assert [name for name in dict.fromkeys(told) if name in names] == names


def test_a_worse_challenger_ends_at_the_gate_and_the_champion_keeps_serving(past: History) -> None:
    project = past.at("second deployed")
    project.bar(20)
    project.later(20)
    worse = project.run()
    assert (worse.state, worse.version) == (JobState.GATE_FAILED, None)
    assert worse.error is not None
    assert "against the champion's 1.0000 on the same rows (-0." in worse.error
    assert champions_agree(project, "2")
    assert project.alias("previous") == "1"
    assert len(project.events("gate.failed")) == 1


# --- skipped


def test_the_same_window_and_recipe_again_is_skipped_with_the_version_named(past: History) -> None:
    project = past.at("second deployed")
    again = project.advance(project.request(), Stage.INGEST)
    assert again.state == JobState.SKIPPED
    assert again.error is not None
    assert past.second in again.error
    assert "version 2" in again.error
    assert champions_agree(project, "2")


def test_a_forced_job_trains_all_the_same(past: History) -> None:
    project = past.at("second deployed")
    job = project.advance(project.request(forced=True), *BEFORE_REGISTER[:3])
    assert job.state == JobState.RUNNING
    assert project.directory(job.id).model.is_dir()


def test_a_job_whose_code_changed_is_not_skipped(past: History) -> None:
    project = past.at("second deployed")
    project.bar(14.5)
    assert project.advance(project.request(), Stage.INGEST).state == JobState.RUNNING


def test_a_changed_function_file_is_another_recipe(project: Project) -> None:
    project.configure(training={"trainer": {"function": "make.py:train"}})
    recipes = []
    for text in ("def train(data, target): return 1\n", "def train(data, target): return 2\n"):
        (project.folder / "make.py").write_text(text)
        job = project.advance(project.request(), Stage.INGEST)
        recipes.append(job.recipe_hash)
        cancel(project, job.id)
    assert len(set(recipes)) == 2


# --- approved


def manual(past: History) -> tuple[Project, str]:
    """A project whose second job awaits approval, and that job."""
    project = past.at("second judged")
    project.configure(policy={"approval": "manual", "approval_expires": "24h"})
    job = project.advance(past.second, Stage.REGISTER, Stage.DEPLOY)
    assert job.state == JobState.AWAITING_APPROVAL
    return project, job.id


def test_an_approved_challenger_is_deployed_and_one_that_waits_is_not(past: History) -> None:
    project, job = manual(past)
    assert champions_agree(project, "1")
    assert project.events("job.awaiting_approval")[0]["version"] == "2"
    with project.session.ledger.write("user:bob") as transaction:
        jobs.approve(transaction, job)
    assert project.advance(job, Stage.DEPLOY).state == JobState.DEPLOYED
    assert champions_agree(project, "2")
    assert project.events("job.closed", job)[0]["approved_by"] == "user:bob"


def test_a_rejected_challenger_is_never_deployed(past: History) -> None:
    project, job = manual(past)
    with project.session.ledger.write("user:bob") as transaction:
        jobs.reject(transaction, job, project.session.settings.models[MODEL].policy.breaker, "not now")
    rejected = project.advance(job, Stage.DEPLOY)
    assert (rejected.state, rejected.error) == (JobState.REJECTED, "not now")
    assert champions_agree(project, "1")


def test_an_approval_that_nobody_gives_expires(past: History) -> None:
    project, job = manual(past)
    session = project.session
    audit = AuditLog(session.settings.audit.path, session.ledger, session.settings.audit.rotate)
    reconciler = Reconciler(session.settings, session.ledger, audit, session.queue, lambda transaction: None)
    project.clock.instant += timedelta(hours=24) - timedelta(seconds=1)
    reconciler.expire_approvals()
    assert project.job(job).state == JobState.AWAITING_APPROVAL
    project.clock.instant += timedelta(seconds=1)
    reconciler.expire_approvals()
    assert project.advance(job, Stage.DEPLOY).state == JobState.EXPIRED
    assert champions_agree(project, "1")


# --- cancelled


def cancel(project: Project, job: str) -> bool:
    breaker = project.session.settings.models[MODEL].policy.breaker
    with project.session.ledger.write("user:bob") as transaction:
        return jobs.cancel(transaction, job, breaker, "cancelled by user:bob")


def test_a_job_cancelled_before_it_is_claimed_ends_at_once_and_trains_nothing(project: Project) -> None:
    job = project.request()
    assert cancel(project, job)
    assert project.advance(job).state == JobState.CANCELLED
    assert not project.directory(job).path.exists()


def test_a_job_cancelled_between_two_stages_ends_at_once(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST)
    assert cancel(project, job)
    assert project.advance(job).state == JobState.CANCELLED


def test_a_job_cancelled_while_it_trains_leaves_no_process_and_no_model(project: Project) -> None:
    script = "import os, subprocess, time; subprocess.Popen(['sleep', '300']); open('up', 'w').close(); time.sleep(300)"
    project.configure(training={"trainer": {"command": ["python3", "-c", script]}})
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    worker = threading.Thread(target=project.advance, args=(job, Stage.TRAIN))
    worker.start()
    assert until((project.folder / "up").exists)
    assert not cancel(project, job)  # a worker holds it, and ends it
    worker.join(30)
    assert not worker.is_alive()
    ended = project.job(job)
    assert (ended.state, ended.error) == (JobState.CANCELLED, "cancelled by user:bob")
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before
    assert not project.directory(job).model.exists()
    assert not project.directory(job).group.exists()
    assert project.events("job.closed", job)[0]["outcome"] == "cancelled"


@pytest.mark.parametrize("approval", ["auto", "manual"])
def test_a_job_cancelled_while_its_model_is_registered_is_neither_deployed_nor_left_waiting(
    past: History, approval: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = past.at("second judged")
    project.configure(policy={"approval": approval})
    registry = type(project.session.registry)
    register = registry.register

    def meanwhile(self: object, registration: object, fence: object) -> object:
        assert not cancel(project, past.second)
        return register(self, registration, fence)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "register", meanwhile)
    job = project.advance(past.second, Stage.REGISTER, Stage.DEPLOY)
    assert (job.state, job.error) == (JobState.CANCELLED, "cancelled by user:bob")
    assert champions_agree(project, "1")


# --- rolled back and repaired


def roll_back(project: Project) -> None:
    with project.session.ledger.write("user:bob") as transaction:
        models.rollback(transaction, MODEL, "it was late")
    project.converge()


def test_a_rollback_restores_the_version_before_in_every_target_and_a_second_goes_further_back(past: History) -> None:
    project = past.at("second deployed")
    project.later(20)
    project.bar(15.5)
    assert project.run().version == "3"
    assert champions_agree(project, "3")
    roll_back(project)
    assert champions_agree(project, "2")
    assert project.alias("previous") == "1"
    roll_back(project)
    assert champions_agree(project, "1")
    assert project.alias("previous") is None
    assert project.told() == ["1", "2", "3", "2", "1"]
    assert project.events("target.repaired") == []  # following the ledger is no repair
    with pytest.raises(Conflict, match="no earlier version"):
        roll_back(project)
    assert [data["version"] for data in project.events("model.rolled_back")] == ["2", "1"]


def test_a_deployment_waits_for_another_workers_convergence_and_spends_no_attempt(past: History) -> None:
    project = past.at("second judged")
    ledger = project.session.ledger
    with ledger.write("worker:other") as transaction:
        token = leases.acquire(transaction, f"converge:{MODEL}", "worker:other", timedelta(hours=1))

    def release() -> None:
        with ledger.write("worker:other") as transaction:
            leases.release(transaction, f"converge:{MODEL}", token or 0)

    timer = threading.Timer(1.5, release)
    timer.start()
    with ledger.read() as connection:
        job = jobs.latest(connection, MODEL, 1)[0].id
    project.advance(job, Stage.REGISTER, Stage.DEPLOY)
    timer.join()
    assert project.job(job).state == JobState.DEPLOYED
    assert project.attempts(job, Stage.DEPLOY) == 1
    assert project.events("stage.failed", job) == []


def test_an_alias_or_a_link_that_a_stranger_changed_is_mended_and_told(past: History) -> None:
    project = past.at("second deployed")
    link = project.folder / "live" / "current"
    link.unlink()
    link.symlink_to("versions/1")
    project.session.registry.set_aliases(MODEL, "1", "1", "champion")
    project.converge()
    assert champions_agree(project, "2")
    assert project.alias("previous") == "1"
    repaired = {data["target"]: (data["found"], data["version"]) for data in project.events("target.repaired")}
    assert repaired == {"mlflow delays@champion": ("1", "2"), f"directory {project.folder / 'live'}": ("1", "2")}
    assert project.told() == ["1", "2"]  # the command was told already
    project.converge()
    assert len(project.events("target.repaired")) == 2


def test_a_link_and_an_alias_that_a_stranger_removed_are_mended_and_told(past: History) -> None:
    project = past.at("second deployed")
    (project.folder / "live" / "current").unlink()
    project.session.registry._client.delete_registered_model_alias(MODEL, "champion")
    project.converge()
    assert champions_agree(project, "2")
    assert [data["found"] for data in project.events("target.repaired")] == ["", ""]


def test_the_alias_of_the_version_before_is_mended_too(past: History) -> None:
    project = past.at("second deployed")
    project.session.registry._client.delete_registered_model_alias(MODEL, "previous")
    project.converge()
    assert project.alias("previous") == "1"


# --- a target that fails


def test_a_target_that_fails_for_good_takes_the_deployment_back_everywhere(past: History) -> None:
    project = past.at("second judged")
    project.advance(past.second, Stage.REGISTER)
    (project.folder / "refuse").touch()
    job = project.advance(past.second, Stage.DEPLOY)
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.startswith("The deployment of version 2 of delays ended with exit code 3; its last line was:")
    assert "no room on the shelf" in job.error
    assert project.champion() == "1"
    assert [data["error"] for data in project.events("target.failed")] == [job.error]
    assert project.events("model.deployed", past.second) == []
    project.converge()  # the command refuses still; the others follow all the same
    assert (project.alias(), project.link()) == ("1", "1")
    (project.folder / "refuse").unlink()
    project.converge()
    assert champions_agree(project, "1")
    # It is no twin: the same window and recipe may be tried again.
    assert project.advance(project.request(), Stage.INGEST).state == JobState.RUNNING


def test_a_target_that_does_not_answer_just_now_is_tried_again(past: History) -> None:
    project = past.at("second judged")
    project.advance(past.second, Stage.REGISTER)
    (project.folder / "deploy.sh").write_text("exit 75\n")
    waits = []
    for _ in range(2):
        job = project.advance(past.second, Stage.DEPLOY)
        assert job.state == JobState.DEPLOYING
        assert job.not_before is not None
        waits.append((job.not_before - project.clock.instant).total_seconds())
        assert project.advance(past.second, Stage.DEPLOY).not_before == job.not_before  # too early: nothing is done
        project.clock.instant = job.not_before
    assert 10 <= waits[0] < 20 <= waits[1] < 40
    (project.folder / "deploy.sh").write_text('echo "$RETRAIND_VERSION" >> told\n')
    assert project.advance(past.second, Stage.DEPLOY).state == JobState.DEPLOYED
    assert champions_agree(project, "2")
