"""The programs that run in the user's interpreter, called here in this one."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training_data import FEATURES, OWN_ESTIMATOR, OWN_MODEL, flights

from workers.runner import boundary, frames, predict, train_function, train_sklearn, wrap_command
from workers.runner.boundary import Refusal

Spec = dict[str, Any]


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    flights(400).to_parquet(tmp_path / "train.parquet", index=False)
    return {
        "data": str(tmp_path / "train.parquet"),
        "target": "actual",
        "features": list(FEATURES),
        "weight": "__weight",
        "params": {},
        "trusted_types": [],
        "model": str(tmp_path / "model"),
    }


def weighted(spec: Spec, weight: float) -> None:
    pd.read_parquet(spec["data"]).assign(__weight=weight).to_parquet(spec["data"], index=False)


def asked(spec: Spec, rows: pd.DataFrame, tmp_path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    data, output = tmp_path / "holdout.parquet", tmp_path / "predictions.parquet"
    rows.to_parquet(data, index=False)
    models = {"m": {"model": spec["model"], "output": str(output)}}
    question = {"data": str(data), "features": spec["features"], "task": "classification", "models": models}
    answer = predict.main(question)["models"]["m"]
    return answer, pq.read_table(output).to_pandas() if answer["ok"] else pd.DataFrame()


@pytest.mark.parametrize(
    ("estimator", "params", "sentence"),
    [
        (
            "sklearn.ensemble.HistGradientBosting",
            {},
            r"'sklearn\.ensemble' has no 'HistGradientBosting' \(did you mean 'HistGradientBoosting\w+'\?\)",
        ),
        ("sklern.ensemble.X", {}, r"'sklern\.ensemble' cannot be imported in .*python.*install it there"),
        ("sklearn.metrics.accuracy_score", {}, r"is not an estimator: it has no fit and predict"),
        (
            "sklearn.linear_model.Ridge",
            {"alpa": 1},
            r"sklearn\.linear_model\.Ridge has no parameter 'alpa' \(did you mean 'alpha'\?\)",
        ),
    ],
)
def test_a_wrong_estimator_is_refused_with_the_mend(estimator: str, params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        train_sklearn.build(estimator, params)


def test_the_same_data_gives_the_same_model_unless_the_user_says_otherwise() -> None:
    path = "sklearn.ensemble.RandomForestClassifier"
    assert train_sklearn.build(path, {}).random_state == 0
    assert train_sklearn.build(path, {"random_state": None}).random_state is None
    assert train_sklearn.build(path, {"random_state": 7}).random_state == 7


def test_weights_reach_the_estimator(spec: Spec, tmp_path: Path) -> None:
    spec["estimator"] = "sklearn.linear_model.LogisticRegression"
    scores = []
    for name, weight in (("one", 1.0), ("quarter", 0.25)):  # a quarter of the weight: four times the regularisation
        weighted(spec, weight)
        train_sklearn.main({**spec, "model": str(tmp_path / name)})
        _, predictions = asked({**spec, "model": str(tmp_path / name)}, flights(50, seed=2), tmp_path)
        scores.append(predictions["score"].to_numpy())
    assert not np.allclose(*scores, atol=1e-4)


def test_weights_that_an_estimator_cannot_take_are_not_dropped_in_silence(spec: Spec) -> None:
    weighted(spec, 0.5)
    with pytest.raises(
        Refusal, match=r"half_life weights the rows, and sklearn\.neighbors\.\w+ takes no sample weights"
    ):
        train_sklearn.main({**spec, "estimator": "sklearn.neighbors.KNeighborsClassifier"})


def test_weights_that_a_function_cannot_take_are_not_dropped_in_silence(spec: Spec, tmp_path: Path) -> None:
    weighted(spec, 0.5)
    (tmp_path / "weightless.py").write_text("def train(data, target):\n    return None\n")
    with pytest.raises(Refusal, match=r"half_life weights the rows, and .*weightless\.py:train takes no sample_weight"):
        train_function.main({**spec, "function": f"{tmp_path}/weightless.py:train"})


def test_a_function_is_given_features_target_and_weights(
    spec: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_parquet(spec["data"]).assign(__weight=0.25, timestamp=0).to_parquet(spec["data"], index=False)
    (tmp_path / "weighing.py").write_text(OWN_MODEL)
    train_function.main({**spec, "function": f"{tmp_path}/weighing.py:train"})
    assert "columns: dep_delay distance carrier actual\nweights: 100.0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("open(os.environ['RETRAIND_PREDICTIONS'], 'w').write('garbage')", r"[Pp]arquet"),
        ("print('no licence'); sys.exit(4)", r"ended with exit code 4: no licence"),
        ("pass", r"wrote no RETRAIND_PREDICTIONS \(.*\): it printed nothing"),
        (
            "import pandas; pandas.DataFrame({'p': [1]}).to_parquet(os.environ['RETRAIND_PREDICTIONS'])",
            r"without a column 'prediction'; they have p",
        ),
    ],
)
def test_a_predict_command_that_predicts_nothing_is_found_out_at_once(
    spec: Spec, tmp_path: Path, program: str, sentence: str
) -> None:
    (tmp_path / "made").mkdir()
    wrap = {"files": f"{tmp_path}/made", "directory": str(tmp_path)}
    with pytest.raises((RuntimeError, pa.ArrowException), match=sentence):
        wrap_command.main({**spec, **wrap, "command": [sys.executable, "-c", f"import os, sys; {program}"]})


def test_a_text_target_gives_text_predictions_and_the_second_class_s_score(spec: Spec, tmp_path: Path) -> None:
    frame = pd.read_parquet(spec["data"])
    frame.assign(actual=np.where(frame["actual"] == 1, "late", "early")).to_parquet(spec["data"], index=False)
    train_sklearn.main({**spec, "estimator": "sklearn.ensemble.HistGradientBoostingClassifier"})
    answer, predictions = asked(spec, flights(50, seed=2), tmp_path)
    assert answer == {"ok": True, "rows": 50, "positive": "late"}
    assert set(predictions["prediction"]) == {"early", "late"}
    assert ((predictions["score"] > 0.5) == (predictions["prediction"] == "late")).all()


def test_a_saved_estimator_has_a_signature_and_holds_no_code(spec: Spec) -> None:
    import mlflow.pyfunc

    train_sklearn.main({**spec, "estimator": "sklearn.linear_model.LogisticRegression"})
    model = mlflow.pyfunc.load_model(spec["model"])
    assert [column.name for column in model.metadata.get_input_schema()] == list(FEATURES)
    assert set(model.predict(flights(5)[list(FEATURES)])) <= {0, 1}
    assert [path.name for path in Path(spec["model"]).glob("model.*")] == ["model.skops"]
    assert any(
        line.startswith("scikit-learn==") for line in Path(spec["model"], "requirements.txt").read_text().split()
    )


def test_a_model_answers_rows_whose_whole_numbers_have_gaps_by_now(spec: Spec, tmp_path: Path) -> None:
    train_sklearn.main({**spec, "estimator": "sklearn.linear_model.LogisticRegression"})
    rows = flights(50, seed=2).astype({"distance": float})
    rows.loc[3, "distance"] = np.nan
    assert asked(spec, rows, tmp_path)[0]["ok"]


def test_types_that_are_not_scikit_learn_s_must_be_trusted_by_name(spec: Spec) -> None:
    from sklearn.linear_model import LogisticRegression

    from workers.runner import saving

    rows = flights(60)[["distance"]]
    model = LogisticRegression().fit(rows, flights(60)["actual"])
    model.note = Path("somewhere")
    with pytest.raises(Refusal, match=r"not scikit-learn's own: pathlib\.\w+; .*trainer\.trusted_types"):
        saving.save_sklearn(model, spec["model"], rows, ())


def test_a_function_s_plain_estimator_is_saved_without_code(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "plain_estimator.py").write_text(OWN_ESTIMATOR)
    answer = train_function.main(
        {**spec, "features": ["dep_delay", "distance"], "function": f"{tmp_path}/plain_estimator.py:plain"}
    )
    assert (answer["flavour"], answer["task"]) == ("sklearn", "classification")
    assert Path(spec["model"], "model.skops").is_file()


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("def other(): pass", r"has no function 'train'"),
        ("def train(data): pass", r"is called as train\(data, target, \*\*params\) and does not take that: too many"),
        ("def train(data, target, epochs): pass", r"does not take that: missing a required argument: 'epochs'"),
        ("def train(data, target): pass", r"the function returned nothing, which has no predict; return a fitted"),
        ("def train(data, target): return 7", r"the function returned an object of type int, which has no predict"),
    ],
)
def test_a_function_that_cannot_train_is_refused_with_the_mend(
    spec: Spec, tmp_path: Path, program: str, sentence: str
) -> None:
    (tmp_path / "cannot.py").write_text(program)
    with pytest.raises(Refusal, match=sentence):
        train_function.main({**spec, "function": f"{tmp_path}/cannot.py:train"})


def test_a_module_that_is_not_there_is_told_from_one_whose_import_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_more.py").write_text("import no_such_library\n")
    with pytest.raises(Refusal, match=r"there is no module 'no_such_module' in "):
        train_function.load("no_such_module:train")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        train_function.load("needs_more:train")
    with pytest.raises(Refusal, match=r"there is no file /no/such\.py"):
        train_function.load("/no/such.py:train")


def test_one_model_that_cannot_be_loaded_does_not_silence_the_other(spec: Spec, tmp_path: Path) -> None:
    train_sklearn.main({**spec, "estimator": "sklearn.linear_model.LogisticRegression"})
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "MLmodel").write_text("flavors: {sklearn: {pickled_model: gone}}\n")
    models = {
        name: {"model": str(tmp_path / folder), "output": str(tmp_path / f"{name}.parquet")}
        for name, folder in (("challenger", "model"), ("champion", "garbage"), ("none", "nowhere"))
    }
    question = {"data": spec["data"], "features": spec["features"], "task": "classification", "models": models}
    answers = predict.main(question)["models"]
    assert [answers[name]["ok"] for name in ("challenger", "champion", "none")] == [True, False, False]
    assert answers["none"]["sentence"] == f"there is no MLflow model in {tmp_path / 'nowhere'}."


def test_a_model_trained_on_columns_that_are_gone_says_so(spec: Spec, tmp_path: Path) -> None:
    train_sklearn.main({**spec, "estimator": "sklearn.linear_model.LogisticRegression"})
    answer, _ = asked(spec, flights(10).drop(columns="distance"), tmp_path)
    assert answer == {
        "ok": False,
        "sentence": "the data has no column 'distance'; it has dep_delay, carrier, actual.",
    }


def test_a_frame_s_gaps_turn_booleans_and_whole_numbers_into_floats(tmp_path: Path) -> None:
    table = pa.table({"late": [True, None], "seats": [100, None], "full": [True, False], "carrier": ["AA", None]})
    pq.write_table(table, tmp_path / "data.parquet")
    frame = frames.read(tmp_path / "data.parquet", ["seats", "late", "full", "carrier"])
    assert list(frame.columns) == ["seats", "late", "full", "carrier"]
    assert [str(kind) for kind in frame.dtypes[:3]] == ["float64", "float64", "bool"]
    assert frame["carrier"].isna().tolist() == [False, True]


def test_the_answer_to_the_worker_is_one_plain_line_and_the_traceback_goes_to_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({"data": "nowhere.parquet"}))
    assert boundary.run("workers.runner.train_sklearn", str(tmp_path / "spec.json"), str(tmp_path / "answer.json")) == 1
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer == {"ok": False, "sentence": "KeyError: 'features'", "kind": "unknown"}
    assert "Traceback" in capsys.readouterr().err
