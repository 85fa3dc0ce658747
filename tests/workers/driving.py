"""Drives jobs through their stages in this process: store, ledger, MLflow and children are real, the broker is out."""

import atexit
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml
from templates import empty_ledger, empty_mlflow

from retraind.config.loading import load
from retraind.ledger import jobs, looks, models, trail, work
from retraind.ledger.rows import Job
from retraind.states import STAGES, JobState, Stage
from triggers.verdict import Outcome, Verdict
from workers.advance import advance
from workers.convergence import converge_if_needed
from workers.job_directory import JobDirectory
from workers.session import Session

START = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = "delays"
BEFORE_REGISTER = (Stage.INGEST, Stage.VALIDATE, Stage.TRAIN, Stage.EVALUATE)

# Makes an MLflow model in no time: it says late where the delay is above the bar.
TRAIN = """
import os
from pathlib import Path

BAR = {bar}
made = Path(os.environ["RETRAIND_MODEL_DIR"])
name = "threshold_" + os.environ["RETRAIND_JOB"].replace("-", "_")
(made / "code").mkdir()
(made / "code" / (name + ".py")).write_text(f'''
class Threshold:
    def predict(self, rows, params=None):
        return (rows["delay"] > {{BAR}}).astype(int).to_numpy()


def _load_pyfunc(path):
    return Threshold()
''')
(made / "MLmodel").write_text(
    f"flavors: {{{{python_function: {{{{loader_module: {{name}}, code: code, python_version: '3.11'}}}}}}}}\\n"
)
(made / "requirements.txt").write_text("")
print("trained with the bar at", BAR)
"""

# Makes a version live: says so in `told`, unless there is a file `refuse`.
DEPLOY = """
if [ -e refuse ]; then echo "no room on the shelf"; exit 3; fi
echo "$RETRAIND_VERSION" >> told
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
    """A project folder with a store, and one worker's view of it."""

    def __init__(self, folder: Path, rows: int = 240, **changes: Any) -> None:
        self.folder = folder
        self.clock = SetClock(START)
        self.bar(15)
        empty_ledger(folder / "state" / "ledger.db")
        (folder / "deploy.sh").write_text(DEPLOY)
        self.add_rows(-rows, 0)
        self.configure(**changes)

    # --- what it is made of

    def configure(self, **changes: Any) -> None:
        """Writes the configuration: `changes` are merged into the model's parts, or into the top for other names."""
        self.document = document(changes)
        (self.folder / "retraind.yaml").write_text(yaml.safe_dump(self.document))
        self.session = Session(load(self.folder / "retraind.yaml", {}), self.clock)

    def give_registry(self) -> None:
        """MLflow's tables are there already: to make them takes longer than a job."""
        empty_mlflow(self.folder / "state" / "mlflow.db")

    def bar(self, value: float) -> None:
        (self.folder / "train.py").write_text(TRAIN.format(bar=value))

    def add_rows(self, first: int, last: int) -> None:
        """One row an hour from START on; late when the delay is above 15; every tenth has no actual yet."""
        rows = []
        for number in range(first, last):
            delay = float(number * 7 % 31)
            actual = None if number % 10 == 0 else int(delay > 15)
            rows.append(((START + timedelta(hours=number)).isoformat(), delay, number % 5, int(delay > 15), actual))
        self.sql(
            "CREATE TABLE IF NOT EXISTS predictions "
            "(timestamp TEXT, delay REAL, distance INTEGER, prediction INTEGER, late INTEGER)"
        )
        with sqlite3.connect(self.folder / "monitoring.db") as connection:
            connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows)
        connection.close()

    def sql(self, statement: str) -> None:
        """Changes the predictions store."""
        with sqlite3.connect(self.folder / "monitoring.db") as connection:
            connection.execute(statement)
        connection.close()

    def later(self, hours: float) -> None:
        """Time passes, and rows come in."""
        before = round((self.clock.instant - START).total_seconds() / 3600)
        self.clock.instant += timedelta(hours=hours)
        self.add_rows(before, round((self.clock.instant - START).total_seconds() / 3600))

    # --- what is done with it

    def request(self, *, forced: bool = False) -> str:
        verdict = Verdict(Outcome.FIRED, "delay drifted.", {"psi": 0.3})
        with self.session.ledger.write("user:ann") as transaction:
            job = jobs.request(transaction, MODEL, reason=verdict.sentence, forced=forced)
            looks.fire(transaction, MODEL, "drift", verdict, role="cause", job=job)
        assert job is not None
        return job

    def advance(self, job: str, *stages: Stage) -> Job:
        for stage in stages or STAGES:
            advance(self.session, job, stage)
        return self.job(job)

    def run(self, *, forced: bool = False) -> Job:
        """One job, from request to end."""
        return self.advance(self.request(forced=forced))

    def converge(self) -> None:
        converge_if_needed(self.session, MODEL)

    # --- how it stands

    def job(self, job: str) -> Job:
        with self.session.ledger.read() as connection:
            found = jobs.get(connection, job)
        assert found is not None
        return found

    def directory(self, job: str) -> JobDirectory:
        return JobDirectory(self.session.settings.jobs_directory / job)

    def attempts(self, job: str, stage: Stage) -> int:
        with self.session.ledger.read() as connection:
            return work.attempt_of(connection, job, stage)

    def events(self, name: str, job: str | None = None) -> list[Mapping[str, Any]]:
        """The data of the events of that name."""
        with self.session.ledger.read() as connection:
            found = trail.beyond(connection, 0, limit=10_000)
        return [each["data"] for each in found if each["event"] == name and job in {None, each["job"]}]

    def champion(self) -> str | None:
        """By the ledger."""
        with self.session.ledger.read() as connection:
            current = models.champions(connection, MODEL).current
        return None if current is None else current.version

    def alias(self, name: str = "champion") -> str | None:
        return self.session.registry.alias_of(MODEL, name)

    def link(self) -> str:
        """The version behind the directory's link."""
        return str(json.loads((self.folder / "live" / "current" / "VERSION.json").read_text())["version"])

    def told(self) -> list[str]:
        """What the command was told, in turn."""
        file = self.folder / "told"
        return file.read_text().split() if file.exists() else []

    def serves(self) -> set[str | None]:
        """The versions that ledger, alias, link and command say are champion: one, when all is well."""
        return {self.champion(), self.alias(), self.link(), *self.told()[-1:]}

    # --- going back

    def save(self, to: Path) -> None:
        """Keeps the folder as it stands."""
        self.session.ledger.close()
        shutil.copytree(self.folder, to, symlinks=True)
        (to / "instant").write_text(self.clock.instant.isoformat())

    def restore(self, saved: Path) -> None:
        """Makes the folder what it was. MLflow keeps connections to its database, so that one is written in place."""
        self.session.ledger.close()
        for entry in self.folder.iterdir():
            _empty(entry)
        mlflow = Path("state", "mlflow.db")
        shutil.copytree(
            saved,
            self.folder,
            symlinks=True,
            dirs_exist_ok=True,
            ignore=lambda at, names: {"mlflow.db"} & {*names} if at.endswith("state") else set(),
        )
        with sqlite3.connect(saved / mlflow) as source, sqlite3.connect(self.folder / mlflow) as target:
            source.backup(target)
        source.close()
        target.close()
        self.clock = SetClock(datetime.fromisoformat((saved / "instant").read_text()))
        self.session = Session(load(self.folder / "retraind.yaml", {}), self.clock)


def until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Waits for the condition. False when it did not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def document(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, with `changes` to the model's parts or to the top."""
    model: dict[str, Any] = {
        "predictions": {
            "url": "sqlite:///monitoring.db",
            "columns": {"actual": "late", "features": ["delay", "distance"]},
        },
        "triggers": {},
        "policy": {},
        "training": {
            "data": {"window": {"rolling": "10d"}, "target": "late", "features": ["delay"]},
            "trainer": {"command": [sys.executable, "train.py"]},
            "gates": [{"metric": "accuracy", "at_least": 0.6}, {"metric": "accuracy", "not_worse_than": "champion"}],
        },
        "deploy": [{"mlflow": MODEL}, {"directory": "live"}, {"command": ["sh", "deploy.sh"]}],
    }
    top: dict[str, Any] = {"models": {MODEL: model}, "lease": {"length": "30s", "heartbeat": "100ms"}}
    for name, value in changes.items():
        at = model if name in model else top
        at[name] = {**at[name], **value} if isinstance(at.get(name), dict) else value
    return top


class History:
    """One project's first two jobs, and how its folder stood at the points that tests start from."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(_made(folder / "project"))
        self._saved = folder / "saved"
        project = self.project
        project.give_registry()
        project.bar(20)
        self.first = project.request()
        project.advance(self.first, *BEFORE_REGISTER)
        self._keep("first judged")  # no model is deployed yet
        assert project.advance(self.first, Stage.REGISTER, Stage.DEPLOY).state == JobState.DEPLOYED
        self._keep("first deployed")
        project.bar(15)
        project.later(20)
        self.second = project.request()
        project.advance(self.second, *BEFORE_REGISTER)
        self._keep("second judged")  # version 1 is champion
        assert project.advance(self.second, Stage.REGISTER, Stage.DEPLOY).state == JobState.DEPLOYED
        self._keep("second deployed")

    def at(self, point: str) -> Project:
        self.project.restore(self._saved / point)
        return self.project

    def _keep(self, point: str) -> None:
        self.project.save(self._saved / point)


@cache
def history() -> History:
    """Made once per process, because its children take seconds."""
    folder = Path(mkdtemp(prefix="retraind-history-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return History(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _empty(entry: Path) -> None:
    """Removes everything but MLflow's database."""
    if entry.name == "state":
        for inner in entry.iterdir():
            if inner.name != "mlflow.db":
                _empty(inner)
    elif entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
