"""A year of flights through `retraind backtest`: the time of a replay, and what retraining by triggers gains.

    python -m benchmarks.backtest_flights DIR

makes the store and the configuration in DIR, replays them with `--train`, and leaves `backtest.html` and
`backtest.json` there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figure import Figure
from daemon.demo.flights import CATEGORIES, data_file, load
from daemon.demo.predictions import PredictionsTable

SINCE = "2013-01-29T05:00Z"  # midnight in New York; 48 weeks to the year's end
FIRST = "first"
DRIFT = "      drift: {type: drift, window: 7d, action: notify}\n"
MOST_SECONDS, LEAST_GAIN, MOST_RETRAININGS = 60.0, 0.8, 24


def measure() -> list[Figure]:
    """The replay without training, with a daily look at the drift of all columns, in seconds of processor time."""
    with TemporaryDirectory() as directory:
        make(Path(directory))
        file = Path(directory) / "retraind.yaml"
        file.write_text(file.read_text().replace("    policy:\n", f"{DRIFT}\n    policy:\n"))
        before = os.times()
        replay(Path(directory))
        after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return [Figure("backtest, a year of 336,000 flights, without training", spent, "s", bound=MOST_SECONDS)]


def measure_training() -> list[Figure]:
    """What the configured triggers gain, beside weekly retraining and the fixed period."""
    with TemporaryDirectory() as directory:
        make(Path(directory))
        return list(figures(replay(Path(directory), "--train")))


def make(directory: Path) -> None:
    """The store, with what a model of January said of the whole year, and the configuration."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    shutil.copyfile(data_file("backtest.yaml"), directory / "retraind.yaml")
    flights = load()
    features = flights.features.copy()
    for name in CATEGORIES:
        features[name] = features[name].astype("category").cat.codes
    known = ~np.isnan(flights.late)
    january = known & (flights.departure < np.datetime64("2013-01-29T05:00"))
    model = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.06, max_leaf_nodes=12, min_samples_leaf=200)
    scores = model.fit(features[january], flights.late[january]).predict_proba(features)[:, 1]
    seconds = flights.departure.astype("int64") / 1e6
    table = PredictionsTable(directory / "flights.db")
    table.insert(1, seconds, flights.departure, flights.features, scores, FIRST, None)
    table.fill_in(np.flatnonzero(known) + 1, flights.late[known])
    table.close()


def replay(directory: Path, *options: str) -> dict[str, Any]:
    """The report of `retraind backtest`."""
    call = [sys.executable, "-m", "daemon.cli", "backtest", "delays", "--since", SINCE, "--json", *options]
    call += ["--config", str(directory / "retraind.yaml"), "--html", str(directory / "backtest.html")]
    done = subprocess.run(call, stdout=subprocess.PIPE, check=True)
    (directory / "backtest.json").write_bytes(done.stdout)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def figures(report: dict[str, Any]) -> list[Figure]:
    """Of a replay with training."""
    policies = {each["name"]: each for each in report["policies"]}
    mine, fixed = policies["configured"], policies["fixed"]
    told = [Figure(f"flights, log loss, {name}", each["value"], "nats") for name, each in policies.items()]
    return [
        *told,
        Figure("flights, retrainings", mine["retrainings"], "", bound=MOST_RETRAININGS),
        Figure("flights, gain / weekly's gain", mine["gain"], "x", at_least=LEAST_GAIN),
        Figure("flights, gain over the fixed period", fixed["value"] - mine["value"], "nats", at_least=0.0),
    ]


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    make(directory)
    for figure in figures(replay(directory, "--train")):
        print(figure, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
