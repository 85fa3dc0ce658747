"""Workers that die where they would enter a function, having done all that comes before it.

Each is a process of its own, forked from one that has imported what every stage needs: as a worker's children are, and
since the imports take a hundred times as long as the dying.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from driving import Project

from retraind.states import Stage

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

PROGRAM = """
import importlib, json, os, signal, sys, tempfile
from datetime import datetime
from pathlib import Path

from workers.registry import ENVIRONMENT

os.environ.update(ENVIRONMENT)
import mlflow.artifacts, mlflow.models, pandas, pyarrow.parquet
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
from driving import SetClock
from retraind.config.loading import load
from retraind.states import Stage
from workers.advance import advance
from workers.session import Session


def die(environment, configuration, instant, job, stage, module, name):
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    owner = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    advance(Session(load(Path(configuration), {}), SetClock(datetime.fromisoformat(instant))), job, Stage(stage))


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        die(*json.loads(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def die_at(project: Project, job: str, stage: Stage, where: str) -> None:
    """Has a process advance the job, and kills it at `where`, `MODULE:FUNCTION`."""
    module, _, name = where.partition(":")
    told = [str(project.folder / "retraind.yaml"), project.clock.instant.isoformat(), job, stage, module, name]
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([dict(os.environ), *told]) + "\n")
    process.stdin.flush()
    assert int(process.stdout.readline()) == -signal.SIGKILL
    assert project.job(job).lease_owner is not None


@cache
def _process() -> "subprocess.Popen[str]":
    """Started once per test process; it ends with its input."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE, HERE.parent)))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)
    return process
