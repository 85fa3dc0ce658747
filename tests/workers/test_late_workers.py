"""A worker that was stopped past its lease wakes and goes on: another has done its work meanwhile, and stays right."""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from driving import MODEL, History, Project, history
from dying import ROOT, die_at
from test_job_crashes import versions_and_runs

from retraind.config.policy import Breaker
from retraind.ledger import jobs, work
from retraind.states import JobState, Stage
from workers import trainers
from workers.checking import unsettled
from workers.lifeline import Lifeline
from workers.stages import ingest
from workers.targets import directory


@pytest.fixture(scope="module")
def past() -> History:
    return history()


@pytest.fixture(autouse=True)
def _stopped_workers_do_not_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat between the clock's step and the other worker's claim would give the lease to the one that sleeps."""
    monkeypatch.setattr(Lifeline, "_beat", lambda _lifeline: None)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


def once(act: Callable[[], None]) -> Callable[[], None]:
    """`act`, the first time only: what the other worker does calls the same functions."""
    left = [act]
    return lambda: left.pop()() if left else None


def late(module: Any, name: str, meanwhile: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Has `meanwhile` happen once a directory is made, right before it is put in its place."""
    real, first = getattr(module, name), once(meanwhile)

    @contextmanager
    def slept(path: Path) -> Iterator[Path]:
        with real(path) as made:
            yield made
            first()

    patch.setattr(module, name, slept)


def before(owner: Any, name: str, meanwhile: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Has `meanwhile` happen as the worker enters a function."""
    real, first = getattr(owner, name), once(meanwhile)

    def slept(*arguments: Any, **options: Any) -> Any:
        first()
        return real(*arguments, **options)

    patch.setattr(owner, name, slept)


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".part"))]


def succeeded(project: Project, job: str, stage: Stage) -> list[Any]:
    return [data["result"] for data in project.events("stage.succeeded", job) if data["stage"] == stage]


# --- what a stage leaves for the next


def test_rows_that_come_late_replace_none_that_the_ledger_knows(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = project.request()

    def other_ingests() -> None:
        project.clock.instant += timedelta(seconds=31)
        project.sql("UPDATE predictions SET late = 1 WHERE late IS NULL")
        project.advance(job, Stage.INGEST)

    late(ingest, "making_once", other_ingests, monkeypatch)
    project.advance(job, Stage.INGEST)
    (result,) = succeeded(project, job, Stage.INGEST)
    assert result["rows"] == 240
    kept = project.directory(job)
    for path in (kept.data, kept.train, kept.holdout):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == result["files"][path.name]
    assert temporaries(project.folder) == []


def test_a_model_that_comes_late_replaces_none_and_tells_nothing_of_itself(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.give_registry()
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE)

    def other_trains() -> None:
        project.clock.instant += timedelta(seconds=31)
        project.bar(20)
        project.advance(job, Stage.TRAIN)

    late(trainers, "making_once", other_trains, monkeypatch)
    project.advance(job, Stage.TRAIN)
    (result,) = succeeded(project, job, Stage.TRAIN)
    kept = project.directory(job)
    assert "20" in next((kept.model / "code").glob("*.py")).read_text()
    assert json.loads(kept.trained.read_text())["peak_bytes"] == result["peak_bytes"]
    assert project.advance(job, Stage.EVALUATE, Stage.REGISTER, Stage.DEPLOY).state == JobState.DEPLOYED


def test_a_model_that_a_late_worker_made_first_is_taken_with_its_own_record(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE)
    die_at(project, job, Stage.TRAIN, "workers.stages.train:model_digest")  # its model is whole, and not committed
    project.clock.instant += timedelta(seconds=31)
    project.bar(20)
    project.advance(job, Stage.TRAIN)
    (result,) = succeeded(project, job, Stage.TRAIN)
    kept = project.directory(job)
    assert "15" in next((kept.model / "code").glob("*.py")).read_text()
    assert json.loads(kept.trained.read_text())["peak_bytes"] == result["peak_bytes"]


@pytest.mark.parametrize(("name", "stage"), [("data", Stage.VALIDATE), ("train", Stage.TRAIN)])
def test_rows_that_somebody_changed_are_not_trained_on(project: Project, name: str, stage: Stage) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST)
    if stage is Stage.TRAIN:
        project.advance(job, Stage.VALIDATE)
    path = getattr(project.directory(job), name)
    path.write_bytes(path.read_bytes() + b" ")
    ended = project.advance(job, stage)
    assert ended.state == JobState.FAILED
    assert ended.error is not None
    assert ended.error.startswith(f"{path} is not what ingest left: its SHA-256 begins with ")
    assert project.events("stage.failed", job)[0]["kind"] == "data"


def test_an_ended_job_keeps_nothing_that_only_its_attempts_read(past: History) -> None:
    kept = past.at("second deployed").directory(past.second).path
    assert sorted(entry.name for entry in kept.iterdir()) == ["challenger", "data", "logs"]


@pytest.mark.parametrize(
    ("stage", "where"),
    [
        (Stage.INGEST, "workers.durable:_rename_unless_taken"),
        (Stage.TRAIN, "workers.durable:_rename_unless_taken"),
        (Stage.TRAIN, "workers.process:_Group.watch"),
    ],
)
def test_what_a_killed_worker_left_half_made_is_gone_when_another_has_gone_on(
    project: Project, stage: Stage, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = project.folder / "tmp"
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.setattr(tempfile, "tempdir", None)
    job = project.request()
    if stage is Stage.TRAIN:
        project.advance(job, Stage.INGEST, Stage.VALIDATE)
    die_at(project, job, stage, where)
    assert temporaries(project.folder) != []
    project.clock.instant += timedelta(seconds=31)
    project.advance(job, stage)
    assert temporaries(project.folder) == []


# --- the registry


def test_a_second_version_that_comes_late_is_deleted_and_told_of(
    past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = past.at("second judged")
    client = project.session.registry._client

    def other_registers() -> None:
        project.clock.instant += timedelta(seconds=31)
        project.advance(past.second, Stage.REGISTER)

    with monkeypatch.context() as patch:
        before(client, "create_model_version", other_registers, patch)
        patch.setattr(type(project.session.registry), "_only_one", only_once_alive(project))
        with pytest.raises(KeyboardInterrupt):
            project.advance(past.second, Stage.REGISTER)
    assert versions_and_runs(project)[0] == ["1", "2", "3"]
    assert project.job(past.second).version == "2"
    assert project.advance(past.second, Stage.DEPLOY).state == JobState.DEPLOYED
    assert versions_and_runs(project)[0] == ["1", "2"]
    assert project.events("registry.repaired", past.second) == [
        {"registered": MODEL, "deleted": ["3"], "terminated": []}
    ]
    assert project.serves() == {"2"}


def only_once_alive(project: Project) -> Callable[..., Any]:
    """Lets the first that asks go on, and kills the second, which is the late one."""
    real = type(project.session.registry)._only_one
    asked: list[object] = []

    def ask(self: Any, registration: Any) -> Any:
        asked.append(registration)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(self, registration)

    return ask


def test_a_late_worker_that_looks_at_its_lease_registers_nothing(
    past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = past.at("second judged")

    def other_registers() -> None:
        project.clock.instant += timedelta(seconds=31)
        project.advance(past.second, Stage.REGISTER)

    with monkeypatch.context() as patch:
        before(type(project.session.registry), "_ensure_model", other_registers, patch)
        project.advance(past.second, Stage.REGISTER)
    assert versions_and_runs(project)[0] == ["1", "2"]
    assert project.events("registry.repaired") == []


def test_a_run_of_a_job_that_ended_otherwise_does_not_run_for_ever(past: History) -> None:
    project = past.at("second judged")
    die_at(project, past.second, Stage.REGISTER, "workers.registry:Registry._upload")
    project.clock.instant += timedelta(seconds=31)
    with project.session.ledger.write("user:bob") as transaction:
        assert jobs.cancel(transaction, past.second, Breaker(), "not needed")
    assert unsettled(project.session) == [MODEL]
    project.converge()
    client = project.session.registry._client
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    assert sorted(run.info.status for run in client.search_runs([experiment])) == ["FINISHED", "KILLED"]
    (told,) = project.events("registry.repaired", past.second)
    assert len(told["terminated"]) == 1


def test_a_repair_that_its_worker_dies_over_is_done_by_the_next_and_told_once(
    past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = past.at("second judged")
    die_at(project, past.second, Stage.REGISTER, "workers.registry:Registry._upload")
    project.clock.instant += timedelta(seconds=31)
    with project.session.ledger.write("user:bob") as transaction:
        assert jobs.cancel(transaction, past.second, Breaker(), "not needed")
    client = project.session.registry._client

    def die() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        before(client, "set_terminated", die, patch)
        with pytest.raises(KeyboardInterrupt):
            project.converge()
    assert len(project.events("registry.repaired")) == 1
    project.clock.instant += timedelta(seconds=31)
    project.converge()
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    assert sorted(run.info.status for run in client.search_runs([experiment])) == ["FINISHED", "KILLED"]
    assert len(project.events("registry.repaired")) == 1


# --- the targets


def asleep(past: History) -> Project:
    """The champion is version 1, and a worker's heartbeats come too late to keep a lease."""
    project = past.at("second judged")
    project.configure(lease={"length": "30s", "heartbeat": "10s"})
    return project


def deploys_the_second(project: Project, past: History) -> Callable[[], None]:
    def act() -> None:
        project.clock.instant += timedelta(seconds=31)
        assert project.advance(past.second, Stage.REGISTER, Stage.DEPLOY).state == JobState.DEPLOYED
        assert project.serves() == {"2"}

    return act


def test_a_late_worker_that_looks_at_its_lease_sets_no_link_back(
    past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = asleep(past)
    (project.folder / "live" / "current").unlink()
    with monkeypatch.context() as patch:
        before(directory.VersionedDirectory, "_place", deploys_the_second(project, past), patch)
        project.converge()
    assert project.serves() == {"2"}


def test_a_link_set_back_after_the_look_is_found_and_mended(past: History, monkeypatch: pytest.MonkeyPatch) -> None:
    project = asleep(past)
    (project.folder / "live" / "current").unlink()
    with monkeypatch.context() as patch:
        before(directory, "point", deploys_the_second(project, past), patch)
        project.converge()
    assert project.link() == "1"
    assert unsettled(project.session) == [MODEL]
    project.converge()
    assert project.serves() == {"2"}
    assert {"target": f"directory {project.folder}/live", "found": "1", "version": "2"} in project.events(
        "target.repaired"
    )


def test_an_alias_set_back_after_the_look_is_found_and_mended(past: History, monkeypatch: pytest.MonkeyPatch) -> None:
    project = asleep(past)
    client = project.session.registry._client
    client.delete_registered_model_alias(MODEL, "champion")
    with monkeypatch.context() as patch:
        before(client, "set_registered_model_alias", deploys_the_second(project, past), patch)
        project.converge()
    assert project.alias() == "1"
    assert unsettled(project.session) == [MODEL]
    project.converge()
    assert project.serves() == {"2"}
    assert project.alias("previous") == "1"


LOOKS = """
import sys
from pathlib import Path
from retraind.config.loading import load
from workers.checking import unsettled
from workers.lifeline import Lifeline
from workers.session import Session
print(unsettled(Session(load(Path(sys.argv[1]), {}))), "mlflow" in sys.modules, "pyarrow" in sys.modules)
"""


def looked_at(project: Project) -> str:
    return subprocess.run(
        [sys.executable, "-c", LOOKS, str(project.folder / "retraind.yaml")],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()[-1]


def test_a_look_at_what_is_settled_starts_nothing_large(past: History) -> None:
    project = past.at("second deployed")
    project.converge()
    assert looked_at(project) == "[] False False"
    project.session.registry._client.set_registered_model_alias(MODEL, "champion", "1")
    assert looked_at(project) == f"['{MODEL}'] False False"
    project.converge()
    assert project.serves() == {"2"}
    assert looked_at(project) == "[] False False"


def test_an_open_job_s_versions_are_left_to_it(past: History) -> None:
    project = past.at("second judged")
    with project.session.ledger.write("worker:a") as transaction:
        assert work.claim(transaction, past.second, "worker:a", timedelta(seconds=30)) is not None
    client = project.session.registry._client
    source = client.get_model_version(MODEL, "1")
    for _ in range(2):
        tags = {"retraind.job": past.second}
        client.create_model_version(MODEL, source.source, source.run_id, tags=tags)
    project.converge()
    assert versions_and_runs(project)[0] == ["1", "2", "3"]
