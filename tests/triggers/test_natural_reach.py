"""A reference whose blocks follow each other closely must not hide what no block of it ever came near."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from triggers.drift import DriftTrigger
from triggers.evidence import Evidence, ModelFacts
from triggers.verdict import Verdict

DAYS, ROWS, WINDOW = 91, 200, timedelta(days=7)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
FACTS = ModelFacts(NOW - timedelta(days=200), None, None, None, None, {}, ("x", "z"))


def wandering(start: datetime, days: int, level: float, slope: float) -> pa.Table:
    """Two columns that rise by `slope` a day, as weather does through a spring."""
    random, number = np.random.default_rng(5), days * ROWS
    day = np.arange(number) / ROWS
    times = [start + timedelta(days=each) for each in day]
    values = {name: level + slope * day + random.normal(size=number) for name in ("x", "z")}
    return pa.table({"timestamp": pa.array(times, pa.timestamp("us", "UTC")), **values})


def verdict(level: float) -> Verdict:
    trigger = DriftTrigger.model_validate({"type": "drift", "window": "7d", "prediction": False, "incidents": False})
    reference = wandering(NOW - timedelta(days=DAYS) - WINDOW, DAYS, 0.0, 0.03)
    current = wandering(NOW - WINDOW, 7, level, 0.0)
    return trigger.evaluate(Evidence(FACTS, {}, {"reference": reference, "current": current}), NOW)


def test_what_lies_beyond_every_block_is_drift() -> None:
    found = verdict(20.0)
    assert found.fired, found.sentence


@pytest.mark.parametrize("level", [0.0, 1.4, 2.5])
def test_what_a_block_of_the_reference_came_to_is_none(level: float) -> None:
    found = verdict(level)
    assert not found.fired, found.sentence
