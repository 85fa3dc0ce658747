"""What single stages do with data, leftovers and champions that are not as they should be."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from driving import BEFORE_REGISTER, MODEL, START, Project, history

from retraind.ledger import models, tables
from retraind.states import JobState, Stage
from workers.context import StageContext
from workers.model_files import model_digest
from workers.process import TOKEN
from workers.stages import RUN


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path, rows=200)
    yield made
    made.session.ledger.close()


def test_the_window_is_materialised_once_whatever_comes_later(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST)
    directory = project.directory(job)
    record = json.loads(directory.ingested.read_text())
    assert (record["rows"], record["train_rows"], record["holdout_rows"]) == (180, 144, 36)
    assert record["window_end"] == START.isoformat()
    assert record["features"] == ["delay"]
    data = pq.read_table(directory.data)
    assert data.column_names == ["timestamp", "delay", "distance", "late", "prediction"]
    times = data["timestamp"].to_pylist()
    assert times == sorted(times)
    assert pq.read_table(directory.train)["timestamp"].to_pylist() == times[:144]
    assert pq.read_table(directory.holdout)["timestamp"].to_pylist() == times[144:]

    before = directory.data.read_bytes()
    project.sql("UPDATE predictions SET late = 1 WHERE late IS NULL")
    settings = project.session.settings.models[MODEL]
    context = StageContext(project.session, project.job(job), settings, directory.path, {}, START, 2, lambda: None)
    assert RUN[Stage.INGEST](context).result["data_hash"] == record["data_hash"]
    assert directory.data.read_bytes() == before

    directory.train.unlink()  # a record that vouches for what is not there is none
    assert RUN[Stage.INGEST](context).result["rows"] == 200


def test_data_that_is_not_what_it_must_be_ends_the_job_before_training(project: Project) -> None:
    checks = {"min_rows": 500, "target_rate": [0.9, 1.0], "types": {"distance": "category"}}
    project.configure(training={"checks": checks})
    job = project.run()
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.startswith("the training data was refused: 180 rows, fewer than min_rows 500; the target's rate")
    assert "; 'distance' is a number, not a category" in job.error
    assert not project.directory(job.id).model.exists()


def test_a_window_without_a_labelled_row_is_a_failure_of_the_data(project: Project) -> None:
    project.sql("UPDATE predictions SET late = NULL")
    job = project.run()
    assert (job.state, job.error) == (
        JobState.FAILED,
        "the window has no labelled rows; nothing can be trained on it",
    )


def test_what_an_earlier_worker_left_running_is_killed_before_training_again(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE)
    record = {"token": "left", "host": socket.gethostname(), "worker": 1}
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleep, env={TOKEN: "left"}) as leftover:
        group = project.directory(job).group
        group.parent.mkdir(exist_ok=True)
        group.write_text(json.dumps(record))
        project.advance(job, Stage.TRAIN)
        ended = leftover.poll() is not None
        leftover.kill()
    assert ended
    assert project.directory(job).model.is_dir()


def test_a_comparison_with_a_champion_that_cannot_predict_is_never_taken_as_won() -> None:
    project = history().at("first deployed")
    with project.session.ledger.read() as connection:
        champion = models.version(connection, MODEL, "1")
    assert champion is not None
    directory = Path(champion.directory)
    (directory / "MLmodel").write_text("garbage")
    with project.session.ledger.write("test") as transaction:  # as if it had been registered so
        transaction.connection.execute(tables.versions.update().values(digest=model_digest(directory)))
    project.later(20)
    job = project.advance(project.request(), *BEFORE_REGISTER)
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.startswith("the champion, version 1, cannot predict the holdout to be compared with: ")
    assert project.serves() == {"1"}
