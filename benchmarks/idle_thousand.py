"""What the daemon costs that watches 1,000 models with five triggers each, when nothing is new.

The time in which every trigger is looked at for the first time is no part of it.
"""

import time
from typing import Any

from benchmarks.figure import Figure
from benchmarks.processes import cost
from benchmarks.project import Project, model, project
from retraind.config.loading import load
from retraind.embedded_broker import EmbeddedBroker

MODELS = 1000
TRIGGERS: dict[str, Any] = {
    "weekly": {"type": "cron", "schedule": "0 2 * * 0"},
    "monthly": {"type": "cron", "schedule": "0 3 1 * *"},
    "volume": {"type": "volume", "rows": 1_000_000},
    "decay": {"type": "performance", "metric": "accuracy", "below": 0.1, "window": "30d", "min_labels": 100},
    "drift": {"type": "drift", "window": "7d", "false_alarms": "1 per 90d"},
}
FIRST_LOOKS_SECONDS = 1200.0
SETTLE_SECONDS = 150.0  # every trigger was looked at three times by then: the third look is made together with others
MEASURED_SECONDS = 180.0
MOST_SHARE = 1.0
MOST_MIB = 250.0


def measure() -> list[Figure]:
    with project({"models": {f"model-{number}": model(TRIGGERS) for number in range(MODELS)}}) as running:
        broker = EmbeddedBroker(load(running.file, {}))
        broker.start()
        try:
            daemon = running.start("-m", "daemon.cli", "run")
            start = time.monotonic()
            running.wait("first look at every trigger", lambda: _looked_at(running), FIRST_LOOKS_SECONDS, every=2.0)
            first = time.monotonic() - start
            time.sleep(SETTLE_SECONDS)
            found = cost([daemon.pid], MEASURED_SECONDS)
        finally:
            running.stop()
            broker.stop()
    return [
        Figure("1,000 idle models x 5 triggers, share of a core", found.cpu / 60 * 100, "%", bound=MOST_SHARE),
        Figure("1,000 idle models x 5 triggers, daemon's memory (PSS)", found.memory, "MiB", bound=MOST_MIB),
        Figure("1,000 models x 5 triggers, until each was looked at once", first, "s"),
    ]


def _looked_at(running: Project) -> bool:
    counted = running.rows("SELECT count(*) FROM triggers WHERE last_look_at IS NOT NULL")
    return bool(counted) and counted[0][0] == MODELS * len(TRIGGERS)
