"""A good configuration file, the least one, and ways to load them and to see them refused."""

from pathlib import Path

import pytest

from retraind.config.loading import load
from retraind.config.settings import Settings
from retraind.errors import ConfigurationError

DESIGN = """\
models:
  delays:
    predictions:
      url: sqlite:///monitoring.db            # or postgresql+psycopg://...
      table: predictions
      columns: {timestamp: timestamp, prediction: prediction, actual: actual, features: [dep_delay, distance]}
    triggers:
      weekly:  {type: cron, schedule: "0 2 * * 0", timezone: America/New_York}
      stale:   {type: interval, every: 7d}
      drift:   {type: drift, window: 7d, false_alarms: 1 per 90d}
      decay:   {type: performance, metric: accuracy, below: 0.85, window: 7d, min_labels: 100}
      volume:  {type: volume, rows: 10000, labelled: true}
      landing: {type: file, path: data/latest/*.csv}
    policy: {cooldown: 6h, approval: manual, approval_expires: 24h}
    training:
      data: {source: predictions, window: {rolling: 30d}, target: actual}
      checks: {min_rows: 5000, target_rate: [0.01, 0.6]}
      trainer: {sklearn: sklearn.ensemble.HistGradientBoostingClassifier, params: {max_iter: 200}}
      budget: {time: 4h, memory: 8GiB}
      gates:
        - {metric: accuracy, at_least: 0.85}
        - {metric: accuracy, not_worse_than: champion, by: 0.005}
    deploy:
      - {mlflow: delays, alias: champion}
      - {directory: models/production}
alerts:
  - {url: "${SLACK_URL}", on: [failed, gate_failed, awaiting_approval, deployed]}
"""

LEAST = """\
models:
  delays:
    predictions: {url: sqlite:///monitoring.db}
    training:
      trainer: {sklearn: sklearn.linear_model.LogisticRegression}
"""


def write(directory: Path, text: str | bytes) -> Path:
    path = directory / "retraind.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def loaded(directory: Path, text: str, **environ: str) -> Settings:
    return load(write(directory, text), environ)


def refused(directory: Path, text: str | bytes, **environ: str) -> list[str]:
    """The lines of the refusal, with the file's path written FILE."""
    path = write(directory, text)
    with pytest.raises(ConfigurationError) as error:
        load(path, environ)
    return str(error.value).replace(str(path), "FILE").splitlines()
