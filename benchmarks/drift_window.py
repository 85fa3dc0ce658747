"""A drift look at 1,000,000 rows of 50 features against a reference of 10,000, all statistics, beside scipy's KS alone.

Measured in a process of its own, so that its memory is the look's. The baseline recomputes
`scipy.stats.ks_2samp` from the raw rows, in turns with ours: on some columns, and multiplied.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.figure import Figure

FEATURES = 50
ROWS = 1_000_000
REFERENCE_ROWS = 10_000
NEW_ROWS = 10_000
ROUNDS = 3
BASELINE_FEATURES = 5
THREADS = 2
START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW, BUCKET = timedelta(days=7), timedelta(days=1)
MOST_FULL, MOST_STEADY, MOST_MEMORY = 0.3, 0.02, 1.2


def measure() -> list[Figure]:
    command = [sys.executable, "-m", "benchmarks.drift_window"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [
        Figure("drift, full window, every statistic", found["full"], "s"),
        Figure("drift, steady look, 1 % new rows", found["steady"], "s"),
        Figure("drift, buckets stored and loaded again", found["restart"], "s"),
        Figure("drift, scipy.stats.ks_2samp column by column", found["scipy"], "s"),
        Figure("drift, full window / scipy", found["full"] / found["scipy"], "x", bound=MOST_FULL),
        Figure("drift, steady look / scipy", found["steady"] / found["scipy"], "x", bound=MOST_STEADY),
        Figure("drift, peak memory with the input / input", found["memory"], "x", bound=MOST_MEMORY),
    ]


def _measured() -> dict[str, float]:
    import numpy as np
    import pyarrow as pa

    from triggers.buckets import TimeBuckets
    from triggers.profile import ReferenceProfile

    random = np.random.default_rng(1)
    names = [f"x{number}" for number in range(FEATURES)]
    reference = pa.table({name: random.normal(0, 1, REFERENCE_ROWS) for name in names})
    profile = ReferenceProfile.of(reference, names)
    _look(profile, TimeBuckets(profile, BUCKET), _rows(random, names, 1000, START))  # imports and first calls
    before = _peak()
    window = _rows(random, names, ROWS, START)
    full, steady, scipys = [_look(profile, TimeBuckets(profile, BUCKET), window)], [], []
    memory = (_peak() - before) / window.nbytes
    buckets = TimeBuckets(profile, BUCKET)
    _look(profile, buckets, window)
    for number in range(ROUNDS):
        scipys.append(_scipy(reference, window, names))
        full.append(_look(profile, TimeBuckets(profile, BUCKET), window))
        for ten_minutes in range(3 * number, 3 * number + 3):
            start = START + WINDOW - timedelta(minutes=10 * (ten_minutes + 1))
            steady.append(_look(profile, buckets, _rows(random, names, NEW_ROWS, start)))
    return {
        "full": statistics.median(full),
        "steady": statistics.median(steady),
        "restart": _timed(lambda: _restarted(profile, buckets)),
        "scipy": statistics.median(scipys),
        "memory": memory,
    }


def _rows(random: Any, names: list[str], count: int, start: datetime) -> Any:
    """So many rows, at even steps: of the whole window where they are many, of ten minutes where few."""
    import numpy as np
    import pyarrow as pa

    span = WINDOW if count == ROWS else timedelta(minutes=10)
    steps = np.arange(count) * (span // timedelta(microseconds=1) // count)
    times = pa.array(steps + int(start.timestamp()) * 1_000_000).cast(pa.timestamp("us", "UTC"))
    return pa.table({"time": times, **{name: random.normal(0.05, 1, count) for name in names}})


def _look(profile: Any, buckets: Any, rows: Any) -> float:
    """Folds the rows, sums the window and compares all columns. Seconds."""
    from triggers.comparison import compare

    begun = time.perf_counter()
    buckets.fold(rows, "time", threads=THREADS)
    buckets.drop_before(START)
    found = list(compare(profile, buckets.over(START, START + WINDOW)))
    assert len(found) == FEATURES
    return time.perf_counter() - begun


def _restarted(profile: Any, buckets: Any) -> None:
    from triggers.buckets import TimeBuckets

    again = TimeBuckets(profile, BUCKET)
    again.load([buckets.to_bytes(start) for start in buckets.starts])
    assert again.starts == buckets.starts


def _scipy(reference: Any, window: Any, names: list[str]) -> float:
    """Seconds for all columns."""
    from scipy import stats

    pairs = [(reference[name].to_numpy(), window[name].to_numpy()) for name in names[:BASELINE_FEATURES]]
    return _timed(lambda: [stats.ks_2samp(*pair) for pair in pairs]) * len(names) / BASELINE_FEATURES


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _peak() -> int:
    """The most memory this process has held, in bytes."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


if __name__ == "__main__":
    json.dump(_measured(), sys.stdout)
