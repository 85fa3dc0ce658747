"""The serving application of the demo: predicts each flight as it is due, and notes later whether it was late.

It stands for whatever application the user has. It knows nothing of retraind but the directory that a
deploy target keeps: the link `current` leads to the model to serve, and when the link is swapped the
application takes the new one. A process of its own, started by `daemon.demo.play` as
`python -m daemon.demo.serving STORE MODELS SECONDS_PER_DAY`; it says `ready`, reads from its standard
input the real instant at which the year begins to pass, says `playing`, and ends with the year, or when
its standard input does.
"""

import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.demo.flights import Flights, load
from daemon.demo.pace import PLAY_BEGINS, Pace
from daemon.demo.predictions import PredictionsTable
from retraind.clock import SystemClock, parse_rfc3339

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Score = Callable[[pd.DataFrame], NDArray[np.float64]]

TICK_SECONDS = 0.25
NO_MODEL = "none"
# US airlines were 15 minutes late or more on about every fifth flight of the years before (Bureau of
# Transportation Statistics): what one would say without a model.
RULE_OF_THUMB = 0.2


@dataclass(frozen=True)
class ServedModel:
    """`score` gives each row's chance of being late, in [0, 1]."""

    version: str
    score: "Score"


def rule_of_thumb() -> ServedModel:
    """What is served while there is no model."""
    import numpy as np

    return ServedModel(NO_MODEL, lambda rows: np.full(len(rows), RULE_OF_THUMB))


def load_model(directory: Path) -> ServedModel:
    """The model that a deploy target has put into `directory`."""
    import mlflow.sklearn

    version = str(json.loads((directory / "VERSION.json").read_text())["version"])
    model: Any = mlflow.sklearn.load_model(str(directory))
    late = [str(label) for label in model.classes_].index("1")
    return ServedModel(version, lambda rows: model.predict_proba(rows)[:, late])


class ModelDirectory:
    """Follows the link `current` of a deploy target's directory."""

    def __init__(self, models: Path, loader: Callable[[Path], ServedModel] = load_model) -> None:
        self._link = models / "current"
        self._loader = loader
        self._directory: Path | None = None
        self.served = rule_of_thumb()
        self.first: ServedModel | None = None  # None until there is a model

    def refresh(self) -> bool:
        """Takes the model that is deployed now. True when it is another one."""
        if not self._link.exists():
            return False
        directory = self._link.resolve()
        if directory == self._directory:
            return False
        self.served, self._directory = self._loader(directory), directory
        self.first = self.first or self.served
        return True


class Application:
    """Serves flights in the order of their departure; each call continues where the last one ended."""

    def __init__(self, flights: Flights, table: PredictionsTable, models: ModelDirectory, pace: Pace) -> None:
        import numpy as np

        self._flights = flights
        self._table = table
        self._models = models
        self._pace = pace
        self._predicted = 0
        by_arrival = np.argsort(flights.arrival, kind="stable")  # those without an arrival come last
        self._by_arrival = by_arrival[: int((~np.isnat(flights.arrival)).sum())]
        self._arrivals = flights.arrival[self._by_arrival]
        self._filled_in = 0

    @property
    def is_over(self) -> bool:
        """True when every flight is predicted and every arrival written down."""
        return self._predicted == len(self._flights) and self._filled_in == len(self._by_arrival)

    def serve(self, now: datetime) -> int:
        """Predicts what was due to depart by the real instant `now`, fills in what has arrived; returns both counts."""
        date = _numpy(self._pace.date(now))
        return self._predict(self._flights.departed_by(date)) + self._fill_in(date)

    def _predict(self, stop: int) -> int:
        start = self._predicted
        if start >= stop:
            return 0
        served, first = self._models.served, self._models.first
        rows = self._flights.between(start, stop)
        scores = served.score(rows)
        first_scores = None if first is None else scores if first is served else first.score(rows)
        departures = self._flights.departure[start:stop]
        self._table.insert(
            start + 1, real_seconds(self._pace, departures), departures, rows, scores, served.version, first_scores
        )
        self._predicted = stop
        return stop - start

    def _fill_in(self, date: "np.datetime64") -> int:
        start, stop = self._filled_in, int(self._arrivals.searchsorted(date))
        if start >= stop:
            return 0
        rows = self._by_arrival[start:stop]
        self._table.fill_in(rows + 1, self._flights.late[rows])
        self._filled_in = stop
        return stop - start


def real_seconds(pace: Pace, dates: "NDArray[np.datetime64]") -> "NDArray[np.float64]":
    """`Pace.real` for a column of instants of 2013, in epoch seconds."""
    days = (dates - _numpy(PLAY_BEGINS)).astype("int64") / 86_400_000_000
    return pace.began.timestamp() + days * pace.seconds_per_day


def _numpy(instant: datetime) -> "np.datetime64":
    import numpy as np

    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def main(store: str, models: str, seconds_per_day: str) -> None:
    import mlflow.sklearn  # noqa: F401  # before the year begins: it takes seconds

    stopped, clock = threading.Event(), SystemClock()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    flights, table, directory = load(), PredictionsTable(Path(store)), ModelDirectory(Path(models))
    _say("ready")
    began = sys.stdin.readline().strip()
    if not began:
        return
    threading.Thread(target=_stop_with_input, args=(stopped,), daemon=True).start()
    application = Application(flights, table, directory, Pace(parse_rfc3339(began), float(seconds_per_day)))
    application.serve(clock.now())
    _say("playing")
    while not (application.is_over or stopped.wait(TICK_SECONDS)):
        if directory.refresh():
            _say(f"serving version {directory.served.version}")
        application.serve(clock.now())
    table.close()


def _stop_with_input(stopped: threading.Event) -> None:
    """Whoever started this holds the other end of its input; when it is gone, there is nobody to serve."""
    sys.stdin.read()
    stopped.set()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
