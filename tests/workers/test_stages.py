"""Jobs go through their stages for real: a store, a ledger, MLflow, child processes. Only the broker is out."""

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from retraind.config.loading import load
from retraind.ledger import jobs, models
from retraind.ledger.rows import Job
from retraind.states import STAGES, JobState, Stage
from workers.advance import advance
from workers.context import StageContext
from workers.job_directory import JobDirectory
from workers.process import TOKEN
from workers.session import Session
from workers.stages import RUN

START = datetime(2026, 3, 1, tzinfo=UTC)

# Leaves an MLflow model of its own kind, as fast as can be: late when the delay is above the bar in `bar`.
TRAIN = """
import os
from pathlib import Path
made, bar = Path(os.environ["RETRAIND_MODEL_DIR"]), Path("bar").read_text()
name = "threshold_" + os.environ["RETRAIND_JOB"].replace("-", "_")
(made / "code").mkdir()
(made / "code" / f"{name}.py").write_text(f'''
class Threshold:
    def predict(self, rows, params=None):
        return (rows["delay"] > {bar}).astype(int).to_numpy()


def _load_pyfunc(path):
    return Threshold()
''')
(made / "MLmodel").write_text(
    f"flavors: {{python_function: {{loader_module: {name}, code: code, python_version: '3.11'}}}}\\n"
)
(made / "requirements.txt").write_text("")
"""


class SetClock:
    """Stands still until moved."""

    def __init__(self, start: datetime) -> None:
        self.instant = start

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()


class Project:
    """A project folder, and one worker's view of it."""

    def __init__(self, folder: Path, **training: Any) -> None:
        self.folder = folder
        (folder / "train.py").write_text(TRAIN)
        self.bar("15")
        self.write(**training)
        with sqlite3.connect(folder / "monitoring.db") as connection:
            connection.execute(
                "CREATE TABLE predictions "
                "(timestamp TEXT, delay REAL, distance INTEGER, prediction INTEGER, arrived_late INTEGER)"
            )
        self.add_rows(-200, 0)

    def write(self, **training: Any) -> None:
        parts = {
            "data": {"window": {"rolling": "10d"}, "target": "arrived_late", "features": ["delay"]},
            "trainer": {"command": [sys.executable, "train.py"]},
            "gates": [{"metric": "accuracy", "at_least": 0.8}, {"metric": "accuracy", "not_worse_than": "champion"}],
            **training,
        }
        predictions = {
            "url": "sqlite:///monitoring.db",
            "columns": {"actual": "arrived_late", "features": ["delay", "distance"]},
        }
        model = {"predictions": predictions, "training": parts, "deploy": [{"mlflow": "delays"}, {"directory": "live"}]}
        (self.folder / "retraind.yaml").write_text(yaml.safe_dump({"models": {"delays": model}}))
        self.clock = SetClock(START)
        self.session = Session(load(self.folder / "retraind.yaml", {}), self.clock)

    def bar(self, value: str) -> None:
        (self.folder / "bar").write_text(value)

    def add_rows(self, first: int, last: int) -> None:
        """One row an hour from START on; late when the delay is above 15; every tenth has no actual yet."""
        rows = []
        for number in range(first, last):
            delay = float(number * 7 % 31)
            actual = None if number % 10 == 0 else int(delay > 15)
            rows.append(((START + timedelta(hours=number)).isoformat(), delay, number % 5, int(delay > 15), actual))
        with sqlite3.connect(self.folder / "monitoring.db") as connection:
            connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows)

    def request(self) -> str:
        with self.session.ledger.write("user:ann") as transaction:
            job = jobs.request(transaction, "delays", reason="asked for")
        assert job is not None
        return job

    def advance(self, job: str, *stages: Stage) -> Job:
        for stage in stages or STAGES:
            advance(self.session, job, stage)
        with self.session.ledger.read() as connection:
            found = jobs.get(connection, job)
        assert found is not None
        return found

    def run(self) -> Job:
        return self.advance(self.request())

    def directory(self, job: Job) -> JobDirectory:
        return JobDirectory(self.session.settings.jobs_directory / job.id)

    def champion(self) -> str | None:
        with self.session.ledger.read() as connection:
            current = models.champions(connection, "delays").current
        return None if current is None else current.version


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


def test_a_job_is_deployed_compared_and_refused_as_its_challenger_deserves(project: Project) -> None:
    first = project.run()
    assert (first.state, first.version, first.error) == (JobState.DEPLOYED, "1", None)
    assert first.metrics is not None
    assert first.metrics["accuracy"] == 1.0
    assert project.session.registry.alias_of("delays", "champion") == "1"
    assert json.loads((project.folder / "live" / "current" / "VERSION.json").read_text())["job"] == first.id

    again = project.run()
    assert (again.state, again.version) == (JobState.SKIPPED, None)
    assert again.error is not None
    assert first.id in again.error
    assert "version 1" in again.error

    project.clock.instant += timedelta(hours=20)
    project.add_rows(0, 20)
    project.bar("20")
    worse = project.run()
    assert (worse.state, worse.version) == (JobState.GATE_FAILED, None)
    assert worse.error is not None
    assert "against the champion's 1.0000 on the same rows (-0." in worse.error
    assert project.champion() == "1"

    with project.session.ledger.read() as connection:
        kept = models.version(connection, "delays", "1")
    assert kept is not None
    for path in Path(kept.directory).iterdir():  # the champion's files are gone, here and in the registry
        if path.is_file():
            path.write_text("garbage")
    project.clock.instant += timedelta(hours=20)
    project.add_rows(20, 40)
    unjudged = project.run()
    assert unjudged.state == JobState.FAILED
    assert unjudged.error is not None
    assert unjudged.error.startswith("the champion, version 1, cannot predict the holdout to be compared with: ")
    assert project.champion() == "1"


def test_the_window_is_materialised_once_whatever_comes_later(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST)
    directory = JobDirectory(project.session.settings.jobs_directory / job)
    record = json.loads(directory.ingested.read_text())
    assert (record["rows"], record["train_rows"], record["holdout_rows"]) == (180, 144, 36)
    assert record["window_end"] == START.isoformat()
    assert record["features"] == ["delay"]
    data = pq.read_table(directory.data)
    assert data.column_names == ["timestamp", "delay", "distance", "arrived_late", "prediction"]
    assert data["timestamp"].to_pylist() == sorted(data["timestamp"].to_pylist())
    assert (
        pq.read_table(directory.train)["timestamp"][-1].as_py()
        < pq.read_table(directory.holdout)["timestamp"][0].as_py()
    )

    before = directory.data.read_bytes()
    project.add_rows(-500, -400)
    with sqlite3.connect(project.folder / "monitoring.db") as connection:
        connection.execute("UPDATE predictions SET arrived_late = 1 WHERE arrived_late IS NULL")
    with project.session.ledger.read() as connection:
        row = jobs.get(connection, job)
    assert row is not None
    settings = project.session.settings.models["delays"]
    context = StageContext(project.session, row, settings, directory.path, {}, START, 2, lambda: None)
    assert RUN[Stage.INGEST](context).result["data_hash"] == record["data_hash"]
    assert directory.data.read_bytes() == before

    directory.train.unlink()  # a record that vouches for what is not there is none
    assert RUN[Stage.INGEST](context).result["rows"] > record["rows"]


def test_data_that_is_not_what_it_must_be_ends_the_job_before_training(project: Project) -> None:
    project.write(checks={"min_rows": 500, "target_rate": [0.9, 1.0], "types": {"distance": "category"}})
    job = project.run()
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.startswith(
        "the training data was refused: 180 rows, fewer than min_rows 500; the target's rate is 0."
    )
    assert "; 'distance' is a number, not a category" in job.error
    assert not project.directory(job).model.exists()


def test_a_window_without_a_labelled_row_is_a_failure_of_the_data(project: Project) -> None:
    project.write(data={"window": {"rolling": "30m"}, "target": "arrived_late"})
    job = project.run()
    assert job.state == JobState.FAILED
    assert job.error == "the window has no labelled rows; nothing can be trained on it"


def test_what_an_earlier_worker_left_running_is_killed_before_training_again(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE)
    directory = JobDirectory(project.session.settings.jobs_directory / job)
    leftover = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={TOKEN: "left"})
    directory.group.write_text(json.dumps({"token": "left", "host": socket.gethostname(), "worker": 1}))
    project.advance(job, Stage.TRAIN)
    assert leftover.poll() is not None
    assert directory.model.is_dir()
