"""The demo's serving application: what it writes, when, and by which model."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from daemon.demo.flights import CATEGORIES, FEATURES, Flights, load
from daemon.demo.pace import PLAY_BEGINS, Pace
from daemon.demo.predictions import PredictionsTable
from daemon.demo.serving import NO_MODEL, RULE_OF_THUMB, Application, ModelDirectory, ServedModel, load_model
from retraind.clock import rfc3339

BEGAN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PACE = Pace(BEGAN, seconds_per_day=1.0)
DAY = timedelta(seconds=1)  # of 2013, at this pace
HOURS = [-24, -1, 0, 12, 13, 36]  # of departure, since the year begins to pass; each flight takes three hours
NEVER = 4  # this one is cancelled


def _instants(hours: list[int]) -> NDArray[np.datetime64]:
    began = np.datetime64(PLAY_BEGINS.replace(tzinfo=None), "us")
    return began + np.array(hours) * np.timedelta64(3_600_000_000, "us")


@pytest.fixture
def flights() -> Flights:
    departure = _instants(HOURS)
    arrival = departure + np.timedelta64(3, "h")
    arrival[NEVER] = np.datetime64("NaT")
    late = np.array([0.0, 1, 0, 1, np.nan, 0])
    features = pd.DataFrame({name: ["JFK"] * 6 if name in CATEGORIES else [7] * 6 for name in FEATURES})
    features["temp"] = [10.5, np.nan, 12.5, 13.5, 14.5, 15.5]
    return Flights(features, departure, arrival, late)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "predictions.db"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    directory = tmp_path / "models"
    directory.mkdir()
    return directory


Rows = Callable[[], list[sqlite3.Row]]


@pytest.fixture
def rows(store: Path) -> Iterator[Rows]:
    """Reads the table as retraind does: over a connection of its own, read only."""
    readers: list[sqlite3.Connection] = []

    def read() -> list[sqlite3.Row]:
        reader = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        reader.row_factory = sqlite3.Row
        readers.append(reader)
        return reader.execute("SELECT * FROM predictions ORDER BY id").fetchall()

    yield read
    for reader in readers:
        reader.close()


def _constant(directory: Path) -> ServedModel:
    """The model of a directory that is named VERSION=SCORE."""
    version, score = directory.name.split("=")
    return ServedModel(version, lambda features: np.full(len(features), float(score)))


def _deploy(models: Path, name: str) -> None:
    (models / "versions" / name).mkdir(parents=True)
    (models / "next").symlink_to(f"versions/{name}")
    (models / "next").replace(models / "current")


def test_history_is_there_at_once_and_what_is_to_come_is_not(
    flights: Flights, store: Path, models: Path, rows: Rows
) -> None:
    application = Application(flights, PredictionsTable(store), ModelDirectory(models, _constant), PACE)
    application.serve(BEGAN)
    found = rows()
    assert [row["departure"] for row in found] == ["2013-01-31T05:00Z", "2013-02-01T04:00Z"]
    assert found[0]["timestamp"] == (BEGAN - DAY).timestamp()
    assert {(row["version"], row["score"], row["prediction"]) for row in found} == {(NO_MODEL, RULE_OF_THUMB, 0)}


def test_a_row_carries_the_real_instant_of_its_departure(
    flights: Flights, store: Path, models: Path, rows: Rows
) -> None:
    Application(flights, PredictionsTable(store), ModelDirectory(models, _constant), PACE).serve(BEGAN + 2 * DAY)
    instants = [PACE.real(PLAY_BEGINS + timedelta(hours=hours)).timestamp() for hours in HOURS]
    assert [row["timestamp"] for row in rows()] == pytest.approx(instants, abs=1e-6)


def test_an_actual_is_known_when_the_flight_has_arrived_and_not_before(
    flights: Flights, store: Path, models: Path, rows: Rows
) -> None:
    application = Application(flights, PredictionsTable(store), ModelDirectory(models, _constant), PACE)
    application.serve(BEGAN + DAY / 24)
    assert [row["actual"] for row in rows()] == [0, None, None]
    application.serve(BEGAN + 4 * DAY / 24)
    assert [row["actual"] for row in rows()] == [0, 1, 0]


def test_a_cancelled_flight_never_gets_an_actual(flights: Flights, store: Path, models: Path, rows: Rows) -> None:
    application = Application(flights, PredictionsTable(store), ModelDirectory(models, _constant), PACE)
    application.serve(BEGAN + DAY)
    assert not application.is_over
    application.serve(BEGAN + 3 * DAY)
    assert application.is_over
    assert [row["actual"] for row in rows()] == [0, 1, 0, 1, None, 0]


def test_a_swapped_link_changes_the_model_from_the_next_flight_on(
    flights: Flights, store: Path, models: Path, rows: Rows
) -> None:
    directory = ModelDirectory(models, _constant)
    application = Application(flights, PredictionsTable(store), directory, PACE)
    application.serve(BEGAN)
    assert not directory.refresh()
    _deploy(models, "1=0.7")
    assert directory.refresh()
    application.serve(BEGAN + DAY / 24)
    _deploy(models, "2=0.4")
    assert directory.refresh()
    assert not directory.refresh()
    application.serve(BEGAN + 3 * DAY)
    told = [(row["version"], row["score"], row["prediction"], row["first_score"]) for row in rows()]
    assert told[1:] == [(NO_MODEL, RULE_OF_THUMB, 0, None), ("1", 0.7, 1, 0.7), *[("2", 0.4, 0, 0.7)] * 3]


def test_a_missing_observation_is_null(flights: Flights, store: Path, models: Path, rows: Rows) -> None:
    Application(flights, PredictionsTable(store), ModelDirectory(models, _constant), PACE).serve(BEGAN)
    assert [row["temp"] for row in rows()] == [10.5, None]


def test_a_deployed_scikit_learn_model_is_served_under_its_version(flights: Flights, tmp_path: Path) -> None:
    import mlflow.sklearn
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier(strategy="prior").fit(flights.features, [0, 1, 0, 1, 1, 1])
    place = tmp_path / "versions" / "4-job"
    mlflow.sklearn.save_model(model, str(place), serialization_format="skops", pip_requirements=[])
    (place / "VERSION.json").write_text('{"version": "4"}')
    served = load_model(place)
    assert served.version == "4"
    assert served.score(flights.features) == pytest.approx([4 / 6] * 6)


def _start(store: Path, models: Path, seconds_per_day: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "daemon.demo.serving", str(store), str(models), str(seconds_per_day)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_the_process_plays_the_whole_year_and_ends_with_it(store: Path, models: Path, rows: Rows) -> None:
    whole = load()
    with _start(store, models, 0.001) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write(rfc3339(datetime.now(UTC)) + "\n")
        process.stdin.flush()
        assert process.wait(60) == 0
    found = rows()
    assert len(found) == len(whole)
    assert sum(row["actual"] is None for row in found) == np.isnan(whole.late).sum()
    assert [row["actual"] for row in found[:100]] == [None if np.isnan(x) else int(x) for x in whole.late[:100]]


def test_the_process_ends_when_nobody_holds_its_input(store: Path, models: Path) -> None:
    with _start(store, models, 10.0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(rfc3339(datetime.now(UTC)) + "\n")
        process.stdin.flush()
        assert [process.stdout.readline(), process.stdout.readline()] == ["ready\n", "playing\n"]
        process.stdin.close()
        assert process.wait(10) == 0
