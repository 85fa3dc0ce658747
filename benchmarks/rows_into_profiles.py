"""Rows from SQLite and from PostgreSQL into buckets and statistics, beside `pandas.read_sql` and scipy's statistics.

Both read the same rows of 20 features and compare them with a reference of 10,000 rows, in turns. The baseline
is handed a query of exactly these rows and leaves their times as text; ours finds them by their time, counts them into
buckets of six hours and takes every statistic. Scipy takes KS, the rank sum, Mood's test and the Wasserstein distance.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure

ROWS, FEATURES, REFERENCE_ROWS, ROUNDS = 100_000, 20, 10_000, 3
START, WINDOW = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=7)
NAMES = tuple(f"x{number}" for number in range(FEATURES))
LEAST = {"SQLite": 2.5, "PostgreSQL": 4.0}


def measure() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory(prefix="retraind-bench-") as folder:
        for name, database in (("SQLite", _sqlite(Path(folder))), ("PostgreSQL", _postgres())):
            with database as url:
                found = _turns(url)
            ratio = found["pandas"] / found["ours"]
            figures += [
                Figure(f"rows from {name} into profiles, every statistic", found["ours"], "s"),
                Figure(f"rows from {name}, pandas.read_sql and scipy", found["pandas"], "s"),
                Figure(f"rows from {name}, speed / pandas and scipy", ratio, "x", at_least=LEAST[name]),
                Figure(f"rows from {name}, reading alone / pandas.read_sql", found["read_sql"] / found["read"], "x"),
            ]
    return figures


def _turns(url: str) -> dict[str, float]:
    """Seconds of each, the medians of a few rounds."""
    import numpy as np
    import pyarrow as pa

    from retraind.config.predictions import Predictions
    from retraind.store import open_store
    from triggers.evidence import RowsRequest, Window
    from triggers.profile import ReferenceProfile

    random = np.random.default_rng(2)
    reference = pa.table({name: random.normal(0, 1, REFERENCE_ROWS) for name in NAMES})
    profile = ReferenceProfile.of(reference, NAMES)
    request = RowsRequest(Window(START, START + WINDOW), ("timestamp", *NAMES))
    found: dict[str, list[float]] = {"ours": [], "pandas": [], "read": [], "read_sql": []}
    with open_store(Predictions(url=url, columns={"features": list(NAMES)})) as store:
        for _ in range(ROUNDS):
            found["ours"].append(_timed(lambda: _ours(store, request, profile)))
            found["pandas"].append(_timed(lambda: _pandas(url, reference)))
            found["read"].append(_timed(lambda: sum(batch.num_rows for batch in store.batches(request))))
            found["read_sql"].append(_timed(lambda: _frame(url)))
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _ours(store: Any, request: Any, profile: Any) -> None:
    import pyarrow as pa

    from triggers.buckets import TimeBuckets
    from triggers.comparison import compare

    buckets = TimeBuckets(profile, WINDOW / 28)
    for batch in store.batches(request):
        buckets.fold(pa.Table.from_batches([batch]), "timestamp")
    compared = list(compare(profile, buckets.over(START, START + WINDOW)))
    assert len(compared) == FEATURES


def _pandas(url: str, reference: Any) -> None:
    from scipy import stats

    frame = _frame(url)
    for name in NAMES:
        pair = reference[name].to_numpy(), frame[name].to_numpy()
        stats.ks_2samp(*pair)
        stats.mannwhitneyu(*pair)
        stats.mood(*pair)
        stats.wasserstein_distance(*pair)


def _frame(url: str) -> Any:
    import pandas as pd
    import sqlalchemy

    asked = sqlalchemy.select(*map(sqlalchemy.column, ("timestamp", *NAMES))).select_from(
        sqlalchemy.table("predictions")
    )
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            frame = pd.read_sql(asked, connection)
    finally:
        engine.dispose()
    assert len(frame) == ROWS
    return frame


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _rows() -> Iterator[tuple[Any, ...]]:
    import numpy as np

    random = np.random.default_rng(1)
    values = random.normal(0.05, 1, (ROWS, FEATURES)).tolist()
    step = WINDOW / ROWS
    return (((START + place * step).isoformat(), 0.5, None, *row) for place, row in enumerate(values))


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    path = folder / "monitoring.db"
    columns = ", ".join(f"{name} REAL" for name in NAMES)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE predictions (timestamp TEXT, prediction REAL, actual REAL, {columns})")
        marks = ", ".join("?" * (FEATURES + 3))
        connection.executemany(f"INSERT INTO predictions VALUES ({marks})", _rows())  # noqa: S608 - question marks
        connection.execute("CREATE INDEX by_time ON predictions (timestamp)")
    yield f"sqlite:///{path}"


@contextmanager
def _postgres() -> Iterator[str]:
    import psycopg

    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from servers import postgres_server

    columns = ", ".join(f"{name} float8" for name in NAMES)
    with postgres_server() as server:
        with psycopg.connect(server.conninfo("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TABLE predictions (timestamp timestamptz, prediction float8, actual float8, {columns})"
            )
            with cursor.copy("COPY predictions FROM STDIN") as copy:
                for row in _rows():
                    copy.write_row(row)
            cursor.execute("CREATE INDEX by_time ON predictions (timestamp)")
        yield server.url("postgres")


if __name__ == "__main__":
    for figure in measure():
        print(figure)
