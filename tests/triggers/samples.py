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
