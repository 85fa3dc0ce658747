"""MLflow away, the audit log's disk full, a champion's files gone: jobs wait or go on, and nothing is lost."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from driving import MODEL, History, Project, history
from servers import free_port

from daemon.reconciler import Reconciler
from retraind.audit import AuditLog
from retraind.audit.verification import verify
from retraind.ledger import models
from retraind.states import JobState, Stage


@pytest.fixture(scope="module")
def past() -> History:
    return history()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


# --- MLflow


def test_a_registration_waits_for_mlflow_and_goes_on_when_it_is_back(past: History) -> None:
    project = past.at("first judged")
    project.configure(mlflow={"url": f"http://127.0.0.1:{free_port()}"})
    waits = []
    for attempt in (1, 2):
        job = project.advance(past.first, Stage.REGISTER)
        assert (job.state, project.attempts(past.first, Stage.REGISTER)) == (JobState.RUNNING, attempt)
        assert job.not_before is not None
        waits.append((job.not_before - project.clock.instant).total_seconds())
        project.clock.instant = job.not_before
    assert 10 <= waits[0] < 20 <= waits[1] < 40
    failed = project.events("stage.failed", past.first)
    assert {each["kind"] for each in failed} == {"transient"}
    assert failed[0]["error"].startswith("MLflow at http://127.0.0.1:")
    project.configure()
    assert project.advance(past.first, Stage.REGISTER, Stage.DEPLOY).state == JobState.DEPLOYED
    assert project.serves() == {"1"}


def test_a_registration_gives_up_after_three_times_and_the_champion_keeps_serving(past: History) -> None:
    project = past.at("second judged")
    project.configure(mlflow={"url": f"http://127.0.0.1:{free_port()}"})
    for _ in range(3):
        job = project.advance(past.second, Stage.REGISTER)
        project.clock.instant = job.not_before or project.clock.instant
    assert job.state == JobState.FAILED
    assert "does not answer" in (job.error or "")
    project.configure()
    assert project.serves() == {"1"}


def test_targets_that_cannot_be_reached_are_told_once_and_mended_later(past: History) -> None:
    project = past.at("second deployed")
    with project.session.ledger.write("user:bob") as transaction:
        models.rollback(transaction, MODEL, "it was late")
    project.configure(mlflow={"url": f"http://127.0.0.1:{free_port()}"})
    project.converge()
    project.converge()
    assert [each["target"] for each in project.events("target.failed")] == ["mlflow delays@champion"]
    assert (project.link(), project.told()[-1]) == ("1", "1")  # the others follow all the same
    project.configure()
    project.converge()
    assert project.serves() == {"1"}


def test_a_champion_whose_files_are_gone_is_fetched_from_the_registry(past: History) -> None:
    project = past.at("second deployed")
    shutil.rmtree(project.directory(past.second).path)
    shutil.rmtree(project.folder / "live")
    project.converge()
    assert project.serves() == {"2"}
    assert (project.folder / "live" / "current" / "MLmodel").is_file()


# --- the audit log


@contextmanager
def full_disk(place: Path) -> Iterator[Path]:
    """A directory on a full disk of its own, and a file whose removal makes room; where no disk may be mounted a
    directory stands where the log belongs."""
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(place)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        (place / "audit.jsonl").mkdir()
        yield place / "audit.jsonl"
        return
    try:
        filler = place / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        yield filler
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def make_room(taken: Path) -> None:
    if taken.is_dir():
        taken.rmdir()
    else:
        taken.unlink()


def test_a_full_disk_under_the_audit_log_stops_no_job_and_is_caught_up(project: Project) -> None:
    place = project.folder / "audit"
    with full_disk(place) as taken:
        project.configure(
            audit={"path": "audit/audit.jsonl"}, training={"trainer": {"command": ["sh", "-c", "echo no; exit 1"]}}
        )
        session = project.session
        audit = AuditLog(session.settings.audit.path, session.ledger, session.settings.audit.rotate)
        reconciler = Reconciler(session.settings, session.ledger, audit, session.queue, lambda transaction: None)
        job = project.advance(project.request(), Stage.INGEST, Stage.VALIDATE, Stage.TRAIN)
        assert (job.state, len(project.events("stage.succeeded"))) == (JobState.FAILED, 2)
        reconciler.pass_once()
        reconciler.pass_once()
        assert reconciler.audit_unwritable
        assert len(project.events("audit.unwritable")) == 1
        assert "the audit log" in project.events("audit.unwritable")[0]["error"]
        assert audit.lag() > 0
        make_room(taken)
        reconciler.pass_once()
        assert not reconciler.audit_unwritable
        reconciler.pass_once()
        assert audit.lag() == 0
        report = verify(session.settings.audit.path, session.ledger)
        assert report.holds, report.problems
        assert len(session.settings.audit.path.read_text().splitlines()) == report.lines
        session.ledger.close()
