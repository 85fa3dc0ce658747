"""Labels that come late or selectively: which parts are judged, what rows stand for, and how the trigger fares."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from samples import NOW, evidence

from triggers.arrival import arrived_sums, in_favour, settled
from triggers.confidence import Estimate, estimate_from_rows, estimate_from_tally
from triggers.evidence import Arrival, ArrivalRequest, Counts, Window
from triggers.metrics import METRICS, ErrorSums, Tally, join
from triggers.performance import PerformanceTrigger
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
FULL = Counts(4000, 3900)


def parts(*labelled: int) -> list[Counts]:
    return [Counts(500, number) for number in labelled]


@pytest.mark.parametrize(
    ("labelled", "before", "kept"),
    [
        ((490, 487, 485, 490), FULL, 4),
        ((490, 487, 300, 40), FULL, 2),
        ((300, 200, 100, 0), FULL, 0),
        ((300, 200, 100, 0), Counts(0, 0), 1),  # nothing older says how many are to be expected
        ((150, 155, 145, 148), Counts(4000, 1200), 4),  # three in ten are ever labelled
        ((480, 0, 490, 485), FULL, 4),  # a day without labels, long ago, will not get them any more
    ],
)
def test_the_newest_parts_are_left_out_while_they_have_fewer_labels_than_older_rows(
    labelled: Sequence[int], before: Counts, kept: int
) -> None:
    assert settled(parts(*labelled), before) == kept


def test_a_part_without_rows_does_not_hide_that_the_one_before_it_waits() -> None:
    assert settled([*parts(490, 100), Counts(0, 0)], FULL) == 1


@pytest.mark.parametrize(
    ("labelled", "before", "long_before", "kept"),
    [
        ((250, 220, 180, 140), Counts(2000, 1100), Counts(2000, 1300), 0),  # even the rows before wait for labels
        ((270, 280, 180, 140), Counts(2000, 1100), Counts(2000, 1110), 2),
        ((270, 280, 275, 270), Counts(2000, 1100), Counts(2000, 1300), 4),  # an outage: the newest have theirs
        ((270, 280, 180, 140), Counts(2000, 1100), Counts(0, 0), 2),
    ],
)
def test_nothing_is_judged_while_labels_come_and_even_the_rows_before_the_window_have_fewer_than_older_ones(
    labelled: Sequence[int], before: Counts, long_before: Counts, kept: int
) -> None:
    assert settled(parts(*labelled), before, long_before) == kept


def test_each_labelled_row_stands_for_the_rows_of_its_predicted_class() -> None:
    tally = Tally({("1", "1"): 60, ("1", "0"): 40, ("0", "0"): 190, ("0", "1"): 10})
    found = arrived_sums((Arrival(tally, {"1": 900}), Arrival(Tally(), {})), Counts(0, 0))
    assert found.weighted_by == "predicted class"
    assert found.weights == {"1": 10.0, "0": 1.0}
    accuracy = estimate_from_tally("accuracy", tally, 0.95, weights={"1": 10.0, "0": 1.0})
    assert accuracy is not None
    assert accuracy.value == pytest.approx((600 + 190) / 1200)
    unweighted = estimate_from_tally("accuracy", tally, 0.95)
    assert unweighted is not None
    assert accuracy.high - accuracy.low > unweighted.high - unweighted.low
    assert estimate_from_tally("precision", tally, 0.95, weights={"1": 10.0}) == estimate_from_tally(
        "precision", tally, 0.95
    )
    recall = estimate_from_tally("recall", tally, 0.95, weights={"1": 10.0})
    assert recall is not None
    assert recall.value == pytest.approx(600 / 610)


@pytest.mark.parametrize("name", ["accuracy", "recall", "f1"])
@pytest.mark.parametrize("classes", [2, 4])
def test_weighted_metrics_find_the_truth_where_labels_are_picked_by_predicted_class(name: str, classes: int) -> None:
    held, values, unweighted = 0, [], []
    for tally, missing, everything in picked_by_class(classes):
        found = arrived_sums((Arrival(tally, missing),), Counts(0, 0))
        weights = found.weights
        assert isinstance(weights, dict)
        estimate = estimate_from_tally(name, tally, 0.95, weights=weights)
        plain = estimate_from_tally(name, tally, 0.95)
        whole = estimate_from_tally(name, everything, 0.95)
        assert estimate is not None
        assert plain is not None
        assert whole is not None
        values.append(estimate.value - whole.value)
        unweighted.append(plain.value - whole.value)
        held += estimate.low <= whole.value <= estimate.high
    assert abs(float(np.mean(values))) < 0.006
    assert abs(float(np.mean(unweighted))) > 0.02
    assert held >= 139  # 95 % of 150, less three standard deviations of chance


@cache
def picked_by_class(classes: int) -> list[tuple[Tally, dict[str, int], Tally]]:
    """150 times 3,000 rows: those with labels, how many of each predicted class lack one, and all of them."""
    drawn = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        actual = random.choice(classes, 3000, p=np.arange(1, classes + 1) / sum(range(classes + 1)))
        prediction = np.where(
            random.random(3000) < 0.5 + 0.4 * actual / classes, actual, random.integers(0, classes, 3000)
        )
        known = random.random(3000) < np.where(prediction == 0, 0.9, 0.15)
        tally = Tally.of_pairs(zip(prediction[known], actual[known], [1] * int(known.sum()), strict=True))
        missing = {str(label): int((prediction[~known] == label).sum()) for label in range(classes)}
        drawn.append((tally, missing, Tally.of_pairs(zip(prediction, actual, [1] * 3000, strict=True))))
    return drawn


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "brier"])
def test_weighted_scores_find_the_truth_where_labels_are_picked_by_score(name: str) -> None:
    held, gaps, plain_gaps = 0, [], []
    for table in picked_by_score():
        verdict = judge(name, table)
        score, actual = np.array(table["score"]), np.array(table["truth"])
        whole = estimate_from_rows(name, actual, score, 0.95)
        assert whole is not None
        numbers = verdict.numbers
        assert numbers["weighted_by"] == "score"
        gaps.append(numbers["value"] - whole.value)
        plain_gaps.append(numbers["unweighted"] - whole.value)
        held += numbers["low"] <= whole.value <= numbers["high"]
    assert abs(float(np.mean(gaps))) < 0.25 * abs(float(np.mean(plain_gaps)))
    assert held >= 90


@cache
def picked_by_score() -> list[pa.Table]:
    return [scored(4000, seed, by_score=True) for seed in range(100)]


def scored(rows: int, seed: int, *, by_score: bool) -> pa.Table:
    random = np.random.default_rng(seed)
    score = random.beta(2, 3, rows)
    truth = (random.random(rows) < score).astype(int)
    known = random.random(rows) < (np.where(np.abs(score - 0.5) < 0.2, 0.9, 0.15) if by_score else 1)
    actual = [int(value) if there else None for value, there in zip(truth, known, strict=True)]
    times = [NOW - 7 * DAY + 7 * DAY * row / rows for row in range(rows)]
    return pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "score": score,
            "actual": pa.array(actual, pa.int64()),
            "truth": truth,
        }
    )


def judge(metric: str, table: pa.Table, **settings: Any) -> Verdict:
    bar = {"below": 0.01} if METRICS[metric].higher_is_better else {"above": 0.9}
    trigger = PerformanceTrigger(**{"metric": metric, "window": "7d", "confidence": 0.95, **bar, **settings})
    counts = Counts(table.num_rows, table.num_rows - table["actual"].null_count)
    answers = {"counts": counts, "before": Counts(0, 0), "labels": table.drop_columns(["truth"])}
    return trigger.evaluate(evidence(answers), NOW)


def test_labels_still_to_come_are_taken_to_be_in_the_models_favour() -> None:
    estimate = Estimate(0.8, 0.7, 0.9)
    assert in_favour(estimate, 300, 100, METRICS["accuracy"]) == Estimate(0.8, 0.7, pytest.approx(0.925))
    assert in_favour(estimate, 300, 100, METRICS["log_loss"]) == Estimate(0.8, pytest.approx(0.525), 0.9)
    assert in_favour(estimate, 300, 0, METRICS["accuracy"]) == estimate


def of_parts(*arrivals: Arrival, before: Counts = FULL, **settings: Any) -> Verdict:
    trigger = PerformanceTrigger(**{"metric": "accuracy", "below": 0.85, "window": "7d", **settings})
    labelled = sum(each.tally.rows for each in arrivals)
    counts = Counts(labelled + sum(sum(each.unlabelled.values()) for each in arrivals), labelled)
    return trigger.evaluate(evidence({"counts": counts, "before": before, "labels": arrivals}), NOW)


def test_the_verdict_says_how_many_are_missing_and_what_the_unweighted_figure_was() -> None:
    tally = Tally({("1", "1"): 300, ("1", "0"): 100, ("0", "0"): 350, ("0", "1"): 50})
    verdict = of_parts(Arrival(tally, {"1": 400, "0": 0}), before=Counts(0, 0))
    assert verdict.sentence.endswith(
        "67 % of rows have labels, 400 are missing (weighted for it by predicted class; unweighted it was 0.812)."
    )
    assert verdict.numbers["value"] == pytest.approx((600 + 350) / 1200)
    assert verdict.numbers["unweighted"] == pytest.approx(650 / 800)
    assert verdict.numbers["missing"] == 400
    errors = Tally(errors=ErrorSums(count=400, absolute=400, squared=500))
    mae = of_parts(Arrival(errors, {"": 90}), before=Counts(0, 0), metric="mae", below=None, above=5)
    assert "90 are missing (not weighted for it, since numbers have no class to go by)" in mae.sentence


def test_newer_rows_whose_labels_are_still_coming_are_left_out_and_told() -> None:
    good, bad = Tally({("1", "1"): 450, ("1", "0"): 30}), Tally({("1", "0"): 100})
    verdict = of_parts(Arrival(good, {"1": 20}), Arrival(good, {"1": 18}), Arrival(bad, {"1": 400}))
    assert verdict.outcome is Outcome.QUIET
    assert verdict.numbers["labelled"] == 960
    assert "500 newer rows left out, since their labels are still coming" in verdict.sentence
    waiting = of_parts(Arrival(bad, {"1": 400}), Arrival(bad, {"1": 400}))
    assert waiting.outcome is Outcome.INSUFFICIENT
    assert waiting.sentence == (
        "There are only 0 labelled rows of the last 7d; 100 are needed, and 200 of 1,000 rows have labels; 200 are of "
        "rows whose labels are still coming, since 20 % of them have one, and 98 % of older ones "
        "(predictions.label_delay says how long labels take)."
    )


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    first, second = (
        ErrorSums(2, 3.0, 5.0, 9.0, 1, 2.0, 3.0, 4.0, 5.0),
        ErrorSums(1, 1.0, 1.0, 1.0, 1, 1.0, 1.0, 1.0, 1.0),
    )
    assert join([Tally({("a", "b"): 2}, first), Tally({("a", "b"): 3, ("b", "b"): 1}, second)]) == Tally(
        {("a", "b"): 5, ("b", "b"): 1}, ErrorSums(3, 4.0, 6.0, 10.0, 2, 3.0, 4.0, 5.0, 6.0)
    )
    assert join([]) == Tally()


def test_a_windows_parts_meet_and_fill_it() -> None:
    asked = ArrivalRequest(Window(NOW - 7 * DAY, NOW), 7, "classes").windows()
    assert asked[0].start == NOW - 7 * DAY
    assert asked[-1].end == NOW
    assert all(before.end == after.start for before, after in pairwise(asked))
    with pytest.raises(ValueError, match="an open window has no parts"):
        ArrivalRequest(Window(None, NOW), 7, "classes").windows()
