"""A project in a folder of its own, the command run in it, and a ledger to prepare what it shows."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from templates import empty_ledger
from typer.testing import CliRunner

from daemon.cli.app import app
from retraind.clock import SystemClock
from retraind.config.policy import Breaker
from retraind.ledger import Ledger, jobs, work
from retraind.ledger.rows import Version
from retraind.states import STAGES, JobState, Stage

RETRAIND = [sys.executable, "-m", "daemon.cli"]
LEASE = timedelta(seconds=30)

CONFIGURATION = """
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db", columns: {{features: [distance]}}}}
    triggers:
      volume: {{type: volume, rows: 40, labelled: true}}
      stale: {{type: interval, every: 7d}}
    policy: {{cooldown: 6h}}
    training: {{trainer: {{command: [{python}]}}}}
  fraud:
    predictions: {{url: "sqlite:///monitoring.db", columns: {{features: [distance]}}}}
    training: {{trainer: {{command: [{python}]}}}}
broker: "{broker}"
"""


@dataclass
class Answer:
    """What a call left: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Project:
    """One folder with a configuration and a small predictions store."""

    folder: Path
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.configure()
        with sqlite3.connect(self.folder / "monitoring.db") as store:
            columns = "timestamp TEXT, distance REAL, prediction INTEGER, actual INTEGER"
            store.execute(f"CREATE TABLE predictions ({columns})")
            store.execute("CREATE INDEX by_time ON predictions (timestamp)")
            start = datetime.now(UTC) - timedelta(days=1)
            store.executemany(
                "INSERT INTO predictions VALUES (?, ?, ?, ?)",
                [((start + timedelta(minutes=n)).isoformat(), float(n), n % 2, n % 2) for n in range(50)],
            )
        store.close()
        self.ledger = Ledger.open(empty_ledger(self.folder / "state" / "ledger.db"))

    def configure(self, broker: str = "embedded", text: str | None = None) -> None:
        content = text if text is not None else CONFIGURATION.format(broker=broker, python=sys.executable)
        (self.folder / "retraind.yaml").write_text(content)

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> Answer:
        """The command, in this process."""
        result = CliRunner().invoke(app, list(arguments), prog_name="retraind", env=env)
        return Answer(result.exit_code, result.stdout, result.stderr)

    def job(self, model: str = "delays", reason: str = "because", **options: Any) -> str:
        with self.ledger.write("daemon") as transaction:
            made = jobs.request(transaction, model, reason=reason, **options)
        assert made is not None
        return made

    def claim(self, job: str, owner: str = "worker:here:1") -> work.Claim:
        with self.ledger.write(owner) as transaction:
            held = work.claim(transaction, job, owner, LEASE)
        assert held is not None
        return held

    def run(self, held: work.Claim, *stages: Stage, result: dict[str, Any] | None = None) -> None:
        """Does the stages, without doing anything."""
        for stage in stages:
            with self.ledger.write(held.owner) as transaction:
                work.begin_stage(transaction, held, stage)
            with self.ledger.write(held.owner) as transaction:
                if stage is Stage.REGISTER:
                    work.record_version(transaction, held, self.version(held.job))
                work.succeed(transaction, held, stage, result or {"rows": 50})

    def version(self, job: jobs.Job) -> Version:
        now = datetime.now(UTC)
        with self.ledger.read() as connection:
            number = len(jobs.latest(connection, job.model))
        return Version(
            job.model,
            str(number),
            job.id,
            f"models:/{job.model}/{number}",
            f"{self.folder}/state/jobs/{job.id}/model",
            None,
            now - timedelta(days=30),
            now,
            {"accuracy": 0.91},
            now,
            now,
        )

    def awaiting(self, model: str = "delays") -> str:
        """A job that awaits approval."""
        held = self.claim(self.job(model))
        self.run(held, *STAGES[:-1])
        with self.ledger.write(held.owner) as transaction:
            expires = transaction.now + timedelta(hours=24)
            work.release(transaction, held, state=JobState.AWAITING_APPROVAL, approval_expires_at=expires)
        return held.job.id

    def deployed(self, model: str = "delays") -> str:
        """A job that ended with a deployment."""
        from retraind.ledger import models

        held = self.claim(self.job(model))
        self.run(held, *STAGES)
        with self.ledger.write(held.owner) as transaction:
            job = jobs.get(transaction.connection, held.job.id)
            assert job is not None
            assert job.version is not None
            models.deploy(transaction, model, job.version, job.id)
            jobs.close(transaction, job, JobState.DEPLOYED, Breaker())
        return held.job.id

    def closed(self, outcome: JobState, model: str = "delays", error: str | None = "it went wrong") -> str:
        """A job that ended otherwise."""
        held = self.claim(self.job(model))
        with self.ledger.write(held.owner) as transaction:
            jobs.close(transaction, held.job, outcome, Breaker(after=1), error=error)
        return held.job.id

    def state(self, job: str) -> str:
        with self.ledger.read() as connection:
            found = jobs.get(connection, job)
        assert found is not None
        return found.state

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """The command as a process of its own."""
        return subprocess.Popen(
            [*RETRAIND, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # pytest's children may ignore Ctrl-C where pytest itself runs in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one call, no lock
        )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRAIND_CONFIG", raising=False)
    made = Project(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
def retraind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """The command as a process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **options: Any) -> Answer:
        environment = {name: value for name, value in os.environ.items() if name != "RETRAIND_CONFIG"}
        environment |= options.pop("env", {})
        done = subprocess.run(
            [*RETRAIND, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
            **{"cwd": tmp_path, **options},
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def now() -> datetime:
    return SystemClock().now()
