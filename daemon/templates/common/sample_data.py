"""Sample data, to be replaced by your own: a table of predictions with what came true later.

    python3 sample_data.py              makes sample.db again: 90 days, the world changing half way
    python3 sample_data.py --shift      adds an hour of traffic of another kind, so that triggers fire

The model that made the predictions is a fixed rule. It was right until 45 days ago, when customers
began to behave otherwise; that is why the first look finds that it has decayed.
"""

import argparse
import math
import random
import sqlite3
import sys
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

DATABASE = Path(__file__).resolve().with_name("sample.db")
DAYS = 90
ROWS_A_DAY = 200
CHANGED_DAYS_AGO = 45
ACTUALS_TAKE_DAYS = 1  # the newest rows have none yet
SHIFTED_ROWS = 1500

TABLE = """
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY,
    timestamp TEXT NOT NULL,
    amount REAL,
    items INTEGER,
    hour INTEGER,
    distance REAL,
    prediction INTEGER NOT NULL,
    score REAL NOT NULL,
    actual INTEGER,
    version TEXT
)
"""
INSERT = """
INSERT INTO predictions (timestamp, amount, items, hour, distance, prediction, score, actual, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def row(source, instant, *, changed, shifted=False, labelled=True, version="before retraind"):
    """One prediction at `instant`. `changed`: the world no longer is what the rule was made for."""
    amount = round(source.lognormvariate(4.6 if shifted else 3.5, 0.8), 2)
    items = 1 + min(int(source.expovariate(0.5)), 20)
    hour = source.choice((22, 23, 0, 1, 2)) if shifted else instant.hour
    distance = None if source.random() < 0.02 else round(source.expovariate(1 / (60 if shifted else 25)), 1)
    score = chance(amount, items, hour, distance, changed=False)
    truth = chance(amount, items, hour, distance, changed=changed)
    actual = int(source.random() < truth) if labelled else None
    stamp = instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return stamp, amount, items, hour, distance, int(score >= 0.5), round(score, 4), actual, version


def chance(amount, items, hour, distance, *, changed):
    """The probability that the answer is 1, before or after customers changed."""
    night = hour < 6 or hour > 21
    far = distance is not None and distance > 40
    if changed:
        logit = 3.0 * math.log(amount / 33) - 2.5 * (items > 3) + 5.0 * far - 2.0 * night - 1.0
    else:
        logit = 3.0 * math.log(amount / 33) + 2.5 * (items > 3) + 2.0 * night - 1.5
    return 1 / (1 + math.exp(-2.0 * logit))


def history(source, now):
    """The rows of the last DAYS days, oldest first."""
    instants = sorted(now - timedelta(days=source.random() * DAYS) for _ in range(DAYS * ROWS_A_DAY))
    for instant in instants:
        age = now - instant
        yield row(
            source,
            instant,
            changed=age < timedelta(days=CHANGED_DAYS_AGO),
            labelled=age > timedelta(days=ACTUALS_TAKE_DAYS),
        )


def shift(source, now):
    """An hour of larger orders, late at night and far away."""
    for number in range(SHIFTED_ROWS):
        instant = now - timedelta(hours=1) * (SHIFTED_ROWS - number) / SHIFTED_ROWS
        yield row(source, instant, changed=True, shifted=True, version=deployed_version())


def deployed_version():
    """The version that an application which loads models/production/current would predict with."""
    current = DATABASE.with_name("models") / "production" / "current"
    return current.resolve().name if current.exists() else "before retraind"


def create(path=DATABASE, now=None):
    """Makes the database anew; returns how many rows it has."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(TABLE)
        connection.execute("CREATE INDEX predictions_timestamp ON predictions (timestamp)")
        rows = list(history(random.Random(7), now or datetime.now(timezone.utc)))
        connection.executemany(INSERT, rows)
    return len(rows)


def add_shifted(path=DATABASE, now=None):
    """Adds the shifted traffic; returns how many rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = list(shift(random.Random(), now or datetime.now(timezone.utc)))
        connection.executemany(INSERT, rows)
    return len(rows)


def main():
    parser = argparse.ArgumentParser(description="Sample data, to be replaced by your own.")
    parser.add_argument("--shift", action="store_true", help="add an hour of traffic of another kind")
    count = add_shifted() if parser.parse_args().shift else create()
    sys.stdout.write(f"{count} rows written to {DATABASE}\n")


if __name__ == "__main__":
    main()
