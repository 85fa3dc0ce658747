"""The metrics, against scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from triggers.metrics import METRICS, ErrorSums, Tally, class_label, metric_value, positive_label, tally_value

SCIKIT = {
    "accuracy": sk.accuracy_score,
    "roc_auc": sk.roc_auc_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
}
OF_CLASS = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
RANDOM = np.random.default_rng(5)


def error_sums(actual: np.ndarray, prediction: np.ndarray) -> ErrorSums:
    error, told = prediction - actual, actual != 0
    ratio = error[told] / actual[told]
    return ErrorSums(
        count=len(actual),
        absolute=float(np.abs(error).sum()),
        squared=float((error**2).sum()),
        fourth=float((error**4).sum()),
        nonzero=int(told.sum()),
        relative=float(np.abs(ratio).sum()),
        relative_squared=float((ratio**2).sum()),
        actual=float(actual.sum()),
        actual_squared=float((actual**2).sum()),
    )


def test_every_metric_says_what_it_is() -> None:
    assert list(METRICS) == [
        "accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier", "mae", "rmse", "mape", "r2",
    ]  # fmt: skip
    assert all(metric.name == name and metric.sentence.endswith(".") for name, metric in METRICS.items())
    falling = {name for name, metric in METRICS.items() if metric.higher_is_better}
    assert falling == {"accuracy", "precision", "recall", "f1", "roc_auc", "r2"}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_metrics_of_two_classes_agree_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    actual, prediction = np.array(pairs).astype(int).T
    assert metric_value("accuracy", actual, prediction) == pytest.approx(sk.accuracy_score(actual, prediction))
    for name, scikit in OF_CLASS.items():
        value = metric_value(name, actual, prediction)
        expected = scikit(actual, prediction, zero_division=np.nan)
        assert np.isnan(expected) if value is None else value == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=60))
def test_metrics_of_more_classes_are_scikit_learns_macro_averages(pairs: list[tuple[str, str]]) -> None:
    prediction, actual = np.array(pairs, dtype=object).T
    if len({*prediction, *actual}) > 2:
        for name, scikit in OF_CLASS.items():
            expected = scikit(actual, prediction, average="macro", zero_division=0)
            assert metric_value(name, actual, prediction) == pytest.approx(expected)
    for name, scikit in OF_CLASS.items():
        value = metric_value(name, actual, prediction, positive="b")
        expected = scikit(actual == "b", prediction == "b", zero_division=np.nan)
        assert np.isnan(expected) if value is None else value == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])), min_size=2, max_size=60))
def test_metrics_of_scores_agree_with_scikit_learn_ties_and_certainty_included(rows: list[tuple[bool, float]]) -> None:
    actual, score = np.array([hit for hit, _ in rows]), np.array([chance for _, chance in rows])
    one_class = len(set(actual.tolist())) == 1
    for name in ("log_loss", "brier"):
        expected = SCIKIT[name](actual, score, labels=[False, True])
        assert metric_value(name, actual, score=score) == pytest.approx(expected)
    value = metric_value("roc_auc", actual, score=score)
    assert (value is None) if one_class else (value == pytest.approx(sk.roc_auc_score(actual, score)))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3).filter(lambda a: abs(a) > 1e-3), st.floats(-1e3, 1e3)), min_size=2, max_size=60
    )
)
def test_metrics_of_numbers_agree_with_scikit_learn(rows: list[tuple[float, float]]) -> None:
    actual, prediction = np.array(rows).T
    sums = Tally(errors=error_sums(actual, prediction))
    for name in ("mae", "rmse", "mape"):
        expected = SCIKIT[name](actual, prediction)
        assert metric_value(name, actual, prediction) == pytest.approx(expected)
        assert tally_value(name, sums) == pytest.approx(expected)
    if np.ptp(actual) > 1:
        assert metric_value("r2", actual, prediction) == pytest.approx(sk.r2_score(actual, prediction))
        assert tally_value("r2", sums) == pytest.approx(sk.r2_score(actual, prediction), rel=1e-6, abs=1e-6)


def test_a_zero_actual_has_no_percentage_error() -> None:
    actual, prediction = np.array([0.0, 2.0, 4.0]), np.array([5.0, 1.0, 5.0])
    assert metric_value("mape", actual, prediction) == 0.375
    assert tally_value("mape", Tally(errors=error_sums(actual, prediction))) == 0.375
    assert metric_value("mape", np.zeros(2), np.ones(2)) is None


@pytest.mark.parametrize("name", list(METRICS))
def test_no_rows_have_no_metric(name: str) -> None:
    assert metric_value(name, [], prediction=[], score=[]) is None
    if METRICS[name].needs != "scores":
        assert tally_value(name, Tally()) is None


def test_constant_actuals_have_no_r2() -> None:
    assert metric_value("r2", [3.0, 3.0], [1.0, 2.0]) is None
    assert tally_value("r2", Tally(errors=error_sums(np.full(3, 0.1), np.arange(3.0)))) is None


@pytest.mark.parametrize(
    ("value", "label"),
    [(True, "1"), (1, "1"), (1.0, "1"), (np.int64(1), "1"), (np.bool_(False), "0"), ("1.0", "1.0"), (1.5, "1.5")],
)
def test_a_class_has_one_label_however_it_is_stored(value: object, label: str) -> None:
    assert class_label(value) == label


@pytest.mark.parametrize(
    ("labels", "positive", "expected"),
    [
        ({"0", "1"}, None, "1"),
        ({"0"}, None, "1"),
        ({"1"}, None, "1"),
        ({"false", "true"}, None, "true"),
        ({"ham", "spam"}, None, "spam"),
        ({"9", "10"}, None, "10"),
        ({"-1", "1"}, None, "1"),
        ({"ham", "spam"}, "ham", "ham"),
        ({"0", "1"}, 0, "0"),
        ({"0", "1"}, False, "0"),
        ({"ham"}, None, None),
        ({"a", "b", "c"}, None, None),
        ({"a", "b", "c"}, "b", "b"),
        (set(), None, None),
    ],
)
def test_the_positive_class_is_one_or_true_or_the_larger_of_two(
    labels: set[str], positive: object, expected: str | None
) -> None:
    assert positive_label(labels, positive) == expected


def test_a_tally_joins_classes_written_in_several_ways_and_leaves_out_what_is_missing() -> None:
    tally = Tally.of_pairs([(1, 1.0, 3), ("1", True, 2), (None, 1, 9), (0, None, 9), (0, 1, 1)])
    assert tally.classes == {("1", "1"): 5, ("0", "1"): 1}
    assert tally.rows == 6


def test_predictions_and_actuals_of_other_types_are_compared_as_classes() -> None:
    assert metric_value("recall", np.array([True, True, False]), np.array([1.0, 0.0, 0.0])) == 0.5


def test_what_cannot_be_computed_is_told() -> None:
    with pytest.raises(ValueError, match="roc_auc needs scores"):
        metric_value("roc_auc", [0, 1], prediction=[0, 1])
    with pytest.raises(ValueError, match="mae needs predictions"):
        metric_value("mae", [0, 1], score=[0, 1])
    with pytest.raises(ValueError, match="brier compares two classes, and the actuals hold 3"):
        metric_value("brier", [0, 1, 2], score=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="columns of one length"):
        metric_value("mae", [0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="a tally has none"):
        tally_value("roc_auc", Tally())


def test_reading_the_metrics_and_every_trigger_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from triggers.catalog import trigger_class, trigger_types\n"
        "import triggers.metrics, triggers.confidence\n"
        "[trigger_class(name) for name in trigger_types()]\n"
        "print([name for name in ('numpy', 'scipy', 'pyarrow', 'pandas', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
