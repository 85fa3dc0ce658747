"""The drift trigger's error rates, in short: `make soundness` measures them in full."""

import pytest

from benchmarks.soundness.drift import alarms, delay, quiet
from benchmarks.soundness.screen import suspects
from benchmarks.soundness.streams import KINDS, WINDOW, Stream
from triggers.drift import DriftTrigger

_UNEVEN = Stream(5, days=WINDOW + 3, day_effect=0.2, season=0.3, reference_days=56)


@pytest.mark.parametrize("kind", KINDS)
def test_streams_without_drift_are_quiet(kind: str) -> None:
    assert alarms(Stream(1, kind, days=WINDOW + 1)) == []


def test_streams_of_ninety_looks_without_drift_stay_within_the_budget_of_one_false_alarm() -> None:
    heard = [quiet(Stream(1000), {}, seed) for seed in range(3)]
    assert sum(each.alarms for each in heard) <= len(heard)
    assert [each.missed for each in heard] == [0, 0, 0]


def test_a_shift_of_a_quarter_sigma_is_found_at_the_first_look_after_its_first_full_day() -> None:
    stream = Stream(2, shift=0.25, shift_day=WINDOW + 1, days=WINDOW + 3)
    assert [delay(stream, {}, seed) for seed in range(2)] == [1, 1]


def test_a_shift_of_a_tenth_of_sigma_is_found_within_a_week() -> None:
    stream = Stream(3, shift=0.1, shift_day=WINDOW + 1, days=WINDOW + 8)
    found = [delay(stream, {}, seed) for seed in range(2)]
    assert all(look is not None and look <= 7 for look in found)


@pytest.mark.parametrize("where", ["reference", "window"])
def test_one_wild_value_hides_no_shift(where: str) -> None:
    assert delay(Stream(4, shift=1.0, shift_day=WINDOW, days=WINDOW + 1, wild=where), {}, 0) == 1


def test_days_that_differ_are_drift_only_without_natural_variation() -> None:
    assert alarms(_UNEVEN) == []
    assert len(alarms(_UNEVEN, natural=False)) == 4


@pytest.mark.parametrize(
    ("stream", "settings"),
    [
        (Stream(5, shift=0.075, moved=3, days=WINDOW + 4, shift_day=WINDOW), {}),
        (Stream(6, "ties", shift=0.075, moved=3, days=WINDOW + 4, shift_day=WINDOW), {}),
        (Stream(7, "missing", shift=0.12, moved=3, days=WINDOW + 4, shift_day=WINDOW), {}),
        (Stream(8, "categories", shift=0.3, moved=3, days=WINDOW + 4, shift_day=WINDOW), {}),
        (Stream(9, day_effect=0.2, reference_days=56, shift=0.6, moved=9, days=WINDOW + 3, shift_day=WINDOW), {}),
        (
            Stream(9, day_effect=0.2, season=0.3, reference_days=56, shift=0.6, moved=9, days=10, shift_day=WINDOW),
            {"season": "week"},
        ),
    ],
)
def test_no_look_fires_that_the_benchmarks_screen_passes_over(stream: Stream, settings: dict[str, str]) -> None:
    fired = alarms(stream, **settings)
    assert fired
    assert set(fired) <= set(suspects(stream.drawn(), DriftTrigger(prediction=False, **settings)))
