"""`k of n looks`: what counts as confirmed, and that it never raises the number of false alarms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from triggers.budget import level_per_look
from triggers.confidence import exact
from triggers.confirmations import Confirmations
from triggers.cron import CronTrigger
from triggers.file import FileTrigger
from triggers.quantities import Rate, parse_duration
from triggers.volume import VolumeTrigger

LOOKS, WINDOW, ROWS, TRUTH = 90, 7, 500, 0.85


def firings(random: np.random.Generator, level: float) -> list[str]:
    """The answers of 90 daily looks at a sliding week, of a model that stands exactly at its bar."""
    right = random.binomial(ROWS, TRUTH, LOOKS + WINDOW)
    weeks = np.convolve(right, np.ones(WINDOW), "valid")[:LOOKS]
    return ["fired" if exact(hits, ROWS * WINDOW, 1 - 2 * level).high < TRUTH else "quiet" for hits in weeks]


def counted(answers: list[str], asked: Confirmations) -> int:
    """The looks that fired and were confirmed."""
    return sum(
        answer == "fired" and asked.fired(answers[: look + 1]) >= asked.needed for look, answer in enumerate(answers)
    )


@pytest.mark.parametrize("asked", ["1 of 1", "2 of 2", "2 of 3", "3 of 7", "1 of 7"])
def test_false_alarms_stay_within_the_budget_at_any_k_of_n_though_looks_overlap(asked: str) -> None:
    random = np.random.default_rng(4)
    level = level_per_look(Rate.parse("1 per 90d"), parse_duration("1d"))
    streams = [firings(random, level) for _ in range(400)]
    plain = np.mean([answers.count("fired") for answers in streams])
    held = np.mean([counted(answers, Confirmations.parse(asked)) for answers in streams])
    assert held <= plain <= 1


@given(st.lists(st.sampled_from(["fired", "quiet", "insufficient"]), max_size=40), st.integers(1, 6), st.integers(0, 6))
def test_only_looks_that_fired_are_ever_counted(answers: list[str], needed: int, more: int) -> None:
    looks = needed + more
    assert counted(answers, Confirmations(needed, looks)) <= answers.count("fired")
    assert counted(answers, Confirmations(1, looks)) == answers.count("fired")


def test_only_the_last_n_looks_are_asked() -> None:
    assert Confirmations(2, 3).fired(["fired", "fired", "quiet", "quiet", "fired"]) == 1


def test_facts_are_not_confirmed_and_states_are() -> None:
    assert VolumeTrigger(rows=5, confirmations="2 of 3").confirmations == Confirmations(2, 3)
    with pytest.raises(ValidationError, match="an instant comes once; leave them out"):
        CronTrigger(schedule="0 2 * * *", confirmations="2 of 3")
    with pytest.raises(ValidationError, match="a set of files comes once; leave them out"):
        FileTrigger(path="data/*.csv", confirmations="2 of 3")
