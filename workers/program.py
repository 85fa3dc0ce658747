"""Runs one program of `workers/runner` in the user's interpreter, and reads its answer."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from retraind.errors import DataFailure, UnknownFailure
from workers.job_directory import JobDirectory
from workers.process import Command, Finished, Limits, ShouldStop, failure, never, run

RUNNER = Path(__file__).with_name("runner")
# Threads that wait for work sleep: spinning, they take the cores from the rest of the machine. A user's setting stays.
PASSIVE_THREADS = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
# Children talk to nobody: MLflow's own telemetry is off, and its tracking server is the worker's business.
QUIET_MLFLOW = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@dataclass(frozen=True)
class Surroundings:
    """Where and within what bounds the children of one stage of one job run."""

    model: str  # the model's name, for messages
    job: str
    directory: JobDirectory
    project: Path  # the working directory: that of the configuration file
    limits: Limits = field(default_factory=Limits)
    should_stop: ShouldStop = never
    secrets: tuple[str, ...] = field(default=(), repr=False)  # never left in a log or a record

    def command(
        self,
        what: str,
        log: str,
        arguments: list[str],
        environment: Mapping[str, str],
        keep_open: Sequence[int] = (),
    ) -> Command:
        """A command of this job, whose output goes to the log of that name."""
        return Command(
            what=f"{what} of {self.model}",
            arguments=arguments,
            log=self.directory.log(log),
            record=self.directory.group,
            environment={**PASSIVE_THREADS, **QUIET_MLFLOW, **environment},
            directory=self.project,
            keep_open=keep_open,
            secrets=self.secrets,
        )


def run_program(
    name: str, spec: Mapping[str, Any], around: Surroundings, *, what: str, log: str, python: str | None = None
) -> tuple[dict[str, Any], Finished]:
    """Runs the program `name` with `spec`; its answer, and what it took. None for `python` is retraind's own.

    Raises DataFailure or UnknownFailure with the program's own sentence and the log's path, and what
    `workers.process.run` raises.
    """
    around.directory.scratch(name).parent.mkdir(parents=True, exist_ok=True)  # where programs write what is large
    # What a trainer is told may hold secrets, so that it has no name on the disk and is gone with its readers.
    with TemporaryFile("w+") as told, TemporaryFile("w+") as answered:
        json.dump(spec, told, allow_nan=False)
        told.seek(0)
        files = (told.fileno(), answered.fileno())
        call = [python or sys.executable, str(RUNNER), name, *(f"/dev/fd/{number}" for number in files)]
        command = around.command(what, log, call, {}, keep_open=files)
        finished = run(command, around.limits, around.should_stop)
        answered.seek(0)
        answer = _read(answered)
    if answer is None:
        raise failure(command, finished)
    if not answer["ok"]:
        kind = DataFailure if answer["kind"] == "data" else UnknownFailure
        sentence = str(answer["sentence"]).rstrip(".")
        raise kind(f"{command.what[:1].upper()}{command.what[1:]} failed: {sentence}. Its output is in {command.log}.")
    if finished.exit_code:
        raise failure(command, finished)
    return answer, finished


def _read(answered: IO[str]) -> dict[str, Any] | None:
    """The program's answer; None where it left none that can be read."""
    try:
        answer = json.load(answered)
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "ok" in answer else None
