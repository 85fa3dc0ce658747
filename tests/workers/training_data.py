"""Small made-up flights, for the tests of training and judging."""

import numpy as np
import pandas as pd

FEATURES = ("dep_delay", "distance", "carrier")


def flights(count: int, seed: int = 1) -> pd.DataFrame:
    """Late (`actual`) when `dep_delay` is above 15, give or take; every ninth delay is missing."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "dep_delay": random.normal(10, 20, count),
            "distance": random.integers(100, 3000, count),
            "carrier": random.choice(["AA", "DL", "UA"], count),
        }
    )
    frame["actual"] = (frame["dep_delay"] + random.normal(0, 5, count) > 15).astype(int)
    frame.loc[::9, "dep_delay"] = np.nan
    return frame


# A training function whose model is of a class that only its own file knows.
OWN_MODEL = """
class Threshold:
    def __init__(self, bar):
        self.bar = bar

    def predict(self, data):
        return (data["dep_delay"].fillna(0) > self.bar).astype(int).to_numpy()


def train(data, target, bar=0.0, sample_weight=None):
    print("columns:", *data.columns)
    print("weights:", None if sample_weight is None else float(sample_weight.sum()))
    return Threshold(bar)
"""

# The same for a scikit-learn estimator of the user's own.
OWN_ESTIMATOR = """
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier


class OnDelay(ClassifierMixin, BaseEstimator):
    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, data, target):
        self.inner.fit(data[["dep_delay"]], target)
        self.classes_ = self.inner.classes_
        return self

    def predict(self, data):
        return self.inner.predict(data[["dep_delay"]])

    def predict_proba(self, data):
        return self.inner.predict_proba(data[["dep_delay"]])


def train(data, target, **params):
    return OnDelay(RandomForestClassifier(**params)).fit(data, data[target])


def plain(data, target, **params):
    return RandomForestClassifier(**params).fit(data[["dep_delay", "distance"]], data[target])
"""
