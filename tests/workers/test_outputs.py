"""What a model's raw output says: classes or numbers, and the positive class's probability."""

import numpy as np
import pandas as pd
import pytest

from workers.runner.boundary import Refusal
from workers.runner.outputs import of_classifier, read_output


def test_labels_are_the_prediction() -> None:
    output = read_output(np.array(["late", "early"]), 2, "classification")
    assert output.prediction.tolist() == ["late", "early"]
    assert output.score is None


def test_whole_floats_are_classes_and_not_probabilities() -> None:
    output = read_output(np.array([0.0, 1.0, 1.0]), 3, "classification")
    assert output.prediction.tolist() == [0.0, 1.0, 1.0]
    assert output.score is None


def test_fractions_are_the_positive_class_s_probability() -> None:
    output = read_output(np.array([[0.2], [0.7]]), 2, "classification")
    assert output.prediction.tolist() == [0, 1]
    assert output.score is not None
    assert output.score.tolist() == [0.2, 0.7]
    assert output.positive == 1


def test_fractions_outside_one_are_logits() -> None:
    output = read_output(pd.DataFrame([-2.5, 0.0, 800.0]), 3, "classification")
    assert output.prediction.tolist() == [0, 1, 1]
    assert output.score is not None
    assert output.score == pytest.approx([1 / (1 + np.exp(2.5)), 0.5, 1.0])


def test_two_columns_are_two_classes() -> None:
    output = read_output(np.array([[0.9, 0.1], [0.3, 0.7]]), 2, "classification")
    assert output.prediction.tolist() == [0, 1]
    assert output.score is not None
    assert output.score.tolist() == [0.1, 0.7]


def test_three_columns_of_logits_are_three_classes_without_a_score() -> None:
    output = read_output(np.array([[1.0, 5.0, -3.0]]), 1, "classification")
    assert output.prediction.tolist() == [1]
    assert output.score is None


@pytest.mark.parametrize("task", ["regression", None])
def test_fractions_of_a_regression_stay_numbers(task: str | None) -> None:
    assert read_output(np.array([[0.2], [1.7]]), 2, task).prediction.tolist() == [0.2, 1.7]


def test_a_table_that_says_prediction_and_score_is_taken_at_its_word() -> None:
    output = read_output(pd.DataFrame({"prediction": ["a", "b"], "score": [0.1, 0.9]}), 2, "classification")
    assert output.prediction.tolist() == ["a", "b"]
    assert output.score is not None
    assert output.score.tolist() == [0.1, 0.9]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (np.array([1.0, 2.0]), "the model answers 3 rows with 2 predictions"),
        (np.array([1.0, np.nan, np.nan]), r"the model gives no prediction \(a missing value\) for 2 of 3 rows"),
        (np.array([1.0, np.inf, 0.5]), r"the model gives an infinite prediction for 1 of 3 rows"),
        (np.zeros((3, 2)), r"a table of shape \(3, 2\)"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(raw: np.ndarray, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        read_output(raw, 3, "regression")


class Sure:
    classes_ = np.array(["no", "yes"])

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return np.array(["yes"] * len(rows))

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        return np.array([[0.25, 0.75]] * len(rows))


def test_a_classifier_s_score_is_its_second_class_s() -> None:
    output = of_classifier(Sure(), pd.DataFrame({"x": [1, 2]}))
    assert output.score is not None
    assert (output.prediction.tolist(), output.score.tolist(), output.positive) == (["yes"] * 2, [0.75] * 2, "yes")
