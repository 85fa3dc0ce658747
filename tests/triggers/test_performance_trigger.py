"""The performance trigger: what it asks for, when it fires, and what it says."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from samples import NOW, evidence, facts

from triggers.evidence import Arrival, ArrivalRequest, CountRequest, Counts, RowsRequest, TallyRequest, Window
from triggers.metrics import ErrorSums, Tally
from triggers.performance import PerformanceTrigger
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
LONG_AGO = NOW - 60 * DAY


def accuracy(**settings: Any) -> PerformanceTrigger:
    return PerformanceTrigger(**{"metric": "accuracy", "below": 0.85, "window": "7d", **settings})


def right_and_wrong(right: int, wrong: int) -> Tally:
    return Tally(classes={("1", "1"): right // 2, ("0", "0"): right - right // 2, ("1", "0"): wrong})


def judge(trigger: PerformanceTrigger, labels: Any, rows: int | None = None, **changes: Any) -> Verdict:
    """Judges labels that came evenly, out of so many `rows`."""
    labelled = labels.rows if isinstance(labels, Tally) else labels.num_rows
    answers: dict[str, Any] = {"counts": Counts(labelled if rows is None else rows, labelled), "labels": labels}
    if trigger.last is None:
        answers |= {"before": Counts(0, 0), "labels": over_the_window(labels)}
    return trigger.evaluate(evidence(answers, **changes), NOW)


def over_the_window(labels: Any) -> Any:
    if isinstance(labels, Tally):
        return (Arrival(labels, {}),)
    times = [NOW - 7 * DAY + 7 * DAY * row / labels.num_rows for row in range(labels.num_rows)]
    return labels.append_column("timestamp", pa.array(times, pa.timestamp("us", "UTC")))


def test_it_fires_with_the_figures_that_an_engineer_needs() -> None:
    verdict = judge(accuracy(), right_and_wrong(1553, 359), rows=1992)
    assert verdict.fired
    assert verdict.sentence == (
        "accuracy was 0.812 (98 % interval 0.791 to 0.833) on 1,912 labelled rows of the last 7d, below 0.85; "
        "96 % of rows have labels, 80 are missing."
    )
    assert verdict.numbers["value"] == pytest.approx(1553 / 1912)
    assert verdict.numbers["coverage"] == pytest.approx(1912 / 1992)


def test_it_fires_when_the_whole_interval_is_below_the_bar_and_not_when_the_point_alone_is() -> None:
    outcomes = {
        right: judge(accuracy(confidence=0.95), right_and_wrong(right, 1000 - right)) for right in range(800, 881)
    }
    fired = [right for right, verdict in outcomes.items() if verdict.fired]
    # The exact upper bound of 826 in 1,000 is 0.8490, of 827 it is 0.8500, of 828 it is 0.8509.
    assert fired == list(range(800, 828))
    assert "not beyond doubt below 0.85" in outcomes[840].sentence
    assert ", not below 0.85;" in outcomes[860].sentence


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, 0.9 / 90),
        ({"false_alarms": "2 per 90d"}, 0.9 * 2 / 90),
        ({"look_every": "6h"}, 0.9 / 360),
        ({"window": None, "last": 500}, 0.9 / 2160),  # hourly looks
        ({"look_every": "30d"}, 0.9 * 0.05),
        ({"confidence": 0.95}, 0.025),
    ],
)
def test_the_looks_to_come_share_nine_tenths_of_the_budget(settings: Any, level: float) -> None:
    trigger = accuracy(**settings)
    assert trigger.level == pytest.approx(level)
    assert judge(trigger, right_and_wrong(500, 100)).numbers["confidence"] == pytest.approx(1 - 2 * level)


def test_a_margin_from_the_gates_figure_stands_for_a_bar() -> None:
    trigger = accuracy(below=None, worse_than_gate=0.03)
    verdict = judge(trigger, right_and_wrong(1553, 359), gate_metrics={"accuracy": 0.88})
    assert verdict.fired
    assert verdict.numbers["bar"] == pytest.approx(0.85)
    assert "below 0.85, 0.03 worse than at its gate (at its gate it had 0.880)" in verdict.sentence
    assert judge(trigger, right_and_wrong(1553, 359), gate_metrics={"accuracy": 0.84}).outcome is Outcome.QUIET
    rising = PerformanceTrigger(metric="mae", worse_than_gate=0.5, window="7d")
    errors = Tally(errors=ErrorSums(count=400, absolute=1200, squared=400 * 10))
    assert judge(rising, errors, gate_metrics={"mae": 2.0}).fired
    assert judge(rising, errors, gate_metrics={"mae": 2.6}).outcome is Outcome.QUIET


def test_without_a_gates_figure_there_is_no_bar_and_it_says_what_to_do() -> None:
    trigger = accuracy(below=None, worse_than_gate=0.03)
    assert judge(trigger, right_and_wrong(500, 500)).sentence == (
        "Version 3 has no figure of accuracy from its gates to be worse than; "
        "write below: BAR, or retrain to have one measured."
    )
    undeployed = judge(trigger, right_and_wrong(500, 500), version=None, deployed_at=None)
    assert undeployed.outcome is Outcome.INSUFFICIENT
    assert undeployed.sentence.startswith("No version has been deployed yet")


def test_a_metric_that_rises_fires_above_its_bar() -> None:
    trigger = PerformanceTrigger(metric="mae", above=2, window="7d")

    def of_error(error: float) -> Tally:
        sums = ErrorSums(count=400, absolute=400 * error, squared=400 * (error**2 + 1))
        return Tally(errors=sums)

    assert judge(trigger, of_error(3)).fired
    assert judge(trigger, of_error(2.05)).outcome is Outcome.QUIET
    assert judge(trigger, of_error(1)).outcome is Outcome.QUIET
    assert "mae was 3.000" in judge(trigger, of_error(3)).sentence


@pytest.mark.parametrize(("labels", "outcome"), [(99, Outcome.INSUFFICIENT), (100, Outcome.FIRED)])
def test_it_takes_the_minimum_of_labels(labels: int, outcome: Outcome) -> None:
    verdict = judge(accuracy(), right_and_wrong(labels - 60, 60), rows=480)
    assert verdict.outcome is outcome
    if outcome is Outcome.INSUFFICIENT:
        assert verdict.sentence == (
            "There are only 99 labelled rows of the last 7d; 100 are needed, and 99 of 480 rows have labels."
        )


@pytest.mark.parametrize(("rows", "outcome"), [(2000, Outcome.FIRED), (2001, Outcome.INSUFFICIENT)])
def test_it_takes_the_minimum_of_coverage(rows: int, outcome: Outcome) -> None:
    assert judge(accuracy(min_coverage=0.1), right_and_wrong(100, 100), rows=rows).outcome is outcome


def test_no_rows_at_all_are_insufficient() -> None:
    assert judge(accuracy(), Tally()).outcome is Outcome.INSUFFICIENT


def test_sums_are_asked_of_the_database_over_the_window_and_the_deployed_version() -> None:
    window = Window(NOW - 7 * DAY, NOW)
    assert accuracy().requests(facts(deployed_at=LONG_AGO), {}, NOW) == {
        "counts": CountRequest(window),
        "before": CountRequest(Window(NOW - 14 * DAY, NOW - 7 * DAY)),
        "long_before": CountRequest(Window(NOW - 21 * DAY, NOW - 14 * DAY)),
        "labels": ArrivalRequest(window, 7, "classes", "3"),
    }
    rmse = PerformanceTrigger(metric="rmse", above=2, last=500)
    span = Window(LONG_AGO, NOW)
    assert rmse.requests(facts(deployed_at=LONG_AGO), {}, NOW)["labels"] == TallyRequest(span, "errors", 500, "3")
    everything = rmse.requests(facts(deployed_at=None, version=None), {}, NOW)
    assert everything["labels"] == TallyRequest(Window(None, NOW), "errors", 500)


@pytest.mark.parametrize(("metric", "column"), [("roc_auc", "score"), ("r2", "prediction")])
def test_rows_are_asked_for_where_sums_do_not_do(metric: str, column: str) -> None:
    trigger = PerformanceTrigger(metric=metric, below=0.5, window="7d")
    asked = trigger.requests(facts(deployed_at=LONG_AGO), {}, NOW)["labels"]
    window = Window(NOW - 7 * DAY, NOW)
    assert asked == RowsRequest(window, ("timestamp", column, "actual"), version="3")
    newest = PerformanceTrigger(metric=metric, below=0.5, last=500).requests(facts(deployed_at=None), {}, NOW)["labels"]
    assert newest == RowsRequest(Window(None, NOW), (column, "actual"), labelled=True, last=500, version="3")


def test_rows_younger_than_the_label_delay_are_not_judged() -> None:
    asked = accuracy().requests(facts(label_delay=2 * DAY), {}, NOW)["counts"]
    assert asked == CountRequest(Window(NOW - 9 * DAY, NOW - 2 * DAY))
    told = judge(accuracy(), right_and_wrong(500, 500), label_delay=2 * DAY).sentence
    assert "on 1,000 labelled rows of 7d, up to 2d ago, below 0.85" in told


def test_rows_from_before_the_deployment_are_not_judged() -> None:
    asked = accuracy().requests(facts(deployed_at=NOW - DAY), {}, NOW)["counts"]
    assert asked == CountRequest(Window(NOW - DAY, NOW))
    before = accuracy().requests(facts(deployed_at=NOW - DAY), {}, NOW)["before"]
    assert before == CountRequest(Window(NOW - 8 * DAY, NOW - DAY))
    told = judge(accuracy(), right_and_wrong(500, 500), deployed_at=NOW - DAY).sentence
    assert "on 1,000 labelled rows since version 3 was deployed 1d ago, below 0.85" in told
    younger_than_its_labels = accuracy().requests(facts(deployed_at=NOW - DAY, label_delay=2 * DAY), {}, NOW)
    assert younger_than_its_labels["counts"] == CountRequest(Window(NOW - 2 * DAY, NOW - 2 * DAY))


def test_the_newest_rows_are_told_as_such_and_the_gates_figure_beside_them() -> None:
    trigger = PerformanceTrigger(metric="accuracy", below=0.85, last=1000, confidence=0.95)
    told = judge(trigger, right_and_wrong(500, 500), rows=5000, gate_metrics={"accuracy": 0.91}).sentence
    assert told.startswith("accuracy was 0.500 (95 % interval 0.469 to 0.531) on the newest 1,000 labelled rows, below")
    assert told.endswith(
        "below 0.85 (at its gate it had 0.910); 20 % of rows have labels, 4,000 are missing "
        "(not weighted for it, since last takes labelled rows only)."
    )


def scores(rows: int, lift: float, seed: int = 1) -> pa.Table:
    random = np.random.default_rng(seed)
    actual = random.random(rows) < 0.3
    score = 1 / (1 + np.exp(-(random.normal(0, 1, rows) + lift * actual - 1)))
    return pa.table({"score": score, "actual": actual.astype(int)})


def test_roc_auc_log_loss_and_brier_are_judged_on_rows() -> None:
    ranking = PerformanceTrigger(metric="roc_auc", below=0.8, window="7d")
    assert judge(ranking, scores(1000, lift=0.2)).fired
    assert judge(ranking, scores(1000, lift=3)).outcome is Outcome.QUIET
    for metric, bar in (("log_loss", 0.6), ("brier", 0.2)):
        trigger = PerformanceTrigger(metric=metric, above=bar, window="7d")
        assert judge(trigger, scores(1000, lift=-2)).fired
        assert judge(trigger, scores(1000, lift=3)).outcome is Outcome.QUIET


def test_r2_is_judged_on_rows() -> None:
    random = np.random.default_rng(2)
    actual = random.normal(10, 3, 500)
    table = pa.table({"prediction": actual + random.normal(0, 3, 500), "actual": actual})
    assert judge(PerformanceTrigger(metric="r2", below=0.8, window="7d"), table).fired


def test_rows_without_a_score_are_left_out_and_may_leave_too_few() -> None:
    table = scores(1000, lift=0.2)
    half = pa.array([None if index % 2 else value for index, value in enumerate(table["score"].to_pylist())])
    trigger = PerformanceTrigger(metric="roc_auc", below=0.8, window="7d", min_labels=400)
    assert judge(trigger, table.set_column(0, "score", half)).fired
    strict = PerformanceTrigger(metric="roc_auc", below=0.8, window="7d", min_labels=501)
    assert judge(strict, table.set_column(0, "score", half)).outcome is Outcome.INSUFFICIENT


@pytest.mark.parametrize(
    ("metric", "tally", "told"),
    [
        ("precision", Tally(classes={("0", "0"): 90, ("0", "1"): 90}), "no row was predicted 1"),
        ("recall", Tally(classes={("0", "0"): 90, ("1", "0"): 90}), "no row turned out 1"),
        ("f1", Tally(classes={("ham", "ham"): 200}), "nothing says which class is positive beside ham"),
        ("mape", Tally(errors=ErrorSums(count=200, absolute=5)), "every actual is zero"),
    ],
)
def test_an_undefined_metric_is_insufficient_and_says_why(metric: str, tally: Tally, told: str) -> None:
    word = "above" if metric == "mape" else "below"
    verdict = judge(PerformanceTrigger(metric=metric, window="7d", **{word: 0.5}), tally)
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert told in verdict.sentence


def test_evidence_that_makes_no_sense_is_an_error_that_says_what_to_mend() -> None:
    text = pa.table({"prediction": ["high"] * 200, "actual": ["low"] * 200})
    verdict = judge(PerformanceTrigger(metric="r2", below=0.5, window="7d"), text)
    assert verdict.outcome is Outcome.ERROR
    assert "column prediction holds string where numbers are needed" in verdict.sentence
    wild = pa.table({"score": np.linspace(-3, 3, 200), "actual": [0, 1] * 100})
    verdict = judge(PerformanceTrigger(metric="brier", above=0.5, window="7d"), wild)
    assert "the scores reach from -3 to 3, and a probability is 0 to 1" in verdict.sentence
    three = pa.table({"score": np.linspace(0, 1, 300), "actual": ["a", "b", "c"] * 100})
    verdict = judge(PerformanceTrigger(metric="roc_auc", below=0.5, window="7d"), three)
    assert verdict.outcome is Outcome.ERROR
    assert "compares two classes, and the actuals hold 3" in verdict.sentence


def test_probabilities_in_place_of_classes_are_an_error_and_not_an_accuracy_of_zero() -> None:
    tally = Tally.of_pairs([(0.83, 1, 100), (0.12, 0, 100)])
    verdict = judge(accuracy(), tally)
    assert verdict.outcome is Outcome.ERROR
    assert "no prediction is ever one of the actual classes: predicted are 0.12 and 0.83" in verdict.sentence
    all_wrong = Tally(classes={("0", "1"): 200})
    assert judge(accuracy(), all_wrong).fired


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"metric": "acuracy", "below": 0.8, "window": "7d"}, "did you mean accuracy?"),
        ({"metric": "accuracy", "above": 0.8, "window": "7d"}, "accuracy falls when a model decays; write below"),
        ({"metric": "mae", "below": 0.8, "window": "7d"}, "mae rises when a model decays; write above"),
        ({"metric": "mae", "above": 1, "below": 1, "window": "7d"}, "write above: BAR and no below"),
        ({"metric": "accuracy", "window": "7d"}, "write below: BAR"),
        ({"metric": "accuracy", "below": 85, "window": "7d"}, "below: 85 is out of reach"),
        ({"metric": "accuracy", "below": 0, "window": "7d"}, "below: 0 is out of reach"),
        ({"metric": "brier", "above": 1, "window": "7d"}, "above: 1 is out of reach"),
        ({"metric": "accuracy", "below": 0.8}, "one of the two"),
        ({"metric": "accuracy", "below": 0.8, "window": "7d", "last": 500}, "one of the two"),
        ({"metric": "accuracy", "below": 0.8, "last": 50}, r"last \(50\) is below min_labels \(100\)"),
        ({"metric": "accuracy", "below": 0.8, "worse_than_gate": 0.1, "window": "7d"}, "one of the two"),
        ({"metric": "accuracy", "worse_than_gate": 1, "window": "7d"}, "worse_than_gate: 1 is out of reach"),
        ({"metric": "accuracy", "worse_than_gate": -0.1, "window": "7d"}, "greater than or equal to 0"),
        (
            {"metric": "accuracy", "below": 0.8, "window": "7d", "confidence": 0.9, "false_alarms": "1 per 9d"},
            "write false_alarms: RATE or confidence: SHARE, one of the two",
        ),
        ({"metric": "mae", "above": 1, "window": "7d", "positive": 1}, "positive has no use for mae"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PerformanceTrigger(**settings)


@pytest.mark.parametrize(
    ("settings", "every"),
    [
        ({"window": "7d"}, DAY),
        ({"window": "28d"}, DAY),
        ({"window": "7h"}, timedelta(hours=1)),
        ({"window": "3s"}, timedelta(seconds=1)),
        ({"window": None, "last": 500}, timedelta(hours=1)),
        ({"window": "7d", "look_every": "5m"}, timedelta(minutes=5)),
    ],
)
def test_it_looks_seven_times_a_window_between_every_second_and_daily(settings: Any, every: timedelta) -> None:
    assert accuracy(**settings).next_look(facts(), {}, NOW) == NOW + every
