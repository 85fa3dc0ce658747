"""What one look costs at 1,000 models with five triggers each, all of them due, when nothing is new in the store.

In a process of its own: the monitor is told that everything is due, and its CPU time is taken until all was looked at.
Beside it what the same takes model by model, as a first look after a start must: on some models, and multiplied.
"""

import json
import logging
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

from benchmarks.figure import Figure
from benchmarks.project import model, project

MODELS, ROUNDS, SOME = 1000, 5, 50
TRIGGERS: dict[str, Any] = {
    "volume": {"type": "volume", "rows": 1_000_000},
    "more": {"type": "volume", "rows": 2_000_000},
    "decay": {"type": "performance", "metric": "accuracy", "below": 0.1, "window": "30d", "min_labels": 100},
    "lately": {"type": "performance", "metric": "accuracy", "below": 0.1, "window": "7d", "min_labels": 100},
    "drift": {"type": "drift", "window": "7d", "false_alarms": "1 per 90d"},
}
MOST_SECONDS = 0.05


def measure() -> list[Figure]:
    command = [sys.executable, "-m", "benchmarks.idle_look"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [
        Figure("one look at 1,000 idle models x 5 triggers, CPU", found["together"], "s", bound=MOST_SECONDS),
        Figure("the same, model by model, CPU", found["apart"], "s"),
    ]


def _measured() -> dict[str, float]:
    import structlog

    from daemon.monitor import Monitor
    from retraind.config.loading import load
    from retraind.ledger import Ledger, looks
    from retraind.queue import Queue

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with project({"models": {f"model-{number}": model(TRIGGERS) for number in range(MODELS)}}) as made:
        with closing(sqlite3.connect(made.folder / "monitoring.db")) as store, store:
            store.execute("DELETE FROM predictions")  # what the first looks cost is no part of it
        settings = load(made.file, {})
        os.chdir(made.folder)
        ledger = Ledger.open(settings.ledger_url)
        monitor = Monitor(settings, ledger, Queue(settings, ledger), lambda _: None, lambda: False)
        monitor._begin()
        watched = list(monitor._watched.values())
        _look(monitor, watched)
        apart = _cpu(lambda: _look(monitor, watched[:SOME])) * MODELS / SOME
        _look(monitor, watched[SOME:])
        together = [_cpu(lambda: _look(monitor, watched)) for _ in range(ROUNDS)]
        with ledger.read() as connection:
            instants = {each.last_look_at for each in looks.records(connection)}
        assert len(instants) == 1, "all were passed over in one transaction"
        monitor._end()
        ledger.close()
    return {"together": statistics.median(together), "apart": apart}


def _look(monitor: Any, models: list[Any]) -> None:
    """Everything of these models is due now, as after a minute in which nothing happened; until it was looked at."""
    now = monitor.ledger.clock.now()
    for watched in models:
        watched.due = dict.fromkeys(TRIGGERS, now)
    monitor._start(models, now)
    while any(watched.looking_since for watched in models):
        time.sleep(0.05)


def _cpu(work: Any) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    json.dump(_measured(), sys.stdout)
