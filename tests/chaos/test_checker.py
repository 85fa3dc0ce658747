"""The checker is worth what it finds: each kind of damage, planted, is told; a sound world has none."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checker import unsteady, violations
from clocks import SetClock
from sqlalchemy import create_engine, delete, update
from templates import empty_ledger

from retraind.audit import AuditLog
from retraind.config.policy import Breaker
from retraind.ledger import Ledger, jobs, tables
from retraind.states import JobState


class StillWorld:
    """What the checker asks of a world, without processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.supervised: list[Any] = []
        (folder / "state").mkdir()
        self.ledger = Ledger.open(empty_ledger(folder / "state" / "ledger.db"), SetClock())
        self.audit = AuditLog(folder / "log" / "audit.jsonl", self.ledger, 10**6)
        self.ledger.after_commit = lambda: self.audit.project() and None
        self.engine = create_engine(f"sqlite:///{folder}/state/ledger.db")
        with sqlite3.connect(folder / "state" / "mlflow.db") as registry:
            registry.execute("CREATE TABLE model_version_tags (name TEXT, version INTEGER, key TEXT, value TEXT)")
            registry.execute("CREATE TABLE model_versions (name TEXT, version INTEGER, current_stage TEXT)")

    def processes(self) -> Iterator[Any]:
        return iter(())

    def tell(self, name: str, job: str | None = None, **data: Any) -> None:
        with self.ledger.write("tester") as transaction:
            transaction.event(name, model="alpha", job=job, data=data)

    def finished_job(self) -> str:
        with self.ledger.write("tester") as transaction:
            job = jobs.request(transaction, "alpha", reason="r")
            assert job
            jobs.close(transaction, jobs.get(transaction.connection, job), JobState.GATE_FAILED, Breaker())
        return job

    def tag(self, version: int, job: str, stage: str = "None") -> None:
        with sqlite3.connect(self.folder / "state" / "mlflow.db") as registry:
            registry.execute("INSERT INTO model_version_tags VALUES ('alpha', ?, 'retraind.job', ?)", (version, job))
            registry.execute("INSERT INTO model_versions VALUES ('alpha', ?, ?)", (version, stage))

    def lines(self) -> list[bytes]:
        return (self.folder / "log" / "audit.jsonl").read_bytes().splitlines(keepends=True)

    def rewrite(self, lines: list[bytes]) -> None:
        (self.folder / "log" / "audit.jsonl").write_bytes(b"".join(lines))

    def kinds(self, seen: list[bytes] | None = None) -> set[str]:
        return {sentence.partition(":")[0] for sentence in violations(self, seen or [])}  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StillWorld]:
    made = StillWorld(tmp_path)
    made.finished_job()
    yield made
    made.engine.dispose()
    made.ledger.close()


def test_a_sound_world_has_nothing_to_tell(world: StillWorld) -> None:
    assert violations(world, world.lines()) == []  # type: ignore[arg-type]
    assert unsteady(world, {"alpha": []}) == []  # type: ignore[arg-type]


def test_a_line_missing_from_the_log_is_told(world: StillWorld) -> None:
    world.rewrite(world.lines()[1:])
    assert world.kinds() == {"torn"}


def test_a_changed_line_is_told(world: StillWorld) -> None:
    first, *others = world.lines()
    world.rewrite([first.replace(b'"r"', b'"s"'), *others])
    assert world.kinds() == {"torn"}


def test_half_a_line_is_told(world: StillWorld) -> None:
    *others, last = world.lines()
    world.rewrite([*others, last[:20]])
    assert world.kinds() == {"torn"}


def test_a_line_that_a_reader_saw_and_that_is_gone_is_told(world: StillWorld) -> None:
    assert world.kinds([*world.lines(), b'{"seq": 99}\n']) == {"torn"}


def test_a_decision_without_an_outcome_is_told(world: StillWorld) -> None:
    job = world.finished_job()
    with world.engine.begin() as connection:
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(state="running"))
    assert unsteady(world, {}) == [f"job {job} is running"]  # type: ignore[arg-type]
    assert world.kinds() == {"doubled"}  # an outcome was told that the ledger does not know


def test_a_lost_job_is_told(world: StillWorld) -> None:
    job = world.finished_job()
    with world.engine.begin() as connection:
        connection.execute(delete(tables.jobs).where(tables.jobs.c.id == job))
    assert world.kinds() == {"lost"}


def test_a_second_outcome_is_told(world: StillWorld) -> None:
    world.tell("job.closed", world.finished_job(), outcome="failed")
    assert world.kinds() == {"doubled"}


def test_a_stage_that_was_run_again_after_it_had_succeeded_is_told(world: StillWorld) -> None:
    job = world.finished_job()
    world.tell("stage.succeeded", job, stage="train")
    world.tell("stage.started", job, stage="train")
    assert world.kinds() == {"doubled"}


def test_two_versions_of_one_job_are_told(world: StillWorld) -> None:
    job = world.finished_job()
    world.tag(1, job)
    assert world.kinds() == set()
    world.tag(3, job, stage="Deleted_Internal")
    assert world.kinds() == set()
    world.tag(2, job)
    assert world.kinds() == {"doubled"}
    assert unsteady(world, {}) == [f"job {job} has 2 versions of alpha"]  # type: ignore[arg-type]


def test_an_older_job_deployed_after_a_newer_one_is_told(world: StillWorld) -> None:
    older, newer = world.finished_job(), world.finished_job()
    with world.engine.begin() as connection:
        for version, job in (("2", newer), ("1", older)):
            values = {"model": "alpha", "version": version, "job": job, "kind": "deploy", "actor": "t"}
            connection.execute(tables.deployments.insert().values(**values, at=SetClock().now()))
            connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(state="deployed"))
    for job in (newer, older):
        world.tell("model.deployed", job)
    sentences = violations(world, [])  # type: ignore[arg-type]
    assert [sentence for sentence in sentences if "after a newer one" in sentence]


def test_a_temporary_file_is_told(world: StillWorld) -> None:
    (world.folder / "state" / ".data.123.tmp").touch()
    assert unsteady(world, {}) == ["state/.data.123.tmp was left"]  # type: ignore[arg-type]


def test_a_file_that_nobody_decided_about_is_told(world: StillWorld) -> None:
    assert unsteady(world, {"alpha": ["00001.csv"]}) == ["alpha/00001.csv has not fired"]  # type: ignore[arg-type]
