"""What stands before a scikit-learn estimator so that it can take any table: missing values, categories, scale.

Decided once, by the columns' types and by what the estimator says of itself:

- an estimator with native categories (`categorical_features`, as histogram gradient boosting has it)
  gets numbers as they are and categories as codes it is told about;
- one that takes missing values (trees and forests) gets numbers as they are and categories as codes;
- any other gets numbers with the median in place of missing values, a column that says which were
  missing, at unit scale; and categories one-hot.

A category that was not seen in training never raises: it counts as missing, as rare, or as none.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype, is_timedelta64_dtype
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import get_tags

from .boundary import Refusal

NATIVE_CATEGORIES = 254  # histogram gradient boosting has 255 bins, one of them for missing values
ONE_HOT_CATEGORIES = 100  # the rarer ones share a column


def prepared(estimator: Any, features: pd.DataFrame, chosen: Collection[str] = ()) -> Pipeline:
    """`estimator` behind what it needs to take `features`; its step is called `estimator`. Refuses times.

    `chosen` names the parameters that the user set, which stay as they are.
    """
    numbers, categories = split_by_type(features)
    input_tags = get_tags(estimator).input_tags
    if "categorical_features" in estimator.get_params():
        if categories and "categorical_features" not in chosen:
            estimator.set_params(categorical_features=categories)
        columns = _coded(numbers, categories, NATIVE_CATEGORIES)
        columns.set_output(transform="pandas")  # so that parameters may name columns
    elif input_tags.allow_nan:
        columns = _coded(numbers, categories, None)
    else:
        columns = ColumnTransformer(
            [("numbers", _filled_and_scaled(), numbers), ("categories", _one_hot(input_tags), categories)]
        )
    return Pipeline([("prepare", columns), ("estimator", estimator)])


def split_by_type(features: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The names of the number columns (booleans are numbers) and of the category columns."""
    numbers: list[str] = []
    categories: list[str] = []
    for name in features.columns:
        kind = features[name].dtype
        if is_datetime64_any_dtype(kind) or is_timedelta64_dtype(kind):
            raise Refusal(
                f"the feature {name!r} is a time, which no estimator takes as it is; "
                "put what matters of it (hour, weekday, age in days) into number columns of their own.",
                data=True,
            )
        (numbers if is_numeric_dtype(kind) or is_bool_dtype(kind) else categories).append(str(name))
    return numbers, categories


def _coded(numbers: list[str], categories: list[str], largest: int | None) -> ColumnTransformer:
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, max_categories=largest
    )
    return ColumnTransformer(
        [("numbers", "passthrough", numbers), ("categories", codes, categories)], verbose_feature_names_out=False
    )


def _filled_and_scaled() -> Pipeline:
    fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return Pipeline([("fill", fill), ("scale", StandardScaler())])


def _one_hot(input_tags: Any) -> OneHotEncoder:
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=ONE_HOT_CATEGORIES, sparse_output=input_tags.sparse
    )
