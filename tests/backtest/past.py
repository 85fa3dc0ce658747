"""A small past: 80 days of a classifier whose data shifts, and whose predictions get worse, on the fiftieth."""

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from retraind.config.loading import load
from retraind.config.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, A_DAY, TURN = 80, 150, 50
LEFT = START + timedelta(days=DAYS)

# A model in no time: late where the delay is above the mean of what it was trained on.
TRAIN = """
import os
from pathlib import Path
import pyarrow.compute as pc
import pyarrow.parquet as pq

bar = pc.mean(pq.read_table(os.environ["RETRAIND_DATA"])["delay"]).as_py()
made = Path(os.environ["RETRAIND_MODEL_DIR"])
name = "threshold_" + os.environ["RETRAIND_JOB"].replace("-", "_")
(made / "code").mkdir()
(made / "code" / (name + ".py")).write_text(f'''
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

CONFIGURATION = """
models:
  delays:
    predictions:
      url: sqlite:///past.db
      label_delay: 1d
      columns: {{features: [delay, carrier]}}
    triggers:
{triggers}
    policy: {policy}
    training:
      data: {{window: {{rolling: 20d}}}}
      trainer: {{command: [{python}, train.py]}}
      task: classification
      gates: {gates}
"""
TRIGGERS = """
      drift: {type: drift, window: 7d, prediction: false, natural: false, incidents: false, look_every: 2d}
      decay: {type: performance, metric: accuracy, below: 0.85, window: 7d, look_every: 2d}
"""


def make_store(path: Path) -> None:
    """What is late is above the day's usual delay; the recorded model goes by the usual delay of the beginning."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(DAYS * A_DAY):
        at = START + timedelta(days=number / A_DAY)
        usual = 0.0 if number < TURN * A_DAY else 1.0
        delay = float(random.normal(usual, 1))
        late = int(delay > usual) if random.random() < 0.97 else int(delay <= usual)
        rows.append((at.timestamp(), delay, "AB"[number % 2], int(delay > 0), late))
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(
            "CREATE TABLE predictions (timestamp REAL, delay REAL, carrier TEXT, prediction INTEGER, actual INTEGER)"
        )
        store.execute("CREATE INDEX by_time ON predictions (timestamp)")
        store.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows)


def make_project(
    folder: Path, triggers: str = TRIGGERS, policy: str = "{cooldown: 5d}", gates: str = "[]", **_: Any
) -> Path:
    """A configuration beside that store. Its file."""
    make_store(folder / "past.db")
    (folder / "train.py").write_text(TRAIN)
    return configure(folder, triggers, policy, gates)


def configure(folder: Path, triggers: str = TRIGGERS, policy: str = "{cooldown: 5d}", gates: str = "[]") -> Path:
    file = folder / "retraind.yaml"
    file.write_text(
        CONFIGURATION.format(triggers=triggers.strip("\n"), policy=policy, gates=gates, python=sys.executable)
    )
    return file


def settings(file: Path) -> Settings:
    return load(file, {})
