"""Can the trainer be imported, in the very interpreter that will train, and does it take its parameters?"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon.checks.finding import Finding, Level, ok, problem, split, warning
from daemon.checks.plugins import check_plugin
from daemon.checks.programs import check_command
from daemon.checks.tables import check_table
from retraind.config.settings import Model
from retraind.config.training import (
    CommandTrainer,
    FileSource,
    FunctionTrainer,
    PluginTrainer,
    SklearnTrainer,
    SqlSource,
    Training,
)

PROBE = Path(__file__).with_name("probe_trainer.py")
PROBE_SECONDS = 120.0  # a framework's first import on a cold disk takes its time


def check(what: str, model: Model, directory: Path) -> Iterator[Finding]:
    """The training data where it is in files, the holdout, and the trainer. `directory` is the configuration's."""
    yield from _data(what, model)
    trainer, place = model.training.trainer, f"{what}.trainer"
    if isinstance(trainer, CommandTrainer):
        yield from check_command(f"{place}.command", trainer.command, directory)
        if trainer.predict:
            yield from check_command(f"{place}.predict", trainer.predict, directory)
    elif isinstance(trainer, PluginTrainer):
        yield check_plugin(f"{place}.plugin", "retraind.trainers", trainer.plugin)
    else:
        yield from _probe(place, trainer, model.training, directory)


def _data(what: str, model: Model) -> Iterator[Finding]:
    data, holdout = model.training.data, model.training.holdout
    features = data.features or model.predictions.columns.feature_names
    wanted = [*features, data.target]
    if isinstance(data.source, FileSource):
        path = data.source.csv or data.source.parquet or ""
        timestamp = [data.source.timestamp] if data.source.timestamp else []
        yield from check_table(f"{what}.data.source", path, [*wanted, *timestamp])
    elif isinstance(data.source, SqlSource):
        yield warning(f"{what}.data.source", "the query is not run by this check", "the first job's ingest runs it")
    if holdout.file is not None:
        yield from check_table(f"{what}.holdout.file", holdout.file, wanted)


def _probe(
    place: str, trainer: SklearnTrainer | FunctionTrainer, training: Training, directory: Path
) -> Iterator[Finding]:
    python = shutil.which(trainer.python) if trainer.python else sys.executable
    if python is None:
        yield problem(
            f"{place}.python", f"there is no interpreter {trainer.python}", "make it, or name one that is there"
        )
        return
    weighted = training.data.window.half_life is not None
    spec = {"params": trainer.params, "weighted": weighted}
    if isinstance(trainer, SklearnTrainer):
        spec["sklearn"] = named = trainer.sklearn
    else:
        spec["function"] = named = trainer.function
    answer = _ask(python, spec, directory)
    if isinstance(answer, str):
        yield split(place, Level.PROBLEM, answer)
        return
    for sentence in answer["problems"]:
        yield split(place, Level.PROBLEM, sentence)
    if not answer["problems"]:
        yield ok(place, f"{named} can be imported in {python} (Python {answer['python']})")


def _ask(python: str, spec: dict[str, Any], directory: Path) -> dict[str, Any] | str:
    """The probe's answer, or a sentence where it gave none."""
    try:
        finished = subprocess.run(
            [python, str(PROBE)],
            input=json.dumps(spec),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            cwd=directory,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"importing it in {python} took more than {PROBE_SECONDS:.0f} seconds; see what it does when imported"
    except OSError as error:
        return f"{python} cannot be started: {error.strerror}; name another interpreter"
    answer = finished.stdout.rpartition("\n{")[2] if "\n{" in finished.stdout else finished.stdout.lstrip("{")
    try:
        found: dict[str, Any] = json.loads("{" + answer)
    except ValueError:
        last = (finished.stderr.strip() or "it printed nothing").splitlines()[-1]
        return f"importing it in {python} ended with exit code {finished.returncode}: {last}"
    return found
