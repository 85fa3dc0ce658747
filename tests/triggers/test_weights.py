"""Whose drift matters: columns weighted by importance, by the user, or not at all."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from samples import NOW, evidence

from triggers.drift import DriftTrigger
from triggers.statistics import adjust
from triggers.verdict import Outcome, Verdict
from triggers.weights import weigh

DAY = timedelta(days=1)
NAMES = ("a", "b", "c")
IMPORTANCE = {"a": 0.3, "b": 0.1, "c": 0.0}


def judge(shifts: dict[str, float], importance: dict[str, float] | None = None, **settings: Any) -> Verdict:
    """Of three columns, with the shifts given."""
    random = np.random.default_rng(1)
    before = pa.table({name: random.normal(0, 1, 5000) for name in NAMES})
    now = pa.table({name: random.normal(shifts.get(name, 0.0), 1, 2000) for name in NAMES})
    trigger = DriftTrigger(**{"prediction": False, "incidents": False, "features": NAMES, **settings})
    answers = {"reference": before, "current": now}
    return trigger.evaluate(evidence(answers, importance=IMPORTANCE if importance is None else importance), NOW)


def test_a_drifting_column_that_the_model_does_not_use_is_told_and_does_not_fire() -> None:
    verdict = judge({"c": 3.0})
    assert verdict.outcome is Outcome.QUIET
    assert verdict.sentence.startswith("None of 2 columns drifted")
    assert ", weighted by importance, without natural variation" in verdict.sentence
    assert " 1 more column drifted and is left out, since the model hardly uses it: c (KS 0.8" in verdict.sentence
    assert verdict.numbers["drifted"] == []
    assert verdict.numbers["weights"] == {"by": "importance", "because": None, "left_out": ["c"], "drifted": ["c"]}
    assert verdict.numbers["columns"]["c"]["weight"] == 0
    assert judge({"c": 3.0}, weights="equal").fired


def test_a_drifting_column_that_it_uses_fires_and_its_weight_is_told() -> None:
    verdict = judge({"b": 0.5, "c": 3.0})
    assert verdict.fired
    assert verdict.numbers["drifted"] == ["b"]
    assert verdict.numbers["columns"]["b"]["weight"] == pytest.approx(0.5)
    assert "1 of 2 columns drifted: b (KS" in verdict.sentence
    assert ", weight 0.500; past noise and effect)" in verdict.sentence


def test_where_importance_is_not_known_all_count_alike_and_it_says_so() -> None:
    verdict = judge({"c": 3.0}, {})
    assert verdict.fired
    assert ", with equal weights (importance is not known)" in verdict.sentence
    assert verdict.numbers["weights"]["because"] == "importance is not known"
    assert "weights" not in judge({"c": 3.0}, {}, weights="equal").sentence


def test_a_feature_of_unknown_importance_counts_as_the_others_do_on_average() -> None:
    verdict = judge({"c": 0.5}, {"a": 0.3, "b": 0.1})
    assert verdict.fired
    assert "weighted by importance (not known of c)" in verdict.sentence
    assert {n: each["weight"] for n, each in verdict.numbers["columns"].items()} == pytest.approx(
        {"a": 1.5, "b": 0.5, "c": 1.0}
    )


def test_weights_of_the_user_s_own_hold_for_predictions_too() -> None:
    found = weigh({"b": 0, "prediction": 3}, [*NAMES, "prediction"], {}, "prediction")
    assert found.of == pytest.approx({"a": 0.6, "b": 0.0, "c": 0.6, "prediction": 1.8})
    verdict = judge({"b": 1.0}, weights={"b": 0})
    assert verdict.outcome is Outcome.QUIET
    assert "1 more column drifted and is left out, since its weight is 0: b (" in verdict.sentence


def test_weights_that_cannot_be_are_refused_with_the_mend() -> None:
    for weights, told in [
        ({"a": -1}, "a: -1 is no weight; write a number from 0"),
        ({"a": True}, "a: True is no weight"),
        ("importence", "'importence' is no weighing; write importance, equal or"),
    ]:
        with pytest.raises(ValidationError, match=told):
            DriftTrigger(weights=weights)
    verdict = judge({}, weights={"distanse": 2})
    assert verdict.outcome is Outcome.ERROR
    assert judge({}, weights=dict.fromkeys(NAMES, 0)).sentence.startswith("No column that is compared has a weight")
    assert verdict.sentence.startswith("Weights names distanse, and what is compared is a, b and c;")


def test_a_share_of_columns_is_one_of_their_weight() -> None:
    heavy = judge({"a": 1.0}, share=0.6)
    assert heavy.fired
    light = judge({"b": 1.0}, share=0.6)
    assert light.outcome is Outcome.QUIET
    assert "; it takes 60 % of them by weight." in light.sentence


def test_more_weight_is_more_of_the_level_and_less_is_less() -> None:
    def p_of_a(weight: float) -> float:
        return float(judge({"a": 0.05}, weights={"a": weight}).numbers["columns"]["a"]["p_adjusted"])

    assert p_of_a(4) < p_of_a(1) < p_of_a(0.25)


@given(
    st.lists(st.tuples(st.floats(1e-9, 1), st.floats(0.01, 100)), min_size=1, max_size=12),
    st.sampled_from(["holm", "bonferroni", "benjamini-hochberg"]),
)
def test_weights_of_any_sum_share_out_the_level_and_no_more(tests: list[tuple[float, float]], correction: Any) -> None:
    p_values, weights = zip(*tests, strict=True)
    adjusted = adjust(p_values, correction, weights)
    whole = sum(weights)
    assert adjust(p_values, correction, [weight / whole for weight in weights]) == pytest.approx(adjusted)
    assert adjust(p_values, correction, [1.0] * len(tests)) == pytest.approx(adjust(p_values, correction))
    # Without any drift the first one found decides: its p-value is below its own part of the level.
    assert min(adjusted) >= min(min(p * whole / w, 1) for p, w in tests) / (
        len(tests) if correction == "benjamini-hochberg" else 1.0
    ) * (1 - 1e-9)


def test_weighted_holm_keeps_the_level_also_for_what_is_left_after_true_drifts() -> None:
    random = np.random.default_rng(3)
    weights, false = [0.1, 1.9, 1.0], 0
    for _ in range(4000):
        p_values = [1e-12, *random.random(2)]  # the first, of little weight, has drifted
        false += any(p <= 0.1 for p in adjust(p_values, "holm", weights)[1:])
    assert false / 4000 == pytest.approx(0.1, abs=0.015)


def test_the_budget_of_a_look_holds_whatever_the_weights() -> None:
    random = np.random.default_rng(7)
    nothing = {"ks": 0, "psi": 0, "location": 0, "scale": 0, "false_alarms": "1 per 20d"}
    trigger = DriftTrigger(prediction=False, incidents=False, features=NAMES, **nothing)
    alarms = 0
    for _ in range(200):
        before, now = (pa.table({name: random.normal(0, 1, rows) for name in NAMES}) for rows in (3000, 600))
        known = {"a": 0.9, "b": 0.05, "c": 0.05}
        alarms += trigger.evaluate(evidence({"reference": before, "current": now}, importance=known), NOW).fired
    assert alarms <= 19  # 10 are expected at most


def test_the_sequential_method_bets_on_what_the_model_uses() -> None:
    random = np.random.default_rng(5)
    reference = pa.table({name: random.normal(0, 1, 5000) for name in NAMES})
    times = [NOW - 7 * DAY + number * 7 * DAY / 7000 for number in range(7000)]
    stamped = pa.array(times, pa.timestamp("us", "UTC"))

    def verdict(moved: str) -> Verdict:
        columns = {name: random.normal(1.0 if name == moved else 0.0, 1, 7000) for name in NAMES}
        current = pa.table({"timestamp": stamped, **columns})
        trigger = DriftTrigger(method="sequential", incidents=False, features=NAMES)
        return trigger.evaluate(evidence({"reference": reference, "current": current}, importance=IMPORTANCE), NOW)

    unused = verdict("c")
    assert unused.outcome is Outcome.QUIET
    assert unused.numbers["weights"]["drifted"] == ["c"]
    assert unused.sentence.endswith(
        "weighted by importance. 1 more column drifted and is left out, since the model hardly uses it: c (higher)."
    )
    assert verdict("b").fired
