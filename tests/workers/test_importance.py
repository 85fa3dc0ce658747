"""Permutation importance: what a model leans on, whatever kind of model it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from driving import MODEL, history
from training_data import FEATURES, flights

from retraind.ledger import models
from workers.runner import importance, predict, train_sklearn
from workers.runner.boundary import Refusal
from workers.runner.outputs import Output

BOOSTED = {"estimator": "sklearn.ensemble.HistGradientBoostingClassifier", "params": {"max_iter": 30}}


def told(answer: dict[str, Any]) -> dict[str, float]:
    return {name: each["increase"] for name, each in answer["features"].items()}


def rows(count: int, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({name: random.normal(0, 1, count) for name in ("much", "little", "unread")})


def linear(frame: pd.DataFrame) -> np.ndarray:
    return np.asarray(3 * frame["much"] + frame["little"])


def test_of_a_linear_model_it_is_twice_the_variance_that_a_feature_brings_and_of_an_unread_one_exactly_nothing() -> (
    None
):
    frame = rows(5000)
    answer = importance.measure(lambda f: Output(linear(f)), frame, pd.Series(linear(frame)), "regression", 60)
    assert told(answer)["much"] == pytest.approx(2 * 9, rel=0.1)
    assert told(answer)["little"] == pytest.approx(2, rel=0.1)
    assert answer["features"]["unread"] == {"increase": 0.0, "error": 0.0}
    assert (answer["loss"], answer["rows"], answer["repeats"]) == ("squared error", 5000, importance.REPEATS)


def test_its_standard_error_is_that_of_other_rows() -> None:
    found = []
    for seed in range(40):
        frame = rows(400, seed)
        actual = pd.Series(linear(frame) + np.random.default_rng(seed).normal(0, 1, 400))
        answer = importance.measure(lambda f: Output(linear(f)), frame, actual, "regression", 60)
        found.append(answer["features"]["much"])
    spread = float(np.std([each["increase"] for each in found], ddof=1))
    assert spread == pytest.approx(np.mean([each["error"] for each in found]), rel=0.3)


@pytest.mark.parametrize(
    ("actual", "positive"), [([True, False], True), ([1, 0], np.int64(1)), ([1.0, 0.0], "1"), (["yes", "no"], "yes")]
)
def test_classes_are_one_however_data_and_model_write_them(actual: list[Any], positive: Any) -> None:
    frame = rows(500)
    labels = pd.Series([actual[0] if value > 0 else actual[1] for value in frame["much"]])
    scored = importance.measure(
        lambda f: Output((f["much"] > 0).to_numpy(), (f["much"] > 0).to_numpy(float), positive),
        frame,
        labels,
        "classification",
        60,
    )
    assert scored["loss"] == "Brier score"
    assert told(scored)["much"] == pytest.approx(0.5, abs=0.06)


def test_without_probabilities_it_is_the_share_of_wrong_classes() -> None:
    frame = rows(500)
    late = pd.Series(np.where(frame["much"] > 0.5, "late", "early"))
    answer = importance.measure(
        lambda f: Output(np.where(f["much"] > 0.5, "late", "early")), frame, late, "classification", 60
    )
    assert answer["loss"] == "share of wrong classes"
    assert told(answer)["much"] == pytest.approx(2 * 0.31 * 0.69, abs=0.06)


def test_rows_calls_and_time_are_bounded() -> None:
    asked: list[int] = []

    def ask(frame: pd.DataFrame) -> Output:
        asked.append(len(frame))
        return Output(linear(frame))

    frame = rows(20_000)
    answer = importance.measure(ask, frame, pd.Series(linear(frame)), "regression", 60)
    assert answer["rows"] == 5000
    assert max(asked) <= len(frame)
    with pytest.raises(Refusal, match=r"to shuffle every feature once takes longer than 0 s"):
        importance.measure(ask, frame, pd.Series(linear(frame)), "regression", 0)
    with pytest.raises(Refusal, match=r"20 held-out rows are too few"):
        importance.measure(ask, frame[:20], pd.Series(linear(frame[:20])), "regression", 60)


def test_features_of_numbers_and_categories_with_gaps_are_weighed_for_a_trained_model(tmp_path: Path) -> None:
    flights(1500).to_parquet(tmp_path / "train.parquet", index=False)
    flights(1000, seed=2).to_parquet(tmp_path / "holdout.parquet", index=False)
    train_sklearn.main(
        {
            **BOOSTED,
            "data": str(tmp_path / "train.parquet"),
            "target": "actual",
            "features": list(FEATURES),
            "weight": "__weight",
            "trusted_types": [],
            "model": str(tmp_path / "model"),
        }
    )
    question = {
        "data": str(tmp_path / "holdout.parquet"),
        "features": list(FEATURES),
        "task": "classification",
        "models": {
            name: {"model": str(tmp_path / "model"), "output": str(tmp_path / f"{name}.parquet")} for name in "ab"
        },
        "importance": {"of": "a", "target": "actual", "seconds": 60},
    }
    answers = predict.main(question)["models"]
    found = told(answers["a"]["importance"])
    assert found["dep_delay"] > 0.1
    assert max(abs(found["distance"]), abs(found["carrier"])) < 0.02 * found["dep_delay"]
    assert "importance" not in answers["b"]
    gone = predict.main({**question, "importance": {"of": "a", "target": "gone", "seconds": 60}})["models"]["a"]
    assert (gone["ok"], "no column 'gone'" in gone["importance"]["unknown"]) == (True, True)


def test_it_is_kept_with_the_version_and_told_to_triggers_until_another_version_serves() -> None:
    project = history().at("first judged")
    with project.session.ledger.read() as connection:
        assert models.facts(connection, MODEL, (), project.clock.now()).importance == {}
    project = history().at("second deployed")
    evaluated = project.events("stage.succeeded", history().second)[3]
    kept = evaluated["result"]["importance"]
    assert kept["features"]["delay"]["increase"] > 0.1
    assert kept["features"]["distance"] == {"increase": 0.0, "error": 0.0}  # of the store, and not trained on
    with project.session.ledger.read() as connection:
        facts = models.facts(connection, MODEL, (), project.clock.now())
    assert facts.importance["delay"] >= kept["features"]["delay"]["increase"]
    assert facts.importance["distance"] == 0
    run = project.events("stage.succeeded", history().second)[4]["result"]["run"]
    from mlflow import MlflowClient

    url = project.session.registry.url
    at = MlflowClient(tracking_uri=url, registry_uri=url).download_artifacts(run, "importance.json")
    assert json.loads(Path(at).read_text()) == kept
