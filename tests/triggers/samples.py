"""Facts, evidence and tables that the tests of triggers start from."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from triggers.evidence import Evidence, ModelFacts

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)

_FACTS = ModelFacts(
    known_since=NOW - timedelta(days=400),
    trained_at=NOW - timedelta(days=60),
    trained_until=NOW - timedelta(days=61),
    version="3",
    deployed_at=NOW - timedelta(days=60),
    gate_metrics={},
    features=("distance", "carrier"),
)


def facts(**changes: Any) -> ModelFacts:
    return replace(_FACTS, **changes)


def evidence(
    answers: Mapping[str, Any] | None = None, state: Mapping[str, Any] | None = None, **changes: Any
) -> Evidence:
    return Evidence(facts(**changes), state or {}, answers or {})


def features_table(rows: int, seed: int, shift: float = 0.0, carriers: str = "ABCD") -> pa.Table:
    """Two features: `distance`, normal around `shift`, and `carrier`, one of `carriers`."""
    random = np.random.default_rng(seed)
    return pa.table(
        {"distance": random.normal(shift, 1, rows), "carrier": random.choice(list(carriers), rows).tolist()}
    )


def predictions_table(rows: int, seed: int, share: float = 0.3) -> pa.Table:
    """Binary predictions, `share` of them positive."""
    return pa.table({"prediction": (np.random.default_rng(seed).random(rows) < share).astype(int)})


def scored_table(rows: int, seed: int, shift: float = 0.0, labelled: bool = True, sense: float = 1.2) -> pa.Table:
    """A week of a calibrated classifier's rows: score, whether it is above a half, and how the row turned out.

    `shift` moves what the score is made of. `sense` other than 1.2 says that the actuals follow it otherwise than the
    score says. Without `labelled` no actual is known.
    """
    random = np.random.default_rng(seed)
    cause = random.normal(shift, 1, rows)
    score, chance = (1 / (1 + np.exp(0.8 - slope * cause)) for slope in (1.2, sense))
    actual = (random.random(rows) < chance).astype(int).tolist()
    return pa.table(
        {
            "timestamp": pa.array(_instants(rows), pa.timestamp("us", "UTC")),
            "score": score,
            "prediction": (score > 0.5).astype(int),
            "actual": pa.array(actual if labelled else [None] * rows, pa.int64()),
        }
    )


def regressed_table(rows: int, seed: int, shift: float = 0.0, labelled: bool = True, noise: float = 1.0) -> pa.Table:
    """A week of a regressor's rows: two features, a prediction, and an actual that strays from it the more the larger
    the distance is."""
    random = np.random.default_rng(seed)
    distance, carrier = random.normal(shift, 1, rows), random.choice(list("ABCD"), rows)
    prediction = 20 + distance
    actual = prediction + noise * (1 + np.abs(distance)) * random.normal(0, 1, rows)
    return pa.table(
        {
            "timestamp": pa.array(_instants(rows), pa.timestamp("us", "UTC")),
            "distance": distance,
            "carrier": carrier.tolist(),
            "prediction": prediction,
            "actual": pa.array(actual.tolist() if labelled else [None] * rows, pa.float64()),
        }
    )


def _instants(rows: int) -> list[datetime]:
    return [NOW - timedelta(days=7) + timedelta(days=7) * index / max(rows, 1) for index in range(rows)]
