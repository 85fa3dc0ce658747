"""The project that chaos strikes: three small models, light to train and real all the same.

Training is a command that takes a moment, so that it can be killed in the middle. Every landing brings
rows, so that no training repeats another.
"""

import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import threshold
import yaml

TRAIN = """
import os, shutil, sys, time
from pathlib import Path

time.sleep(float(Path("training_seconds").read_text()))
shutil.copytree("template", os.environ["RETRAIND_MODEL_DIR"], dirs_exist_ok=True)
"""

DEPLOY = """
import os, sys
from pathlib import Path

place = Path("served")
place.with_suffix(".tmp").write_text(os.environ["RETRAIND_VERSION"])
place.with_suffix(".tmp").replace(place)
"""

MODELS = ("alpha", "beta", "gamma")
DIRECTORIES = {"alpha": "models/alpha", "beta": "models/beta"}
REGISTERED = ("alpha", "beta", "gamma")
LEASE_SECONDS = 3.0
TRAINING_SECONDS = 0.3


def configuration(ledger: str | None, broker: str | None) -> dict[str, Any]:
    """The whole configuration; None is the embedded default."""
    whole: dict[str, Any] = {
        "models": {
            "alpha": _model("alpha", [{"mlflow": "alpha"}, {"directory": DIRECTORIES["alpha"]}]),
            "beta": _model("beta", [{"directory": DIRECTORIES["beta"]}, {"mlflow": "beta"}], when_busy="queue"),
            "gamma": _model(
                "gamma",
                [{"command": [sys.executable, "-IS", "deploy.py"]}, {"mlflow": "gamma"}],
                approval="manual",
                approval_expires="1h",
            ),
        },
        "audit": {"path": "log/audit.jsonl", "rotate": "64KiB"},
        "lease": {"length": f"{LEASE_SECONDS:g}s", "heartbeat": "1s"},
        "monitor": {"reconcile_every": "1s", "republish_after": "3s", "converge_every": "5s", "files_scan_every": "5s"},
        "workers": {"grace": "3s"},
        # So that there is something to prune, and to free on the disk, all the time.
        "retention": {"every": "5s", "looks": "20s", "data": 1},
    }
    if ledger is not None:
        whole["ledger"] = ledger
    if broker is not None:
        whole["broker"] = broker
    return whole


def _model(name: str, deploy: list[dict[str, Any]], **policy: Any) -> dict[str, Any]:
    return {
        "predictions": {"url": "sqlite:///monitoring.db", "table": name, "columns": {"features": ["x", "z"]}},
        "triggers": {
            "landing": {
                "type": "file",
                "path": f"landing/{name}/*.csv",
                "settle": "1s",
                "wait_at_most": "2s",
                "existing": True,
            }
        },
        "policy": {"retries": {"attempts": 50, "delay": "1s"}, "breaker": {"after": 10_000}, **policy},
        "training": {
            "data": {"window": {"rolling": "60d"}},
            "trainer": {"command": [sys.executable, "-IS", "train.py"]},
            "gates": [{"metric": "accuracy", "at_least": 0.3}],
        },
        "deploy": deploy,
    }


def write(folder: Path, whole: dict[str, Any]) -> None:
    """Fills an empty folder."""
    (folder / "retraind.yaml").write_text(yaml.safe_dump(whole))
    (folder / "train.py").write_text(TRAIN)
    (folder / "deploy.py").write_text(DEPLOY)
    let_training_take(folder, TRAINING_SECONDS)
    threshold.write(folder / "template")
    for name in MODELS:
        (folder / "landing" / name).mkdir(parents=True)
    with sqlite3.connect(folder / "monitoring.db") as store:
        for name in MODELS:
            store.execute(f"CREATE TABLE {name} (timestamp TEXT, x REAL, z REAL, prediction INTEGER, actual INTEGER)")
    store.close()


def add_rows(folder: Path, model: str, rows: int, random: Random) -> None:
    """Rows of the last 20 days: the actual mostly follows x."""
    now = datetime.now(UTC)
    made = []
    for _ in range(rows):
        x, z = random.gauss(0, 1), random.gauss(0, 1)
        at = now - timedelta(days=20 * random.random(), hours=3)
        made.append((at.isoformat(), x, z, int(x > 0), int(x + 0.3 * z > 0)))
    store = sqlite3.connect(folder / "monitoring.db", timeout=10)
    with store:
        store.executemany(f"INSERT INTO {model} VALUES (?, ?, ?, ?, ?)", made)
    store.close()


def let_training_take(folder: Path, seconds: float) -> None:
    """Each training that begins from now on."""
    draft = folder / "training_seconds.draft"
    draft.write_text(str(seconds))
    draft.replace(folder / "training_seconds")


def land(folder: Path, model: str, name: str) -> None:
    """A file appears, whole at once."""
    draft = folder / f".{name}.draft"
    draft.write_text(name)
    draft.rename(folder / "landing" / model / name)
