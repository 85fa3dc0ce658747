"""A look by `method: sequential` at one new bucket of 1,000 rows, against a reference of 5,000 that is kept as counts.

Processor time of one process. Beside it what `scipy.stats.ks_2samp` takes for the same rows, column by column, and what
the look takes where the reference is a table, as at the first look after a deployment.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from benchmarks.figure import Figure

SIZES = (20, 1000)  # features
REFERENCE_ROWS, NEW_ROWS, REFERENCE_DAYS = 5000, 1000, 56
ROUNDS = 3
START, DAY = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=1)
MOST = 0.8  # times scipy's


def measure() -> list[Figure]:
    command = [sys.executable, "-m", "benchmarks.sequential_look"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=alone).stdout
    figures = []
    for features, found in zip(SIZES, json.loads(output), strict=True):
        told = f"sequential look, {features:,} features, {NEW_ROWS:,} new rows"
        figures += [
            Figure(f"{told}, CPU", found["kept"], "s"),
            Figure("  the same with the reference as a table, CPU", found["table"], "s"),
            Figure("  scipy.stats.ks_2samp column by column, CPU", found["scipy"], "s"),
            Figure(f"{told} / scipy", found["kept"] / found["scipy"], "x", bound=MOST),
        ]
    return figures


def _measured(features: int) -> dict[str, float]:
    import numpy as np

    from triggers.known import Known, counted

    random, names = np.random.default_rng(1), tuple(f"x{number}" for number in range(features))
    reference = _rows(random, names, REFERENCE_ROWS, START - REFERENCE_DAYS * DAY, REFERENCE_DAYS * DAY)
    known = counted(reference, names, (DAY,))
    assert isinstance(known, Known)
    stored = known.to_bytes()
    state: dict[str, Any] = {"version": "1", "until": START.isoformat()}
    found: dict[str, list[float]] = {"kept": [], "table": [], "scipy": []}
    for look in range(ROUNDS + 1):
        new = _rows(random, names, NEW_ROWS, START + look * DAY, DAY)
        found["table"].append(_cpu(partial(_look, lambda: reference, new, state, look)))
        found["kept"].append(_cpu(partial(_look, lambda: Known.from_bytes(stored), new, state, look)))
        found["scipy"].append(_cpu(partial(_scipy, reference, new, names)))
        state = dict(_look(lambda: known, new, state, look).state)
    return {name: statistics.median(each[1:]) for name, each in found.items()}  # without imports and first calls


def _rows(random: Any, names: tuple[str, ...], rows: int, start: datetime, span: timedelta) -> Any:
    import numpy as np
    import pyarrow as pa

    steps = np.arange(rows) * (span // timedelta(microseconds=1) // rows)
    times = pa.array(steps + int(start.timestamp()) * 1_000_000).cast(pa.timestamp("us", "UTC"))
    return pa.table({"timestamp": times, **{name: random.normal(0, 1, rows) for name in names}})


def _look(reference: Callable[[], Any], new: Any, state: dict[str, Any], look: int) -> Any:
    from triggers.drift import DriftTrigger
    from triggers.evidence import Evidence, ModelFacts

    names = tuple(name for name in new.column_names if name != "timestamp")
    evidence = Evidence(
        ModelFacts(START, START, START, "1", START, {}, names), state, {"reference": reference(), "current": new}
    )
    verdict = DriftTrigger(method="sequential", incidents=False).evaluate(evidence, START + (look + 1) * DAY)
    assert not verdict.fired
    return verdict


def _scipy(reference: Any, new: Any, names: tuple[str, ...]) -> None:
    from scipy import stats

    for name in names:
        stats.ks_2samp(reference[name].to_numpy(), new[name].to_numpy())


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    json.dump([_measured(features) for features in SIZES], sys.stdout)
