"""Whatever dies between an outside effect and its commit: nothing is made twice, and a zombie commits nothing."""

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from driving import MODEL, History, Project, history, until
from dying import die_at
from sqlalchemy import select

from retraind.ledger import tables, work
from retraind.states import JobState, Stage
from workers.advance import advance
from workers.context import StageContext
from workers.stages import register


@pytest.fixture(scope="module")
def past() -> History:
    return history()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


def versions_and_runs(project: Project) -> tuple[list[str], int]:
    client = project.session.registry._client
    experiment = client.get_experiment_by_name(MODEL)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return sorted(str(each.version) for each in client.search_model_versions(f"name = '{MODEL}'")), len(runs)


def test_registering_again_after_a_lost_commit_makes_one_version_and_one_run(past: History) -> None:
    project = past.at("first judged")
    with project.session.ledger.write("worker:a") as transaction:
        held = work.claim(transaction, past.first, "worker:a", timedelta(seconds=30))
    assert held is not None
    model = project.session.settings.models[MODEL]
    path = project.directory(past.first).path
    context = StageContext(project.session, held.job, model, path, held.done, project.clock.now(), 1, lambda: None)
    made = [register.run(context).result for _ in range(2)]
    assert made[0] == made[1]
    assert versions_and_runs(project) == (["1"], 1)


@pytest.mark.parametrize("where", ["workers.registry:Registry._upload", "workers.advance:_commit"])
def test_a_worker_killed_while_it_registers_leaves_one_version_and_one_run(past: History, where: str) -> None:
    project = past.at("first judged")
    die_at(project, past.first, Stage.REGISTER, where)
    assert project.advance(past.first, Stage.REGISTER).version is None  # the lease of the dead still stands
    project.clock.instant += timedelta(seconds=31)
    assert project.advance(past.first, Stage.REGISTER, Stage.DEPLOY).state == JobState.DEPLOYED
    assert versions_and_runs(project) == (["1"], 1)
    assert project.serves() == {"1"}
    assert len(project.events("job.recovered")) == 1
    assert [data["attempt"] for data in project.events("stage.started", past.first)][-2:] == [2, 1]


@pytest.mark.parametrize("where", ["workers.targets.directory:VersionedDirectory.show", "workers.advance:_commit"])
def test_a_worker_killed_while_it_deploys_has_deployed_once_when_another_is_done(past: History, where: str) -> None:
    project = past.at("second judged")
    project.advance(past.second, Stage.REGISTER)
    die_at(project, past.second, Stage.DEPLOY, where)
    project.clock.instant += timedelta(seconds=31)
    assert project.advance(past.second, Stage.DEPLOY).state == JobState.DEPLOYED
    assert project.serves() == {"2"}
    assert project.alias("previous") == "1"
    assert project.told() == ["1", "2"]
    with project.session.ledger.read() as connection:
        deployed = connection.execute(select(tables.deployments.c.version)).scalars().all()
    assert deployed == ["1", "2"]
    assert len(project.events("model.deployed", past.second)) == 1


def test_a_worker_killed_after_training_has_it_done_again_on_the_same_data(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE)
    data = project.directory(job).data.read_bytes()
    die_at(project, job, Stage.TRAIN, "workers.advance:_commit")
    project.later(1)
    project.advance(job, Stage.TRAIN)
    assert project.attempts(job, Stage.TRAIN) == 2
    assert project.directory(job).data.read_bytes() == data
    assert project.directory(job).model.is_dir()


def test_a_stage_that_costs_its_worker_s_life_each_time_is_given_up(project: Project) -> None:
    project.configure(policy={"retries": {"attempts": 1}})
    job = project.request()
    die_at(project, job, Stage.INGEST, "workers.stages.ingest:read_window")
    project.clock.instant += timedelta(seconds=31)
    ended = project.advance(job, Stage.INGEST)
    assert ended.state == JobState.FAILED
    assert ended.error is not None
    assert ended.error.startswith("ingest was begun 1 times and its worker was lost each time; ")


# --- zombies

WAITING = "import os, time; open('up', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.02)\nimport runpy\n"


def trained_by_a_zombie(project: Project, heartbeat: str, *, go: bool) -> str:
    """A job whose lease another worker takes while it trains; with `go` the training then ends well."""
    script = f"{WAITING}runpy.run_path('train.py')"
    project.configure(
        training={"trainer": {"command": [sys.executable, "-c", script]}},
        lease={"length": "30s", "heartbeat": heartbeat},
    )
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE)
    zombie = threading.Thread(target=project.advance, args=(job, Stage.TRAIN))
    zombie.start()
    assert until((project.folder / "up").exists)
    assert until(lambda: taken(project, job))
    if go:
        (project.folder / "go").touch()
    zombie.join(30)
    assert not zombie.is_alive()
    return job


def taken(project: Project, job: str) -> bool:
    with project.session.ledger.write("worker:other") as transaction:
        project.clock.instant += timedelta(seconds=31)
        transaction.now = project.clock.instant
        return work.claim(transaction, job, "worker:other", timedelta(seconds=30)) is not None


def committed_nothing(project: Project, job: str) -> bool:
    held = project.job(job)
    told = [data["stage"] for name in ("stage.succeeded", "stage.failed") for data in project.events(name, job)]
    return held.lease_owner == "worker:other" and held.trained_at is None and told == ["ingest", "validate"]


def test_a_worker_that_slept_through_its_lease_commits_nothing(project: Project) -> None:
    job = trained_by_a_zombie(project, "10s", go=True)
    assert committed_nothing(project, job)
    assert project.job(job).state == JobState.RUNNING


def test_a_worker_that_hears_of_its_lost_lease_ends_its_training_and_commits_nothing(project: Project) -> None:
    job = trained_by_a_zombie(project, "100ms", go=False)
    assert committed_nothing(project, job)
    assert not project.directory(job).model.exists()


def test_a_doubled_old_or_forged_message_does_nothing(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST)
    for stage in (Stage.INGEST, Stage.TRAIN, Stage.DEPLOY):
        project.advance(job, stage)
    assert [data["stage"] for data in project.events("stage.started", job)] == ["ingest"]
    advance(project.session, "260101-000000-abcdef", Stage.INGEST)
    assert len(project.events("job.requested")) == 1
