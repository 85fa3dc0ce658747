"""The drift trigger's error rates, in short: `python -m benchmarks.soundness_drift` measures them in full."""

import pytest

from benchmarks.soundness_drift import KINDS, WINDOW, Stream, alarms, delays


@pytest.mark.parametrize("kind", KINDS)
def test_streams_without_drift_are_quiet(kind: str) -> None:
    assert list(alarms(Stream(1, kind, days=WINDOW + 5))) == []


def test_a_shift_of_a_quarter_sigma_is_found_at_the_first_look_after_its_first_full_day() -> None:
    assert delays(Stream(2, shift=0.25, shift_day=WINDOW + 1, days=WINDOW + 3), 2) == [1, 1]


def test_a_shift_of_a_tenth_of_sigma_is_found_within_a_week() -> None:
    found = delays(Stream(3, shift=0.1, shift_day=WINDOW + 1, days=WINDOW + 8), 2)
    assert all(look is not None and look <= 7 for look in found)


@pytest.mark.parametrize("where", ["reference", "window"])
def test_one_wild_value_hides_no_shift(where: str) -> None:
    assert delays(Stream(4, shift=1.0, shift_day=WINDOW, days=WINDOW + 1, wild=where), 1) == [1]


def test_days_that_differ_are_drift_only_without_natural_variation() -> None:
    uneven = Stream(5, days=WINDOW + 3, day_effect=0.2, season=0.3, reference_days=56)
    assert list(alarms(uneven)) == []
    assert len(list(alarms(uneven, natural=False))) == 4
