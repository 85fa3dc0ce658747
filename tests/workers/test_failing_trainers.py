"""Trainers that raise, hang, say nothing or leave rubbish: the job ends as it should and says why in one sentence."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import BEFORE_REGISTER, Project

from retraind.errors import FailureKind
from retraind.ledger.rows import Job
from retraind.states import JobState, Stage

UNTIL_TRAINED = BEFORE_REGISTER[:3]
RUBBISH = "import os, pathlib; pathlib.Path(os.environ['RETRAIND_MODEL_DIR'], {name!r}).write_bytes(b'\\x00%%% {{[')"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


def trained_by(project: Project, script: str, *stages: Stage, **training: Any) -> Job:
    project.configure(training={"trainer": {"command": [sys.executable, "-c", script]}, **training})
    return project.advance(project.request(), *(stages or UNTIL_TRAINED))


def is_told_whole(project: Project, job: Job, log: str = "train") -> bool:
    """One plain sentence that names the log, the same in the job and in its closing event."""
    closed = project.events("job.closed", job.id)
    assert len(closed) == 1
    error = job.error or ""
    assert closed[0] | {"seconds": 0.0} == {
        "outcome": "failed",
        "success": False,
        "trigger": ["drift"],
        "reason": "delay drifted.",
        "requested_by": "user:ann",
        "approved_by": None,
        "version": None,
        "metrics": None,
        "error": error,
        "seconds": 0.0,
    }
    assert project.directory(job.id).log(log).exists()
    assert str(project.directory(job.id).log(log)) in error
    assert not project.directory(job.id).group.exists()
    return "\n" not in error and "Traceback" not in error and error.isprintable() and len(error) < 1500


@pytest.mark.parametrize(
    ("script", "training", "said", "kind"),
    [
        (
            "raise ValueError('no such thing')",
            {},
            "The training of delays ended with exit code 1; its last line was: ValueError: no such thing.",
            FailureKind.UNKNOWN,
        ),
        ("raise SystemExit(7)", {}, "ended with exit code 7; it printed nothing.", FailureKind.UNKNOWN),
        ("pass", {}, "ended well and left nothing in RETRAIND_MODEL_DIR", FailureKind.UNKNOWN),
        (
            RUBBISH.format(name="weights"),
            {},
            "that are no MLflow model (there is no MLmodel file)",
            FailureKind.UNKNOWN,
        ),
        (
            "import time; print('epoch 1', flush=True); time.sleep(300)",
            {"budget": {"time": "1s"}},
            "took longer than its time budget of 1s and was killed; its last line was: epoch 1.",
            FailureKind.BUDGET,
        ),
        (
            "import time; rows = bytearray(200_000_000); time.sleep(300)",
            {"budget": {"memory": "100MiB"}},
            "more than its budget of 100MiB, and was killed; it printed nothing.",
            FailureKind.BUDGET,
        ),
        (
            "import os; os.write(1, b'\\x00\\xff' * 99 + b'\\n\\x1b[31m' + b'loss ' * 999); raise SystemExit(1)",
            {},
            "ended with exit code 1; its last line was: loss loss",
            FailureKind.UNKNOWN,
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", {}, "ended with SIGSEGV", FailureKind.UNKNOWN),
    ],
    ids=["raises", "silent", "no model", "rubbish", "hangs", "memory", "binary", "crashes"],
)
def test_a_trainer_that_fails_ends_the_job_with_one_plain_sentence(
    project: Project, script: str, training: dict[str, Any], said: str, kind: FailureKind
) -> None:
    job = trained_by(project, script, **training)
    assert job.state == JobState.FAILED
    assert said in (job.error or "")
    assert is_told_whole(project, job)
    assert [data["kind"] for data in project.events("stage.failed", job.id)] == [kind]
    assert not project.directory(job.id).model.exists()


@pytest.mark.parametrize("script", ["raise SystemExit(137)", "import os; os.kill(os.getpid(), 9)"])
def test_a_trainer_that_was_killed_is_tried_again_and_given_up_after_three_times(project: Project, script: str) -> None:
    job = trained_by(project, script)
    for attempt in (1, 2):
        assert (job.state, project.attempts(job.id, Stage.TRAIN)) == (JobState.RUNNING, attempt)
        assert job.not_before is not None
        project.clock.instant = job.not_before
        job = project.advance(job.id, Stage.TRAIN)
    assert job.state == JobState.FAILED
    assert "was killed from outside by SIGKILL (137: most often the machine ran out of memory)" in (job.error or "")
    closed = project.events("job.closed", job.id)[0]
    assert (closed["outcome"], closed["error"]) == ("failed", job.error)
    assert [bool(data["retry_at"]) for data in project.events("stage.failed", job.id)] == [True, True, False]


def test_a_model_that_cannot_be_loaded_never_reaches_the_registry(project: Project) -> None:
    job = trained_by(project, RUBBISH.format(name="MLmodel"), *BEFORE_REGISTER, Stage.REGISTER)
    assert job.state == JobState.FAILED
    assert (job.error or "").startswith("the challenger cannot predict: ")
    assert is_told_whole(project, job, "evaluate")
    assert not (project.folder / "state" / "mlflow.db").exists()


def test_an_error_longer_than_a_page_is_shortened_and_its_line_breaks_and_nulls_go(project: Project) -> None:
    (project.folder / "make.py").write_text("def train(data, target): raise ValueError('a\\n\\0b' * 9000)")
    project.configure(training={"trainer": {"function": "make.py:train"}})
    job = project.advance(project.request(), *UNTIL_TRAINED)
    assert (job.state, len(job.error or "")) == (JobState.FAILED, 2000)
    assert (job.error or "").isprintable()


def test_a_trainer_that_is_not_there_is_named(project: Project) -> None:
    project.configure(training={"trainer": {"command": ["no-such-program"]}})
    job = project.advance(project.request(), *UNTIL_TRAINED)
    assert job.state == JobState.FAILED
    assert "no-such-program" in (job.error or "")


def test_three_fruitless_jobs_in_a_row_open_the_breaker(project: Project) -> None:
    for _ in range(3):
        assert trained_by(project, "raise SystemExit(1)").state == JobState.FAILED
    assert [data["jobs"] for data in project.events("breaker.opened")] == [3]
