"""Training for real, in child processes: every kind of trainer, and the ways one can fail."""

import json
import sys
from dataclasses import replace
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
from workers.trainers import TrainingTask, train

BOOSTER = SklearnTrainer(sklearn="sklearn.ensemble.HistGradientBoostingClassifier", params={"max_iter": 20})


@pytest.fixture
def task(tmp_path: Path) -> TrainingTask:
    directory = JobDirectory(tmp_path / "job")
    directory.path.mkdir()
    flights(400).to_parquet(directory.train, index=False)
    flights(100, seed=2).to_parquet(directory.holdout, index=False)
    project = tmp_path / "project"
    project.mkdir()
    around = Surroundings("delays", "j1", directory, project, Limits(seconds=60, grace_seconds=1))
    return TrainingTask(around, "actual", FEATURES, "classification")


def predict(task: TrainingTask) -> tuple[dict[str, Any], pd.DataFrame]:
    """The answer and the predictions of the job's model for its holdout, from another process."""
    directory = task.around.directory
    output = directory.scratch("challenger.parquet")
    spec = {
        "data": str(directory.holdout),
        "features": list(task.features),
        "task": task.task,
        "models": {"challenger": {"model": str(directory.model), "output": str(output)}},
    }
    answer, _ = run_program("predict", spec, task.around, what="the evaluation", log="evaluate")
    return answer["models"]["challenger"], pq.read_table(output).to_pandas()


def accuracy(predictions: pd.DataFrame) -> float:
    return float((predictions["prediction"].to_numpy() == flights(100, seed=2)["actual"].to_numpy()).mean())


def write(task: TrainingTask, name: str, text: str) -> Path:
    path = task.around.project / name
    path.write_text(text)
    return path


def test_a_scikit_learn_estimator_is_trained_saved_and_asked(task: TrainingTask) -> None:
    done = train(BOOSTER, task)
    assert (done.flavour, done.task) == ("sklearn", "classification")
    assert (done.params["max_iter"], done.params["random_state"]) == (20, 0)
    assert done.peak_bytes > 10_000_000
    answer, predictions = predict(task)
    assert answer == {"ok": True, "rows": 100, "positive": 1}
    assert accuracy(predictions) > 0.8
    assert predictions["score"].between(0, 1).all()


@pytest.mark.parametrize(
    ("text", "params", "flavour", "score"),
    [
        (OWN_MODEL, {"bar": 15}, "python_function", False),
        (OWN_ESTIMATOR, {"n_estimators": 5, "random_state": 1}, "sklearn", True),
    ],
)
def test_a_function_s_model_takes_the_user_s_code_with_it(
    task: TrainingTask, text: str, params: dict[str, Any], flavour: str, *, score: bool
) -> None:
    path = write(task, "frames.py", text)  # a name that the runner itself uses too
    done = train(FunctionTrainer(function="frames:train", params=params), task)
    assert (done.flavour, done.params) == (flavour, params)
    path.unlink()
    answer, predictions = predict(task)
    assert answer == {"ok": True, "rows": 100, "positive": 1 if score else None}
    assert accuracy(predictions) > 0.75
    assert ("score" in predictions.columns) == score


def test_a_function_is_given_features_target_and_weights(task: TrainingTask) -> None:
    path = task.around.directory.train
    pd.read_parquet(path).assign(__weight=0.25, timestamp=0).to_parquet(path, index=False)
    train(FunctionTrainer(function=f"{write(task, 'own.py', OWN_MODEL)}:train"), task)
    log = task.around.directory.log("train").read_text()
    assert "columns: dep_delay distance carrier actual\nweights: 100.0\n" in log


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
        train(BOOSTER, replace(task, features=("wind",)))


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


def test_a_command_s_files_become_a_model_that_its_predict_command_answers_for(task: TrainingTask) -> None:
    write(task, "train.py", TRAIN)
    write(task, "predict.py", PREDICT)
    trainer = CommandTrainer(command=(sys.executable, "train.py"), predict=(sys.executable, "predict.py"))
    assert train(trainer, task).flavour == "command"
    answer, predictions = predict(task)
    assert answer["ok"]
    assert accuracy(predictions) > 0.8
    assert "score" in predictions.columns
    told = json.loads(next(task.around.directory.model.rglob("rate.json")).read_text())
    assert [told[name] for name in ("JOB", "MODEL", "TASK", "WEIGHT")] == ["j1", "delays", "classification", "__weight"]


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


def test_a_predict_command_that_writes_garbage_fails_the_training(task: TrainingTask) -> None:
    garbage = "import os; open(os.environ['RETRAIND_PREDICTIONS'], 'w').write('not parquet')"
    trainer = CommandTrainer(
        command=(sys.executable, "-c", "import os; open(os.environ['RETRAIND_MODEL_DIR'] + '/m', 'w')"),
        predict=(sys.executable, "-c", garbage),
    )
    with pytest.raises(UnknownFailure, match=r"The load test of the challenger of delays failed: .*[Pp]arquet"):
        train(trainer, task)


def test_a_plugin_that_nobody_brings_is_named(task: TrainingTask) -> None:
    with pytest.raises(UnknownFailure, match=r"no installed package brings a trainer 'boosted'"):
        train(PluginTrainer(plugin="boosted"), task)


def test_a_plugin_is_a_function_of_an_installed_package(
    task: TrainingTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    (package / "shop-1.0.dist-info").mkdir(parents=True)
    (package / "shop-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (package / "shop-1.0.dist-info" / "entry_points.txt").write_text("[retraind.trainers]\nthreshold = shop:train\n")
    (package / "shop.py").write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(package)
    around = replace(task.around, environment={"PYTHONPATH": str(package)})
    done = train(PluginTrainer(plugin="threshold", params={"bar": 3}), replace(task, around=around))
    assert done.params == {"bar": 3}
