"""The serving application's own table: what it predicts goes in at once, what came true is filled in later.

retraind only ever reads it. Time stands in it as epoch seconds: with text, SQLite would search a day
around each window, for whatever zone it is written in, and here a year passes in less. Beside what
the configuration maps, each row has the flight's departure in 2013, for people, and the score that
the first model ever deployed would have given, which is what the demo's summary compares with.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.demo.flights import CATEGORIES, FEATURES, SCHEDULE, WEATHER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TABLE = "predictions"
_TYPES = dict.fromkeys(CATEGORIES, "TEXT") | dict.fromkeys(SCHEDULE, "INTEGER") | dict.fromkeys(WEATHER, "REAL")
_SCHEMA = f"""
CREATE TABLE {TABLE} (
    id INTEGER PRIMARY KEY,
    timestamp REAL NOT NULL,
    departure TEXT NOT NULL,
    {", ".join(f"{name} {kind}" for name, kind in _TYPES.items())},
    prediction INTEGER NOT NULL,
    score REAL NOT NULL,
    version TEXT NOT NULL,
    first_score REAL,
    actual INTEGER
);
CREATE INDEX {TABLE}_by_timestamp ON {TABLE} (timestamp);
"""
_COLUMNS = ("id", "timestamp", "departure", *FEATURES, "prediction", "score", "version", "first_score")
_INSERT = f"INSERT INTO {TABLE} ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  # constants
_LABEL = f"UPDATE {TABLE} SET actual = ? WHERE id = ?"  # noqa: S608  # constants


class PredictionsTable:
    """Opened by the one process that writes. Readers do not hold it up, nor it them."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone():
            self._connection.executescript(_SCHEMA)

    def insert(
        self,
        first_id: int,
        timestamps: "NDArray[np.float64]",
        departures: "NDArray[np.datetime64]",
        features: "pd.DataFrame",
        scores: "NDArray[np.float64]",
        version: str,
        first_scores: "NDArray[np.float64] | None",
    ) -> None:
        """One row per flight, with ids from `first_id` on.

        `timestamps` are real instants, in epoch seconds; `departures` are those of 2013, in UTC;
        `scores` are the chances of being late.
        """
        import numpy as np

        count = len(features)
        columns: list[Sequence[object]] = [
            range(first_id, first_id + count),
            timestamps.tolist(),
            np.datetime_as_string(departures, unit="m", timezone="UTC").tolist(),
            *(features[name].tolist() for name in FEATURES),
            (scores > 0.5).astype(int).tolist(),
            scores.tolist(),
            [version] * count,
            [None] * count if first_scores is None else first_scores.tolist(),
        ]
        self._write(_INSERT, zip(*columns, strict=True))  # SQLite keeps NaN as NULL

    def fill_in(self, ids: "NDArray[np.int64]", late: "NDArray[np.float64]") -> None:
        """Writes down what came true for these rows."""
        self._write(_LABEL, zip(late.astype(int).tolist(), ids.tolist(), strict=True))

    def _write(self, statement: str, rows: "zip[tuple[object, ...]]") -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(statement, rows)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
