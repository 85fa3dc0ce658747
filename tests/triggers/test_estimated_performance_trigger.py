"""The estimated performance trigger: what it asks for, when it fires, when it mistrusts itself, and what it says."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from samples import NOW, evidence, facts, regressed_table, scored_table

from triggers.estimated_performance import EstimatedPerformanceTrigger
from triggers.evidence import RowsRequest, Window
from triggers.metrics import metric_value
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
LONG_AGO = NOW - 60 * DAY


def estimated(**settings: Any) -> EstimatedPerformanceTrigger:
    return EstimatedPerformanceTrigger(**{"metric": "accuracy", "below": 0.6, "confidence": 0.95, **settings})


def judge(trigger: EstimatedPerformanceTrigger, past: pa.Table, window: pa.Table, **changes: Any) -> Verdict:
    return trigger.evaluate(evidence({"past": past, "window": window}, **changes), NOW)


def unlabelled(table: pa.Table) -> pa.Table:
    actual = table.schema.get_field_index("actual")
    return table.set_column(actual, "actual", pa.nulls(table.num_rows, table.schema.field("actual").type))


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier"])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_estimate_is_what_the_rows_turn_out_to_be_shifted_or_not(metric: str, shift: float) -> None:
    bar = {"above": 0.999} if metric == "brier" else {"above": 5.0} if metric == "log_loss" else {"below": 0.01}
    trigger = EstimatedPerformanceTrigger(metric=metric, confidence=0.999, **bar)
    window = scored_table(6000, 2, shift)
    verdict = judge(trigger, scored_table(6000, 1), unlabelled(window))
    assert verdict.outcome is Outcome.QUIET
    actual, prediction, score = (np.array(window[name]) for name in ("actual", "prediction", "score"))
    realised = metric_value(metric, actual, prediction, score)
    assert realised is not None
    assert verdict.numbers["low"] < realised < verdict.numbers["high"]
    assert verdict.numbers["value"] == pytest.approx(realised, abs=0.02)


def test_it_fires_when_the_whole_interval_lies_past_the_bar() -> None:
    past, window = scored_table(3000, 1), scored_table(3000, 2, labelled=False)
    value, high = (judge(estimated(), past, window).numbers[name] for name in ("value", "high"))
    assert judge(estimated(below=high + 1e-6), past, window).fired
    unsure = judge(estimated(below=high - 1e-6), past, window)
    assert unsure.outcome is Outcome.QUIET
    assert "not beyond doubt below" in unsure.sentence
    assert "not beyond doubt" not in judge(estimated(below=value - 1e-6), past, window).sentence


def test_a_budget_of_false_alarms_widens_the_interval() -> None:
    past, window = scored_table(3000, 1), scored_table(3000, 2, labelled=False)
    budget = judge(estimated(confidence=None), past, window).numbers
    assert budget["level"] == pytest.approx(0.9 / 90)
    assert budget["high"] > judge(estimated(confidence=0.9), past, window).numbers["high"]


def test_the_sentence_says_what_it_rests_on() -> None:
    past, window = scored_table(3000, 1), scored_table(3000, 2)
    labels = pa.array([value if row < 400 else None for row, value in enumerate(window["actual"].to_pylist())])
    verdict = judge(estimated(), past, window.set_column(3, "actual", labels))
    assert verdict.sentence == (
        "accuracy is expected to be 0.733 (95 % interval 0.711 to 0.753) on 2,600 rows without labels of the last 7d, "
        "not below 0.6; learned from 3,000 labelled rows (beta calibration), and right in 5 of 5 spans with labels; "
        "400 labelled rows of the window had 0.690."
    )
    assert verdict.numbers["trusted"] is True
    assert verdict.numbers["calibration_rows"] == 3000
    assert verdict.numbers["realised_rows"] == 400


def test_overconfident_scores_are_set_right() -> None:
    def boasting(table: pa.Table) -> pa.Table:
        score = np.array(table["score"])
        return table.set_column(1, "score", [score**3 / (score**3 + (1 - score) ** 3)])

    window = scored_table(5000, 2)
    verdict = judge(estimated(metric="log_loss", below=None, above=3), *map(boasting, (scored_table(5000, 1), window)))
    assert verdict.outcome is Outcome.INSUFFICIENT  # every row has its label
    verdict = judge(
        estimated(metric="log_loss", below=None, above=3),
        boasting(scored_table(5000, 1)),
        boasting(unlabelled(window)),
    )
    realised = metric_value("log_loss", np.array(window["actual"]), score=np.array(boasting(window)["score"]))
    assert verdict.numbers["value"] == pytest.approx(realised, abs=0.05)
    assert verdict.outcome is Outcome.QUIET


def test_a_score_that_is_no_probability_serves_where_only_its_order_counts() -> None:
    def margins(table: pa.Table) -> pa.Table:
        score = np.array(table["score"])
        return table.set_column(1, "score", [3 * np.log(score / (1 - score))])

    past, window = scored_table(3000, 1), scored_table(3000, 2, labelled=False)
    told = judge(estimated(metric="roc_auc"), margins(past), margins(window))
    assert told.numbers["value"] == pytest.approx(
        judge(estimated(metric="roc_auc"), past, window).numbers["value"], abs=0.01
    )
    assert told.numbers["method"] == "platt calibration"
    refused = judge(estimated(metric="brier", below=None, above=0.5), margins(past), margins(window))
    assert refused.outcome is Outcome.ERROR
    assert "and a probability is 0 to 1" in refused.sentence


def test_it_does_not_fire_when_labelled_spans_gave_it_the_lie() -> None:
    changed = pa.concat_tables([scored_table(2000, 1), scored_table(2000, 2, sense=-1.2)])
    verdict = judge(estimated(below=0.99), changed, scored_table(3000, 3, labelled=False))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert verdict.numbers["trusted"] is False
    assert "cannot be trusted: in 4 of 4 spans with labels the realised figure lay outside" in verdict.sentence


def test_a_change_that_only_the_windows_own_labels_show_is_seen() -> None:
    window = pa.concat_tables([scored_table(600, 4, sense=-1.2), scored_table(3000, 3, labelled=False)])
    verdict = judge(estimated(below=0.99), scored_table(4000, 1), window)
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "in 1 of 5 spans" in verdict.sentence
    young = judge(estimated(below=0.99), scored_table(4000, 1), window, label_delay=7 * DAY)
    assert young.fired  # labels that came before their time may be those of errors, and say nothing


def test_it_does_not_fire_on_scores_beyond_all_that_it_learned_from() -> None:
    verdict = judge(estimated(below=0.99), scored_table(2000, 1), scored_table(2000, 2, shift=5, labelled=False))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "of the scores lie beyond those it was learned from" in verdict.sentence


def test_equal_spans_are_rarely_called_a_lie() -> None:
    trusted = [
        judge(estimated(), scored_table(1500, seed), scored_table(600, 100 + seed, labelled=False)).numbers["trusted"]
        for seed in range(20)
    ]
    assert sum(trusted) >= 18


@pytest.mark.parametrize(
    ("metric", "bar", "shift"), [("mae", 9.0, 0.0), ("mae", 9.0, 0.5), ("rmse", 9.0, 0.5), ("mape", 2.0, 0.5)]
)
def test_a_regressors_error_is_estimated_from_features_and_prediction(metric: str, bar: float, shift: float) -> None:
    trigger = EstimatedPerformanceTrigger(metric=metric, above=bar, confidence=0.999)
    window = regressed_table(3000, 2, shift)
    verdict = judge(trigger, regressed_table(3000, 1), unlabelled(window))
    assert verdict.outcome is Outcome.QUIET, verdict.sentence
    realised = metric_value(metric, np.array(window["actual"]), np.array(window["prediction"]))
    assert realised is not None
    assert verdict.numbers["low"] < realised < verdict.numbers["high"]
    assert verdict.numbers["value"] == pytest.approx(realised, rel=0.12)


def test_a_regressor_whose_errors_grew_with_no_sign_in_its_features_is_not_trusted() -> None:
    past = pa.concat_tables([regressed_table(1500, 1), regressed_table(1500, 2, noise=3)])
    trigger = EstimatedPerformanceTrigger(metric="mae", above=0.1)
    verdict = judge(trigger, past, regressed_table(1000, 3, labelled=False))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "cannot be trusted" in verdict.sentence
    assert judge(trigger, regressed_table(3000, 1), regressed_table(1000, 3, labelled=False)).fired


def test_it_asks_for_labelled_rows_of_the_same_version_before_the_window_and_never_for_training_data() -> None:
    asked = estimated().requests(facts(deployed_at=LONG_AGO, label_delay=2 * DAY), {}, NOW)
    columns = ("score", "prediction", "actual")
    assert asked == {
        "past": RowsRequest(Window(NOW - 35 * DAY, NOW - 7 * DAY), columns, labelled=True, last=50_000, version="3"),
        "window": RowsRequest(Window(NOW - 7 * DAY, NOW), ("timestamp", *columns), last=100_000, version="3"),
    }
    late = estimated().requests(facts(deployed_at=LONG_AGO, label_delay=10 * DAY), {}, NOW)["past"]
    assert isinstance(late, RowsRequest)
    assert late.window == Window(NOW - 35 * DAY, NOW - 10 * DAY)
    young = estimated().requests(facts(deployed_at=NOW - 3 * DAY), {}, NOW)["past"]
    assert isinstance(young, RowsRequest)
    assert young.window == Window(NOW - 3 * DAY, NOW - 3 * DAY)
    regression = EstimatedPerformanceTrigger(metric="mae", above=1)
    mae = regression.requests(facts(deployed_at=None), {}, NOW)["past"]
    assert isinstance(mae, RowsRequest)
    assert mae.columns == ("distance", "carrier", "prediction", "actual")


def test_too_little_is_told_with_what_there_is() -> None:
    few = judge(estimated(), scored_table(2000, 1), scored_table(300, 2, labelled=False))
    assert few.sentence == "There are only 300 rows without labels of the last 7d; 500 are needed."
    unlearned = judge(estimated(), scored_table(30, 1), scored_table(2000, 2, labelled=False), deployed_at=NOW - DAY)
    assert unlearned.sentence == (
        "There are only 30 labelled rows of version 3 of the 28d before the last 7d to learn from; 500 are needed."
    )
    past = scored_table(2000, 1)
    one_class = past.set_column(3, "actual", pa.array([int(row < 4) for row in range(2000)]))
    rare = judge(estimated(), one_class, scored_table(2000, 2, labelled=False))
    assert rare.outcome is Outcome.INSUFFICIENT
    assert "of 2,000 labelled rows only 4 are of the rarer class, and it takes 10" in rare.sentence


def test_a_bar_may_stand_a_margin_from_the_gates_figure() -> None:
    past, window = scored_table(3000, 1), scored_table(3000, 2, labelled=False)
    trigger = estimated(below=None, worse_than_gate=0.05)
    assert judge(trigger, past, window, gate_metrics={"accuracy": 0.9}).fired
    assert judge(trigger, past, window, gate_metrics={"accuracy": 0.75}).outcome is Outcome.QUIET
    assert judge(trigger, past, window).outcome is Outcome.INSUFFICIENT


def test_evidence_that_makes_no_sense_is_an_error_that_says_what_to_mend() -> None:
    past, window = scored_table(2000, 1), scored_table(2000, 2, labelled=False)
    three = past.set_column(3, "actual", pa.array([row % 3 for row in range(2000)]))
    assert "tells two classes apart, and the actuals hold 3" in judge(estimated(), three, window).sentence
    shares = window.set_column(2, "prediction", [np.linspace(0.1, 0.9, 2000)])
    assert "no prediction is ever one of the actual classes" in judge(estimated(), past, shares).sentence
    trigger = EstimatedPerformanceTrigger(metric="mae", above=1)
    text = regressed_table(2000, 1).set_column(3, "prediction", pa.array(["high"] * 2000))
    refused = judge(trigger, text, unlabelled(text))
    assert refused.outcome is Outcome.ERROR
    assert "column prediction holds classes where numbers are needed" in refused.sentence


def test_missing_and_infinite_values_of_features_and_scores_do_no_harm() -> None:
    past, window = regressed_table(2000, 1), regressed_table(2000, 2, labelled=False)
    holes = pa.array([None if row % 5 == 0 else np.inf if row % 7 == 0 else 1.0 for row in range(2000)])
    trigger = EstimatedPerformanceTrigger(metric="mae", above=50)
    verdict = judge(trigger, past.set_column(1, "distance", holes), window.set_column(1, "distance", holes))
    assert verdict.outcome is Outcome.QUIET
    scored = scored_table(2000, 2, labelled=False)
    half = pa.array([None if row % 2 else value for row, value in enumerate(scored["score"].to_pylist())])
    assert judge(estimated(), scored_table(2000, 1), scored.set_column(1, "score", half)).numbers["rows"] == 1000


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"metric": "r2", "below": 0.5}, "'r2' cannot be judged by this trigger"),
        ({"metric": "acuracy", "below": 0.5}, "did you mean accuracy?"),
        ({"metric": "accuracy"}, "write below: BAR or worse_than_gate: MARGIN"),
        ({"metric": "accuracy", "below": 0.5, "features": ["a"]}, "features has no use for accuracy"),
        ({"metric": "accuracy", "below": 0.5, "confidence": 0.9, "false_alarms": "1 per 9d"}, "one of the two"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        EstimatedPerformanceTrigger(**settings)


def test_scikit_learn_is_imported_only_when_a_regressor_is_judged() -> None:
    code = (
        "import sys; from triggers.estimated_performance import EstimatedPerformanceTrigger as T; "
        "import triggers.classifier_estimation; T(metric='mae', above=1); print('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
