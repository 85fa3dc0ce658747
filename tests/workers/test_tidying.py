"""What old jobs left goes from the disk; what champion, rollbacks and people need stays."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from driving import MODEL, History, Project, history

from retraind.ledger import leases, models
from retraind.states import JobState, Stage
from workers import tidying
from workers.tidying import tidy, tidy_everything


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
    assert (first / "data" / "data.parquet").exists()  # the newest job's stay
    second = skipped(project)
    assert [entry.name for entry in first.iterdir()] == ["logs"]
    assert (first / "logs" / "train.log").read_text() == "what it said"
    assert (second / "data" / "data.parquet").exists()


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


# --- after the time


def old(project: Project, **time: float) -> None:
    """Time passes, and no rows come in."""
    project.clock.instant += timedelta(**time)


def test_the_whole_directory_of_a_job_goes_after_the_time_and_is_told(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 1, "jobs": "30d"})
    first, second = skipped(project), skipped(project)
    old(project, days=29)
    assert tidy_everything(project.session) == 0
    old(project, days=2)
    tidy_everything(project.session)
    assert not first.exists()
    assert second.exists()  # the newest that ended stays
    assert project.events("retention.pruned") == [{"directories": 1}]
    for job in (past.first, past.second):  # they serve, or may again
        assert (project.directory(job).model / "MLmodel").is_file()
        assert (project.directory(job).path / "logs").is_dir()
    assert tidy_everything(project.session) == 0


def test_nothing_of_a_model_goes_while_it_has_an_open_job(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 1, "jobs": "30d"})
    ended = [skipped(project), skipped(project)]
    old(project, days=100)
    job = project.request()
    project.directory(job).path.mkdir()
    tidy_everything(project.session)
    assert all((each / "data").exists() for each in ended[1:])
    assert all(each.exists() for each in ended)
    assert project.directory(job).path.exists()


def test_a_rolled_back_version_goes_and_the_one_that_serves_again_stays(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 1, "jobs": "30d"})
    with project.session.ledger.write("user:bob") as transaction:
        models.rollback(transaction, MODEL, "it was late")
    skipped(project)
    old(project, days=100)
    tidy_everything(project.session)
    assert not project.directory(past.second).path.exists()
    assert (project.directory(past.first).model / "MLmodel").is_file()
    project.converge()
    assert project.serves() == {"1"}


def test_a_directory_that_the_ledger_does_not_know_goes_when_nobody_has_touched_it(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"jobs": "30d"})
    jobs_directory = project.session.settings.jobs_directory
    strange, young = jobs_directory / "250101-000000-abcdef", jobs_directory / "260301-000000-abcdef"
    theirs = jobs_directory / "notes"
    for made in (strange, young, theirs):
        (made / "logs").mkdir(parents=True)
        (made / "logs" / "train.log").write_text("what it said")
    tidy_everything(project.session)
    assert strange.exists()
    for place in (strange / "logs" / "train.log", strange / "logs", strange, young, theirs):
        os.utime(place, (1, 1))
    tidy_everything(project.session)
    assert not strange.exists()
    assert young.exists()  # its id says that it was asked for days ago
    assert (theirs / "logs" / "train.log").exists()


def test_it_is_waited_for_no_longer_than_jobs_are_kept(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"jobs": "1h"})
    forgotten, fresh = (
        project.session.settings.jobs_directory / f"250101-000000-{end}" for end in ("abcdef", "abcdea")
    )
    for made, hours in ((forgotten, 2), (fresh, 0.5)):
        made.mkdir()
        os.utime(made, (time.time() - hours * 3600,) * 2)
    tidy_everything(project.session)
    assert not forgotten.exists()
    assert fresh.exists()


def test_the_champions_copy_goes_as_soon_as_the_job_has_ended(past: History) -> None:
    project = past.at("second deployed")
    copy = project.directory(past.second).champion("1")
    copy.mkdir(parents=True)
    tidy(project.session, MODEL)
    assert not copy.parent.exists()
    assert (project.directory(past.second).model / "MLmodel").is_file()


def test_fetched_files_stay_for_champion_and_rollbacks_and_go_for_others(past: History) -> None:
    project = past.at("second deployed")
    fetched = {name: project.folder / "state/targets" / MODEL / f"version-{name}" for name in ("1", "2", "7")}
    for place in fetched.values():
        place.mkdir(parents=True, exist_ok=True)
    with project.session.ledger.write("worker:elsewhere") as transaction:
        assert leases.acquire(transaction, f"converge:{MODEL}", "worker:elsewhere:1", timedelta(seconds=30))
    tidy_everything(project.session)
    assert fetched["7"].exists()  # another worker converges just now
    old(project, minutes=1)
    tidy_everything(project.session)
    assert {name for name, place in fetched.items() if place.exists()} == {"1", "2"}


def test_two_passes_at_once_are_one(past: History) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 1, "jobs": "30d"})
    first = skipped(project)
    skipped(project)
    old(project, days=100)
    descriptor = os.open(project.session.settings.jobs_directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        tidy_everything(project.session)
        assert first.exists()
    finally:
        os.close(descriptor)
    tidy_everything(project.session)
    assert not first.exists()


def test_a_pass_is_bounded_and_the_next_goes_on(past: History, monkeypatch: pytest.MonkeyPatch) -> None:
    project = past.at("second deployed")
    project.configure(retention={"data": 20, "jobs": "30d"})
    ended = [skipped(project) for _ in range(4)]
    old(project, days=100)
    monkeypatch.setattr(tidying, "MOST_REMOVED", 2)
    left = []
    for _ in range(3):
        tidy_everything(project.session)
        left.append(sum(each.exists() for each in ended))
    assert left == [2, 1, 1]


PROGRAM = """
import sys
sys.path[:0] = {paths!r}
from datetime import datetime
from pathlib import Path
from clocks import SetClock
from retraind.config.loading import load
from workers.session import Session
from workers.tidying import tidy_everything
tidy_everything(Session(load(Path({file!r}), {{}}), SetClock(datetime.fromisoformat({now!r}))))
"""


@pytest.mark.parametrize("point", ["durable.remove>durable.discard.before", "durable.remove.before"])
def test_a_worker_killed_while_it_removes_leaves_no_half_and_the_next_pass_finishes(past: History, point: str) -> None:
    project = past.at("second deployed")
    project.configure(retention={"jobs": "30d"})
    first = skipped(project)
    skipped(project)
    old(project, days=100)
    faults = project.folder / "faults"
    (faults / "armed").mkdir(parents=True)
    (faults / "struck").mkdir()
    (faults / "armed" / point).write_text("kill")
    arguments = {
        "paths": [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])],
        "file": str(project.folder / "retraind.yaml"),
        "now": project.clock.now().isoformat(),
    }
    command = [sys.executable, "-c", PROGRAM.format(**arguments)]
    killed = subprocess.run(command, env=os.environ | {"RETRAIND_FAULTS": str(faults)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not first.exists() or (first / "data" / "ingest.json").exists()
    tidy_everything(project.session)
    assert not first.exists()
    assert [each.name for each in project.session.settings.jobs_directory.iterdir() if each.name.startswith(".")] == []
