"""Runs one program of `workers/runner` in the user's interpreter, and reads its answer."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retraind.errors import DataFailure, UnknownFailure
from workers.durable import remove, write_json
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
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, what: str, log: str, arguments: list[str], environment: Mapping[str, str]) -> Command:
        """A command of this job, whose output goes to the log of that name."""
        return Command(
            what=f"{what} of {self.model}",
            arguments=arguments,
            log=self.directory.log(log),
            record=self.directory.group,
            environment={**PASSIVE_THREADS, **self.environment, **QUIET_MLFLOW, **environment},
            directory=self.project,
        )


def run_program(
    name: str, spec: Mapping[str, Any], around: Surroundings, *, what: str, log: str, python: str | None = None
) -> tuple[dict[str, Any], Finished]:
    """Runs the program `name` with `spec`; its answer, and what it took. None for `python` is retraind's own.

    Raises DataFailure or UnknownFailure with the program's own sentence and the log's path, and what
    `workers.process.run` raises.
    """
    spec_file, answer_file = (around.directory.scratch(f"{name}.{kind}.json") for kind in ("spec", "answer"))
    remove(answer_file)
    write_json(spec_file, spec)
    call = [python or sys.executable, str(RUNNER), name, str(spec_file), str(answer_file)]
    command = around.command(what, log, call, {})
    finished = run(command, around.limits, around.should_stop)
    answer = _read(answer_file)
    if answer is None:
        raise failure(command, finished)
    if not answer["ok"]:
        kind = DataFailure if answer["kind"] == "data" else UnknownFailure
        sentence = str(answer["sentence"]).rstrip(".")
        raise kind(f"{command.what[:1].upper()}{command.what[1:]} failed: {sentence}. Its output is in {command.log}.")
    if finished.exit_code:
        raise failure(command, finished)
    return answer, finished


def _read(path: Path) -> dict[str, Any] | None:
    """The program's answer; None where it left none that can be read."""
    try:
        answer = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "ok" in answer else None
