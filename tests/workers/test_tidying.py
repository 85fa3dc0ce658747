"""What old jobs left goes from the disk; what champion, rollbacks and people need stays."""

from datetime import timedelta
from pathlib import Path

import pytest
from driving import MODEL, History, Project, history

from retraind.ledger import models
from retraind.states import JobState, Stage


@pytest.fixture(scope="module")
def past() -> History:
    return history()


def skipped(project: Project) -> Path:
    """The directory of a job that ended with its data on the disk."""
    project.clock.instant += timedelta(seconds=1)
    job = project.advance(project.request(), Stage.INGEST)
    assert job.state == JobState.SKIPPED
    return project.directory(job.id).path


def test_the_bulk_of_jobs_that_never_served_goes_and_their_logs_stay(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 1})
    first = skipped(project)
    (first / "logs").mkdir(exist_ok=True)
    (first / "logs" / "train.log").write_text("what it said")
    assert (first / "data.parquet").exists()  # the newest job's stay
    second = skipped(project)
    assert [entry.name for entry in first.iterdir()] == ["logs"]
    assert (first / "logs" / "train.log").read_text() == "what it said"
    assert (second / "data.parquet").exists()


def test_what_champion_and_rollbacks_need_stays_however_old_it_is(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 1})
    for _ in range(2):
        skipped(project)
    for job in (past.first, past.second):
        directory = project.directory(job)
        assert (directory.model / "MLmodel").is_file()
        assert directory.train.is_file()  # the reference that drift is measured against
    with project.session.ledger.write("user:bob") as transaction:
        models.rollback(transaction, MODEL, "it was late")
    project.converge()
    assert project.serves() == {"1"}


def test_a_version_that_was_rolled_back_is_not_needed_any_more(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 1})
    with project.session.ledger.write("user:bob") as transaction:
        models.rollback(transaction, MODEL, "it was late")
    skipped(project)
    assert not project.directory(past.second).model.exists()
    assert project.directory(past.first).model.exists()
    project.converge()
    assert project.serves() == {"1"}
