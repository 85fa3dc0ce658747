"""What stands before a scikit-learn estimator: any table goes in, missing values and new categories included."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from workers.runner.boundary import Refusal
from workers.runner.preparation import prepared, split_by_type


def flights(rows: int = 300) -> pd.DataFrame:
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "delay": random.normal(size=rows),
            "hour": random.integers(0, 24, rows),
            "weekend": random.random(rows) > 0.7,
            "carrier": random.choice(["AA", "DL", "UA"], rows),
        }
    )
    frame.loc[::7, "delay"] = np.nan
    frame.loc[::11, "carrier"] = None
    return frame


ESTIMATORS = [
    HistGradientBoostingClassifier(max_iter=5),
    RandomForestClassifier(n_estimators=3),
    ExtraTreesRegressor(n_estimators=3),
    GradientBoostingClassifier(n_estimators=3),
    LogisticRegression(),
    Ridge(),
    GaussianNB(),
    KNeighborsClassifier(),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_any_estimator_takes_missing_values_and_categories_it_never_saw(estimator: object) -> None:
    seen = flights()
    model = prepared(estimator, seen).fit(seen, (seen["hour"] > 12).astype(int))
    unseen = seen.assign(carrier="ZZ", hour=seen["hour"].astype(float))
    unseen.loc[3, ["hour", "delay"]] = np.nan
    assert np.isfinite(model.predict(unseen)).all()


def test_a_category_is_learnt_not_dropped() -> None:
    frame = flights()
    target = (frame["carrier"] == "DL").astype(int)
    for estimator in (LogisticRegression(), HistGradientBoostingClassifier(max_iter=20), RandomForestClassifier(5)):
        assert prepared(estimator, frame).fit(frame, target).score(frame, target) > 0.99


def test_that_a_value_is_missing_is_learnt_too() -> None:
    frame = flights()
    target = frame["delay"].isna().astype(int)
    assert prepared(LogisticRegression(), frame).fit(frame, target).score(frame, target) > 0.99


def test_native_categories_are_declared_unless_the_user_did() -> None:
    frame = flights()
    model = prepared(HistGradientBoostingClassifier(), frame)
    assert model.named_steps["estimator"].categorical_features == ["carrier"]
    own = prepared(HistGradientBoostingClassifier(categorical_features=None), frame, {"categorical_features"})
    assert own.named_steps["estimator"].categorical_features is None


def test_more_categories_than_a_booster_has_bins_still_train() -> None:
    frame = pd.DataFrame({"tail": [f"N{number}" for number in range(600)], "hour": range(600)})
    model = prepared(HistGradientBoostingClassifier(max_iter=2), frame).fit(frame, [0, 1] * 300)
    assert len(model.predict(frame)) == 600


def test_numbers_and_booleans_stand_apart_from_categories() -> None:
    assert split_by_type(flights()) == (["delay", "hour", "weekend"], ["carrier"])


def test_a_time_is_refused_with_the_mend() -> None:
    frame = pd.DataFrame({"scheduled": pd.to_datetime(["2013-01-01", "2013-01-02"])})
    with pytest.raises(Refusal, match=r"the feature 'scheduled' is a time.*hour, weekday"):
        prepared(Ridge(), frame)
