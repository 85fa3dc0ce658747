"""The domain classifier: shifts that no column shows by itself, and no alarm without any."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from samples import NOW, evidence
from scipy import stats

from triggers.domain import Apart, Bars, _roc, tell_apart
from triggers.drift import DriftTrigger
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
BARS = Bars(level=1 / 450, auc=0.55, window=7 * DAY, natural=True, season=None)


def pairs(rows: int, seed: int, together: float, others: int = 3) -> pa.Table:
    """Standard normal columns, of which `a` and `b` have the correlation `together`."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (rows, 2 + others))
    z[:, 1] = together * z[:, 0] + np.sqrt(1 - together**2) * z[:, 1]
    return pa.table(dict(zip(["a", "b", *(f"x{number}" for number in range(others))], z.T, strict=True)))


def told_apart(before: pa.Table, now: pa.Table, bars: Bars = BARS) -> Apart:
    names = [name for name in before.column_names if name != "timestamp"]
    found = tell_apart(before, now, names, bars)
    assert isinstance(found, Apart), found
    return found


def judge(trigger: DriftTrigger, before: pa.Table, now: pa.Table, **facts: Any) -> Verdict:
    answers = {"reference": before, "current": now, "together_reference": before, "together_current": now}
    names = tuple(name for name in before.column_names if name != "timestamp")
    return trigger.evaluate(evidence(answers, features=names, **facts), NOW)


def drift(**changes: Any) -> DriftTrigger:
    return DriftTrigger(**{"prediction": False, "incidents": False, "multivariate": True, **changes})


def dated(table: pa.Table, days: float, until: Any = NOW) -> pa.Table:
    step = days * DAY / table.num_rows
    times = [until - days * DAY + number * step for number in range(table.num_rows)]
    return table.append_column("timestamp", pa.array(times, pa.timestamp("us", "UTC")))


def test_a_correlation_that_turns_round_is_found_where_every_column_is_as_before() -> None:
    before, now = pairs(3000, 1, 0.5), pairs(2000, 2, -0.5)
    alone = judge(drift(multivariate=False), before, now)
    assert alone.outcome is Outcome.QUIET
    assert "together" not in alone.numbers
    verdict = judge(drift(), before, now)
    assert verdict.fired
    assert verdict.numbers["drifted"] == []
    assert verdict.sentence.startswith("None of 5 columns drifted")
    assert "at level 0.009 (1 per 90d)" in verdict.sentence
    together = verdict.numbers["together"]
    assert (
        f" Together the columns tell these rows from the reference's, most by {{}} (AUC {together['auc']:.3f} on 2,500 "
        "held-out rows; past noise and effect), at level 0.002."
    ).format("a and b" if together["leaned"]["a"] > together["leaned"]["b"] else "b and a") in verdict.sentence
    assert together["natural_bar"] is None


def test_like_rows_are_not_told_apart_and_it_says_so() -> None:
    verdict = judge(drift(), pairs(3000, 1, 0.5), pairs(2000, 2, 0.5))
    assert verdict.outcome is Outcome.QUIET
    assert (
        " Together the columns do not tell these rows from the reference's (AUC 0.491 on 2,500 held-out rows;"
        in verdict.sentence
    )
    assert verdict.sentence.endswith("not past noise or effect), at level 0.002.")


def test_without_drift_its_p_values_are_no_smaller_than_chance_makes_them() -> None:
    p_values = [told_apart(pairs(500, 2 * n, 0.5, 0), pairs(450, 2 * n + 1, 0.5, 0)).p_value for n in range(25)]
    assert stats.kstest(p_values, "uniform", alternative="greater").pvalue > 0.01


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=4, max_size=60), st.integers(1, 3))
def test_the_auc_and_its_variance_are_those_of_mann_and_whitney(scores: list[int], now: int) -> None:
    values, is_current = np.array(scores, dtype=float), np.arange(len(scores)) < now
    if np.unique(values).size == 1:
        return
    auc, variance = _roc(values, is_current)
    truth = stats.mannwhitneyu(
        values[is_current], values[~is_current], alternative="greater", method="asymptotic", use_continuity=False
    )
    assert auc == pytest.approx(truth.statistic / (now * (len(scores) - now)))
    assert stats.norm.sf((auc - 0.5) / variance**0.5) == pytest.approx(truth.pvalue, abs=1e-9)


def test_categories_gaps_and_a_thousand_levels_are_looked_at_as_well() -> None:
    def table(seed: int, turned: bool) -> pa.Table:
        random = np.random.default_rng(seed)
        value, kind = random.normal(0, 1, 2500), random.choice(["up", "down"], 2500)
        value = np.abs(value) * np.where((kind == "up") ^ (turned & (random.random(2500) < 0.5)), 1, -1)
        many = [f"level {number}" for number in random.integers(0, 1000, 2500)]
        gaps = pa.array([None if number % 4 == 0 else each for number, each in enumerate(value.tolist())])
        return pa.table({"value": gaps, "kind": kind.tolist(), "many": many, "flag": random.random(2500) < 0.5})

    assert not told_apart(table(1, turned=False), table(2, turned=False)).drifted
    found = told_apart(table(1, turned=False), table(3, turned=True))
    assert found.drifted
    assert {name for name, lost in found.leaned.items() if lost > 0.05} == {"value", "kind"}


def test_an_effect_must_be_reached_as_well() -> None:
    before, now = pairs(3000, 1, 0.4, 0), pairs(3000, 2, -0.1, 0)
    found = judge(drift(auc=0.9), before, now)
    assert found.outcome is Outcome.QUIET
    assert "past noise, not past effect" in found.sentence


def uneven(weeks: list[float], seed: int, until: Any) -> pa.Table:
    """Weeks that each have a correlation of their own."""
    parts = [pairs(700, seed + number, rho, 0) for number, rho in enumerate(weeks)]
    return dated(pa.concat_tables(parts), 7 * len(weeks), until)


def test_what_the_reference_s_own_weeks_do_is_no_drift() -> None:
    before, now = uneven([-0.6, 0.5, 0.1, -0.4, 0.6, -0.1, 0.3, -0.5], 5, NOW - 7 * DAY), uneven([0.6], 99, NOW)
    blind = told_apart(before, now, Bars(0.01, 0.55, 7 * DAY, natural=False, season=None))
    seeing = told_apart(before, now, Bars(0.01, 0.55, 7 * DAY, natural=True, season=None))
    assert blind.drifted
    assert (seeing.auc, seeing.blocks) == (blind.auc, 8)
    assert seeing.passed == {"noise": True, "effect": True, "nature": False}
    assert told_apart(uneven([0.5] * 8, 5, NOW - 7 * DAY), uneven([-0.5], 99, NOW)).passed == {
        "noise": True,
        "effect": True,
        "nature": True,
    }


def test_neighbours_are_on_one_side_so_that_rows_that_come_in_clumps_are_not_told_by_their_clump() -> None:
    def clumped(seed: int, days: int, until: Any) -> pa.Table:
        random = np.random.default_rng(seed)
        places = np.repeat(random.normal(0, 1, (days * 4, 2)), 50, axis=0)
        return dated(pa.table(dict(zip("ab", places.T, strict=True))), days, until)

    aucs = [told_apart(clumped(n, 28, NOW - 7 * DAY), clumped(100 + n, 7, NOW)).auc for n in range(4)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.12)  # by rows at random every one would be 1


def test_it_leaves_out_what_the_model_does_not_use() -> None:
    before, now = pairs(2000, 1, 0.6, 1), pairs(2000, 2, -0.6, 1)
    assert judge(drift(), before, now, importance={"a": 1.0, "b": 0.5, "x0": 0.5}).fired
    verdict = judge(drift(), before, now, importance={"a": 1.0, "b": 0.0, "x0": 0.5})
    assert verdict.outcome is Outcome.QUIET
    assert set(verdict.numbers["together"]) > {"auc", "p_value", "noise", "effect"}


def test_too_few_rows_are_not_judged_and_it_says_so() -> None:
    verdict = judge(drift(min_rows=100), pairs(2000, 1, 0.5), pairs(150, 2, 0.5))
    assert verdict.sentence.endswith(
        " All columns together are not judged: it takes 100 rows of either side in either half, and like ones where "
        "there is a season."
    )
    assert verdict.numbers["together"] is None


def test_it_asks_for_the_rows_only_where_it_is_asked_for_and_not_of_a_sequence() -> None:
    facts = evidence().facts
    asked = drift().requests(facts, {}, NOW)
    assert (asked["together_reference"], asked["together_current"]) == (asked["reference"], asked["current"])
    assert "together_current" not in drift(multivariate=False).requests(facts, {}, NOW)
    with pytest.raises(ValidationError, match="method: sequential knows no multivariate"):
        drift(method="sequential")
