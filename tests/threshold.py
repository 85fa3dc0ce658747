"""A model that is light to train and real all the same: an MLflow python_function of a few bytes.

A training by command copies it into place, so that neither scikit-learn nor MLflow is started for it.
"""

import json
import sys
from pathlib import Path

import yaml

LOADER = """
import json
from pathlib import Path


class Threshold:
    def __init__(self, bar):
        self.bar = bar

    def predict(self, rows, params=None):
        return (rows["x"] > self.bar).astype(int).to_numpy()


def _load_pyfunc(path):
    return Threshold(json.loads((Path(path) / "bar.json").read_text())["bar"])
"""

MLMODEL = {
    "flavors": {
        "python_function": {
            "code": "code",
            "data": "data",
            "loader_module": "threshold_model",
            "python_version": ".".join(map(str, sys.version_info[:3])),
        }
    },
    "metadata": {"retraind.features": ["x", "z"]},
}


def write(folder: Path) -> None:
    """Makes `folder` the model's directory, as MLflow has it."""
    (folder / "code").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "code" / "threshold_model.py").write_text(LOADER)
    (folder / "data" / "bar.json").write_text(json.dumps({"bar": 0.0}))
    (folder / "MLmodel").write_text(yaml.safe_dump(MLMODEL))
