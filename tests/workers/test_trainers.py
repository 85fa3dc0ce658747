"""Training for real, in child processes: every kind of trainer, and the ways one can fail."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from training_data import FEATURES, OWN_ESTIMATOR, OWN_MODEL, flights

from retraind.config.training import CommandTrainer, FunctionTrainer, PluginTrainer, SklearnTrainer
from retraind.errors import BudgetExceeded, DataFailure, StageError, TransientFailure, UnknownFailure
from workers.job_directory import JobDirectory
from workers.process import Limits
from workers.program import Surroundings, run_program
from workers.trainers import Trained, TrainingTask, train


def new_task(folder: Path) -> TrainingTask:
    directory = JobDirectory(folder / "job")
    directory.window.mkdir(parents=True)
    flights(400).to_parquet(directory.train, index=False)
    flights(100, seed=2).to_parquet(directory.holdout, index=False)
    (folder / "project").mkdir()
    around = Surroundings("delays", "j1", directory, folder / "project", Limits(seconds=60, grace_seconds=1))
    return TrainingTask(around, "actual", FEATURES, "classification")


@pytest.fixture
def task(tmp_path: Path) -> TrainingTask:
    return new_task(tmp_path)


def write(task: TrainingTask, name: str, text: str) -> Path:
    path = task.around.project / name
    path.write_text(text)
    return path


TRAIN = """
import json, os
import pandas
data = pandas.read_parquet(os.environ["RETRAIND_DATA"])
pandas.read_parquet(os.environ["RETRAIND_HOLDOUT"])
assert json.loads(os.environ["RETRAIND_FEATURES"]) == ["dep_delay", "distance", "carrier"]
told = {name: os.environ["RETRAIND_" + name] for name in ("JOB", "MODEL", "TASK", "WEIGHT")}
told["rate"] = data[os.environ["RETRAIND_TARGET"]].mean()
with open(os.path.join(os.environ["RETRAIND_MODEL_DIR"], "rate.json"), "w") as file:
    json.dump(told, file)
"""
PREDICT = """
import json, os
import pandas
data = pandas.read_parquet(os.environ["RETRAIND_DATA"])
model = json.load(open(os.path.join(os.environ["RETRAIND_MODEL_DIR"], "rate.json")))
late = data["dep_delay"].fillna(0) > 15
pandas.DataFrame({"prediction": late.astype(int), "score": late * 0.9}).to_parquet(os.environ["RETRAIND_PREDICTIONS"])
"""


@dataclass(frozen=True)
class Challenger:
    """A model that was trained in one process and asked in another."""

    done: Trained
    answer: Mapping[str, Any]
    predictions: pd.DataFrame
    directory: Path

    @property
    def accuracy(self) -> float:
        actual = flights(100, seed=2)["actual"].to_numpy()
        return float((self.predictions["prediction"].to_numpy() == actual).mean())


@pytest.fixture(scope="module")
def challengers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Challenger]:
    """One of each kind, all asked in one process: imports are what costs."""
    task = new_task(tmp_path_factory.mktemp("challengers"))
    directory, project = task.around.directory, task.around.project
    package = project.parent / "site"
    (package / "shop-1.0.dist-info").mkdir(parents=True)
    (package / "shop-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (package / "shop-1.0.dist-info" / "entry_points.txt").write_text("[retraind.trainers]\nthreshold = shop:train\n")
    (package / "shop.py").write_text(OWN_MODEL)
    write(task, "frames.py", OWN_ESTIMATOR)  # a name that the runner itself uses too
    write(task, "train.py", TRAIN)
    write(task, "predict.py", PREDICT)
    forest = {"n_estimators": 5, "random_state": 1}
    trainers = {
        "sklearn": SklearnTrainer(sklearn="sklearn.ensemble.HistGradientBoostingClassifier", params={"max_iter": 20}),
        "function": FunctionTrainer(function="frames:train", params=forest),
        "plugin": PluginTrainer(plugin="threshold", params={"bar": 15}),
        "command": CommandTrainer(command=(sys.executable, "train.py"), predict=(sys.executable, "predict.py")),
    }
    done = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package)
        patch.setenv("PYTHONPATH", str(package))
        for name, trainer in trainers.items():
            done[name] = train(trainer, task)
            directory.model.rename(directory.path / name)
    (project / "frames.py").unlink()  # the models must do without the code that made them, and without the package
    models = {name: {"model": str(directory.path / name), "output": str(directory.scratch(name))} for name in trainers}
    spec = {"data": str(directory.holdout), "features": list(FEATURES), "task": task.task, "models": models}
    answer, _ = run_program("predict", spec, task.around, what="the evaluation", log="evaluate")
    return {
        name: Challenger(
            done[name],
            answer["models"][name],
            pq.read_table(directory.scratch(name)).to_pandas(),
            directory.path / name,
        )
        for name in trainers
    }


def test_a_scikit_learn_estimator_is_trained_saved_and_asked(challengers: Mapping[str, Challenger]) -> None:
    made = challengers["sklearn"]
    assert (made.done.flavour, made.done.task) == ("sklearn", "classification")
    assert (made.done.params["max_iter"], made.done.params["random_state"]) == (20, 0)
    assert made.done.peak_bytes > 10_000_000
    assert made.answer == {"ok": True, "rows": 100, "positive": 1}
    assert made.accuracy > 0.8
    assert made.predictions["score"].between(0, 1).all()


def test_a_function_s_estimator_takes_the_user_s_code_with_it(challengers: Mapping[str, Challenger]) -> None:
    made = challengers["function"]
    assert (made.done.flavour, made.done.task) == ("sklearn", "classification")
    assert made.done.params == {"n_estimators": 5, "random_state": 1}
    assert made.answer == {"ok": True, "rows": 100, "positive": 1}
    assert made.accuracy > 0.75
    assert "score" in made.predictions.columns


def test_a_plugin_s_model_of_any_class_takes_its_code_with_it(challengers: Mapping[str, Challenger]) -> None:
    made = challengers["plugin"]
    assert (made.done.flavour, made.done.task, made.done.params) == ("python_function", None, {"bar": 15})
    assert made.answer == {"ok": True, "rows": 100, "positive": None}
    assert made.accuracy > 0.8


def test_a_command_s_files_become_a_model_that_its_predict_command_answers_for(
    challengers: Mapping[str, Challenger],
) -> None:
    made = challengers["command"]
    assert made.done.flavour == "command"
    assert made.answer["ok"]
    assert made.accuracy > 0.8
    assert "score" in made.predictions.columns
    told = json.loads(next(made.directory.rglob("rate.json")).read_text())
    assert [told[name] for name in ("JOB", "MODEL", "TASK", "WEIGHT")] == ["j1", "delays", "classification", "__weight"]


@pytest.mark.parametrize(
    ("body", "kind", "sentence"),
    [
        ("raise ValueError('column wind is gone')", UnknownFailure, r"failed: ValueError: column wind is gone\."),
        ("os.kill(os.getpid(), 9)", TransientFailure, r"killed from outside by SIGKILL"),
        ("os._exit(3)", UnknownFailure, r"ended with exit code 3; it printed nothing"),
    ],
)
def test_a_function_that_fails_is_told_in_a_sentence(
    task: TrainingTask, body: str, kind: type[StageError], sentence: str
) -> None:
    path = write(task, "broken.py", f"import os\ndef train(data, target):\n    {body}\n")
    with pytest.raises(kind, match=sentence) as failure:
        train(FunctionTrainer(function=f"{path}:train"), task)
    assert str(failure.value).startswith("The training of delays ")
    assert str(failure.value).endswith(f"s output is in {task.around.directory.log('train')}.") or "137" in str(
        failure.value
    )
    assert [path.name for path in task.around.directory.path.iterdir() if "model" in path.name] == []


def test_missing_columns_are_a_failure_of_the_data(task: TrainingTask) -> None:
    with pytest.raises(DataFailure, match=r"the data has no column 'wind'; it has dep_delay, distance"):
        train(SklearnTrainer(sklearn="sklearn.linear_model.Ridge"), replace(task, features=("wind",)))


def test_a_command_s_mlflow_model_is_taken_as_it_is(task: TrainingTask) -> None:
    program = "import os; open(os.environ['RETRAIND_MODEL_DIR'] + '/MLmodel', 'w').write('flavors: {}')"
    assert train(CommandTrainer(command=(sys.executable, "-c", program)), task).flavour == "mlflow"
    assert (task.around.directory.model / "MLmodel").read_text() == "flavors: {}"


@pytest.mark.parametrize(
    ("program", "kind", "sentence"),
    [
        ("pass", UnknownFailure, r"ended well and left nothing in RETRAIND_MODEL_DIR \(.*made\)"),
        ("open(os.environ['RETRAIND_MODEL_DIR'] + '/m', 'w')", UnknownFailure, r"that are no MLflow model"),
        (
            "raise RuntimeError('no licence')",
            UnknownFailure,
            r"exit code 1; its last line was: RuntimeError: no licence\.",
        ),
        ("sys.exit(137)", TransientFailure, r"killed from outside"),
        ("sys.exit(2)", UnknownFailure, r"exit code 2; it printed nothing"),
        ("print('epoch 1'); time.sleep(60)", BudgetExceeded, r"time budget of 1s and was killed; .*: epoch 1\."),
    ],
)
def test_a_command_that_fails_is_told_in_a_sentence(
    task: TrainingTask, program: str, kind: type[StageError], sentence: str
) -> None:
    around = replace(task.around, limits=Limits(seconds=1, grace_seconds=0.2))
    command = (sys.executable, "-c", f"import os, sys, time; {program}")
    with pytest.raises(kind, match=sentence):
        train(CommandTrainer(command=command), replace(task, around=around))
    assert not task.around.directory.model.exists()


def test_a_plugin_that_nobody_brings_is_named(task: TrainingTask) -> None:
    with pytest.raises(UnknownFailure, match=r"no installed package brings a trainer 'boosted'"):
        train(PluginTrainer(plugin="boosted"), task)
