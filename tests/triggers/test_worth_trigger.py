"""The `worth` trigger: the rule, what it reads, what it says, and what it refuses."""

from collections.abc import Callable
from datetime import timedelta
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from samples import NOW, evidence, facts

from triggers.catalog import parse_trigger
from triggers.confidence import Estimate, exact
from triggers.decay import Decay, Part, find_decay
from triggers.evidence import Arrival, ArrivalRequest, CountRequest, Counts, RowsRequest, Window
from triggers.metrics import ErrorSums, Tally
from triggers.verdict import Outcome, Verdict
from triggers.waiting import Waiting
from triggers.worth import WorthTrigger

DAY = timedelta(days=1)
ROWS = 500


def worth(**settings: Any) -> WorthTrigger:
    return WorthTrigger(**{"retrain": 500, "metric": "accuracy", "point_per_day": 25, **settings})


def judge(trigger: WorthTrigger, accuracy: Callable[[float], float], days: int = 20, **changes: Any) -> Verdict:
    """Judges a model deployed so many days ago that had exactly that accuracy each day, on 500 rows."""
    known = {"deployed_at": NOW - days * DAY, "trained_at": NOW - days * DAY, **changes}
    requests = trigger.requests(facts(**known), {}, NOW)
    answers: dict[str, Any] = {"before": Counts(0, 0)}
    for name, request in requests.items():
        if isinstance(request, ArrivalRequest):
            answers[name] = tuple(arrival(part, accuracy, days) for part in request.windows())
    return trigger.evaluate(evidence(answers, **known), NOW)


def arrival(part: Window, accuracy: Callable[[float], float], days: int) -> Arrival:
    assert part.start is not None
    assert part.end is not None
    first, last = ((each - NOW) / DAY + days for each in (part.start, part.end))
    rows = round(ROWS * (last - first))
    hits = round(rows * accuracy((first + last) / 2))
    return Arrival(Tally(classes={("1", "1"): hits, ("1", "0"): rows - hits}), {})


def falling(day: float) -> float:
    return 0.9 - 0.002 * day


def broken_after(day: float, points: float) -> Callable[[float], float]:
    return lambda now: 0.9 - (points / 100 if now >= day else 0)


def test_it_fires_in_money_when_more_was_lost_than_retraining_costs() -> None:
    verdict = judge(worth(), falling)
    assert verdict.fired
    assert verdict.sentence == (
        "Waiting another day costs 101, and in the 20d since the last training 1,008 was lost, more than the 500 that "
        "retraining costs: accuracy has fallen by 4.0 points in 20d, from 0.900 to 0.860, on 10,000 labelled rows "
        "since version 3 was deployed 20d ago, at level 0.011 (1 per 90d)."
    )
    assert verdict.numbers["shape"] == "trend"
    assert verdict.numbers["costs_per_day"] == pytest.approx(100, rel=0.02)
    assert verdict.numbers["lost"] == pytest.approx(1000, rel=0.02)


def test_a_decay_that_is_not_worth_it_yet_says_when_it_will_be() -> None:
    verdict = judge(worth(retrain=2000), falling)
    assert verdict.outcome is Outcome.QUIET
    assert "1,008 was lost, less than the 2,000 that retraining costs; at this pace it is worth it in 8d" in (
        verdict.sentence
    )
    assert verdict.numbers["due_in_days"] == pytest.approx(sqrt(2 * 2000 / 5) - 20, abs=0.3)


def test_a_sudden_loss_fires_before_it_has_cost_as_much_where_the_model_had_held_for_long() -> None:
    verdict = judge(worth(), broken_after(28, 5), days=30)
    assert verdict.fired
    assert verdict.sentence.startswith(
        "Waiting another day costs 124, more than the 25 a day that the 30d since the last training come to if "
        "retrained now (249 lost, and 500 for retraining): accuracy is 5.0 points lower since "
        "2026-03-18 12:00 UTC, 0.850 after 0.900, on 15,008 labelled rows"
    )


def test_a_model_that_stays_is_quiet_however_cheap_retraining_is() -> None:
    verdict = judge(worth(retrain=0.01), lambda _: 0.9)
    assert verdict.outcome is Outcome.QUIET
    assert verdict.sentence == (
        "accuracy is 0.900 and shows no sign of decay, on 10,000 labelled rows since version 3 was deployed 20d ago, "
        "at level 0.011 (1 per 90d)."
    )
    assert judge(worth(retrain=0.01), lambda day: 0.8 + 0.002 * day).outcome is Outcome.QUIET


def test_a_loss_within_noise_costs_nothing_yet() -> None:
    verdict = judge(worth(retrain=0.01), broken_after(19, 1))
    assert verdict.outcome is Outcome.QUIET
    assert "accuracy is 0.890, 1.0 points worse than 0.900 since 2026-03-19 12:00 UTC and not beyond doubt" in (
        verdict.sentence
    )


def test_what_was_lost_counts_from_the_last_training_though_it_deployed_nothing() -> None:
    dropped = broken_after(12, 5)
    assert judge(worth(), dropped).fired
    since = judge(worth(), dropped, trained_at=NOW - 2 * DAY)
    assert since.outcome is Outcome.QUIET
    assert since.numbers["lost"] == pytest.approx(250, rel=0.02)
    assert judge(worth(), dropped, trained_at=NOW - 5 * DAY).fired


def test_too_few_labels_are_insufficient_and_say_what_it_takes() -> None:
    verdict = judge(worth(min_labels=600), falling, days=2)
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert verdict.sentence == (
        "There are only 1,000 labelled rows since version 3 was deployed 2d ago; "
        "it takes 600 of the first 1d or more, and 600 after it, to tell a change."
    )
    assert judge(worth(min_labels=500), falling, days=2).outcome is not Outcome.INSUFFICIENT
    assert judge(worth(min_labels=600, restores=0.9), falling, days=2).outcome is not Outcome.INSUFFICIENT


def test_labels_that_are_still_coming_are_no_decay() -> None:
    trigger = worth(retrain=0.01)
    known = {"deployed_at": NOW - 20 * DAY}
    requests = trigger.requests(facts(**known), {}, NOW)
    answers: dict[str, Any] = {"before": Counts(5000, 5000)}
    for name, request in requests.items():
        if isinstance(request, ArrivalRequest):
            answers[name] = (Arrival(Tally(classes={("1", "1"): 450, ("1", "0"): 50}), {}),) * request.parts
    # Of the newest day all the errors are known, and half of the successes.
    newest = Arrival(Tally(classes={("1", "1"): 225, ("1", "0"): 50}), {"1": 225})
    answers["newest"] = (*answers["newest"][:-1], newest)
    verdict = trigger.evaluate(evidence(answers, **known), NOW)
    assert verdict.outcome is Outcome.QUIET
    assert verdict.numbers["left_out"] == 500


def test_a_known_level_is_what_is_restored() -> None:
    stays = judge(worth(restores=0.92), lambda _: 0.9)
    assert stays.fired
    assert stays.numbers["lost"] == pytest.approx(20 * 2 * 25, rel=0.02)
    gate = worth(restores="gate")
    assert judge(gate, lambda _: 0.9, gate_metrics={"accuracy": 0.92}).fired
    assert judge(gate, lambda _: 0.9, gate_metrics={"accuracy": 0.9}).outcome is Outcome.QUIET
    assert "no figure of accuracy from its gates" in judge(gate, falling).sentence
    undeployed = judge(gate, falling, version=None, deployed_at=None, trained_at=None)
    assert undeployed.outcome is Outcome.INSUFFICIENT
    assert undeployed.sentence.startswith("No version has been deployed yet")


def test_without_a_training_the_time_judged_is_told_instead() -> None:
    never = judge(worth(window="20d", retrain=100), falling, version=None, deployed_at=None, trained_at=None)
    assert never.fired
    assert ", and in the 20d 1,002 was lost" in never.sentence
    assert "on 9,992 labelled rows of the last 20d" in never.sentence


def test_a_metric_that_rises_costs_as_it_rises() -> None:
    def of_error(error: float) -> Arrival:
        sums = ErrorSums(count=500, absolute=500 * error, squared=500 * (error**2 + 0.25))
        return Arrival(Tally(errors=sums), {})

    trigger = WorthTrigger(retrain=40, metric="mae", point_per_day=0.1)
    worse = {"before": Counts(0, 0), "older": (of_error(2.0),) * 16, "newest": (of_error(2.5),) * 8}
    verdict = trigger.evaluate(evidence(worse), NOW)
    assert verdict.fired
    assert "mae is 50.0 points higher since" in verdict.sentence
    better = {"before": Counts(0, 0), "older": (of_error(2.0),) * 16, "newest": (of_error(1.5),) * 8}
    assert trigger.evaluate(evidence(better), NOW).outcome is Outcome.QUIET


@pytest.mark.parametrize("metric", ["log_loss", "brier", "roc_auc", "r2"])
def test_metrics_that_need_the_rows_are_judged_by_them(metric: str) -> None:
    random, rows = np.random.default_rng(5), 6000
    times = [NOW - 20 * DAY + 20 * DAY * index / rows for index in range(rows)]
    cause = random.normal(0, 1, rows)
    sense = np.where(np.arange(rows) < 0.7 * rows, 2.0, -1.0)
    chance = 1 / (1 + np.exp(-sense * cause))
    table = pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "score": 1 / (1 + np.exp(-2 * cause)),
            "actual": (random.random(rows) < chance).astype(int),
        }
    )
    if metric == "r2":
        table = pa.table({"timestamp": table["timestamp"], "prediction": 2 * cause, "actual": sense * cause})
    trigger = WorthTrigger(retrain=40, metric=metric, point_per_day=1)
    known = {"deployed_at": NOW - 20 * DAY, "trained_at": NOW - 20 * DAY}
    asked = trigger.requests(facts(**known), {}, NOW)
    column = "prediction" if metric == "r2" else "score"
    assert asked["labels"] == RowsRequest(Window(NOW - 20 * DAY, NOW), ("timestamp", column, "actual"), version="3")
    answers = {"before": Counts(0, 0), "labels": table}
    assert trigger.evaluate(evidence(answers, **known), NOW).fired
    half = {"before": Counts(0, 0), "labels": table.slice(0, rows // 2)}
    assert trigger.evaluate(evidence(half, **known), NOW).outcome is Outcome.QUIET


def test_it_reads_since_the_deployment_up_to_its_window_in_parts_that_are_finer_for_the_newest() -> None:
    asked = worth(window="28d").requests(facts(), {}, NOW)
    assert asked == {
        "before": CountRequest(Window(NOW - 56 * DAY, NOW - 28 * DAY)),
        "older": ArrivalRequest(Window(NOW - 28 * DAY, NOW - 8 * DAY), 16, "classes", "3"),
        "newest": ArrivalRequest(Window(NOW - 8 * DAY, NOW), 8, "classes", "3"),
    }
    young = worth().requests(facts(deployed_at=NOW - 3 * DAY, label_delay=DAY), {}, NOW)
    assert young["newest"] == ArrivalRequest(Window(NOW - 3 * DAY, NOW - DAY), 2, "classes", "3")
    assert "older" not in young
    unborn = worth().requests(facts(deployed_at=NOW - DAY, label_delay=2 * DAY), {}, NOW)
    assert unborn["newest"] == ArrivalRequest(Window(NOW - 2 * DAY, NOW - 2 * DAY), 1, "classes", "3")


def test_the_short_spelling_writes_the_metric_and_its_price() -> None:
    short = parse_trigger({"type": "worth", "retrain": 40, "point_of_log_loss_per_day": 25})
    assert short == WorthTrigger(retrain=40, metric="log_loss", point_per_day=25)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"point_of_acuracy_per_day": 25}, "did you mean point_of_accuracy_per_day?"),
        ({"point_of_accuracy_per_day": 25, "metric": "f1"}, "write one metric and its price"),
        ({"point_of_accuracy_per_day": 25, "point_of_f1_per_day": 5}, "write one metric and its price"),
        ({"point_of_accuracy_per_day": -1}, "greater than 0"),
        ({"metric": "acuracy", "point_per_day": 1}, "did you mean accuracy?"),
        ({"metric": "accuracy", "point_per_day": 1, "restores": 90}, "restores: 90 is out of reach"),
        ({"metric": "mae", "point_per_day": 1, "positive": 1}, "positive has no use for mae"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        WorthTrigger(retrain=40, **settings)


@given(st.floats(0.01, 100), st.floats(1, 1e5), st.floats(1, 400))
def test_a_steady_decay_is_worth_it_from_the_square_root_on(rate: float, cost: float, day: float) -> None:
    decay = Decay("trend", 0.9, rate * day, rate, 0.0, day, 1.0)
    best = sqrt(2 * cost / rate)
    found = Waiting.of(decay, 0.0, day, cost, 1.0)
    if abs(day / best - 1) > 1e-9:
        assert found.worth is (day > best)
    assert found.due_in == pytest.approx(max(best - day, 0.0), abs=1e-6 * best)


@given(st.floats(0, 100), st.floats(0.1, 100), st.floats(0.1, 50), st.floats(1, 1e4))
def test_waiting_never_costs_more_than_a_training_and_a_look(
    held: float, since: float, loss: float, cost: float
) -> None:
    decay = Decay("step", 0.9, loss, loss, held, held + since, 1.0)
    found = Waiting.of(decay, 0.0, held + since, cost, 1.0)
    assert found.worth or found.lost <= cost
    assert found.worth or loss * held <= cost * (1 + 1e-9)


def test_days_that_differ_by_more_than_their_rows_explain_widen_the_bound() -> None:
    days = [Part(day, day + 1.0, ROWS) for day in range(20)]

    def found(wobble: float) -> Decay:
        hits = [ROWS * (0.9 + wobble * (-1) ** day - (0.04 if day >= 16 else 0)) for day in range(20)]

        def measure(first: int, last: int, confidence: float) -> Estimate:
            return exact(sum(hits[first:last]), ROWS * (last - first), confidence)

        decay = find_decay(days, measure, 0.011, rising=False, fewest=100)
        assert decay is not None
        return decay

    assert found(0).dispersion == 1
    assert found(0).least > 0
    assert found(0.03).dispersion > 2
    assert found(0.03).least < 0
