"""docs/training.md: its examples are good configuration and code, and it tells every variable and metric."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from training_data import flights

from retraind.config.settings import Settings
from triggers.metrics import METRICS
from workers.job_directory import JobDirectory
from workers.program import Surroundings
from workers.runner import train_function
from workers.targets import DeployableVersion
from workers.targets import command as command_target
from workers.trainers import TrainingTask
from workers.trainers import command as command_trainer

TEXT = (Path(__file__).parents[2] / "docs/training.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_piece_of_configuration_is_valid(text: str) -> None:
    model: dict[str, Any] = {
        "predictions": {
            "url": "sqlite:///monitoring.db",
            "columns": {"features": ["dep_delay", "distance", "carrier"]},
        },
        "training": {"trainer": {"sklearn": "sklearn.linear_model.LogisticRegression"}},
    }
    for key, value in yaml.safe_load(text).items():
        model[key] = {**model["training"], **value} if key == "training" else value
    assert Settings.model_validate({"models": {"delays": model}}).models["delays"].training.trainer


def test_the_first_function_trains(tmp_path: Path) -> None:
    (tmp_path / "documented.py").write_text(blocks("python")[0])
    flights(100).to_parquet(tmp_path / "train.parquet", index=False)
    spec = {
        "data": str(tmp_path / "train.parquet"),
        "target": "actual",
        "features": ["dep_delay", "distance"],
        "weight": "__weight",
        "function": f"{tmp_path}/documented.py:train",
        "params": {"strength": 0.5},
        "model": str(tmp_path / "model"),
    }
    assert train_function.main(spec)["flavour"] == "sklearn"


@pytest.mark.parametrize("text", blocks("python"))
def test_every_function_takes_data_and_target(text: str) -> None:
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert [argument.arg for argument in functions[-1].args.args][:2] == ["data", "target"]


def test_every_variable_of_a_command_is_told_and_no_other(tmp_path: Path) -> None:
    around = Surroundings("delays", "j1", JobDirectory(tmp_path), tmp_path)
    task = TrainingTask(around, "actual", ("x",), None)
    version = DeployableVersion("delays", "delays", "1", None, "j1", tmp_path, "models:/delays/1")
    trained = command_trainer.environment(task, tmp_path)
    deployed = command_target.environment(version)
    told = re.findall(r"^\| `(RETRAIND_\w+)` \|", TEXT, re.MULTILINE)
    assert sorted(told) == sorted([*trained, *deployed])


def test_every_metric_is_told() -> None:
    assert [name for name in METRICS if f"`{name}`" not in TEXT] == []
