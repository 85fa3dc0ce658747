"""What an installation costs that has nothing to do: `retraind up` (broker, worker, daemon) with one model.

Measured before the first job, and again when a job has trained, registered and deployed a champion. The bare
baseline is a Valkey server, a Celery worker and a watchdog script.
"""

import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.processes import Cost, cost
from benchmarks.project import Project, model, project
from retraind.broker import broker_url
from retraind.config.loading import load
from retraind.embedded_broker import EmbeddedBroker

SETTLE_SECONDS = 45.0
MEASURED_SECONDS = 60.0
MOST_MIB = 150.0
MOST_CPU = 0.3
TRIGGERS = {
    "weekly": {"type": "cron", "schedule": "0 2 * * 0"},
    "landing": {"type": "file", "path": "data/*.csv"},
    "volume": {"type": "volume", "rows": 1_000_000},
}


def measure() -> list[Figure]:
    bare = _bare()
    with project({"models": {"delays": model(TRIGGERS)}}) as running:
        up = running.start("-m", "daemon.cli", "up")
        running.wait("daemon", lambda: running.rows("SELECT 1 FROM processes WHERE kind = 'daemon'"))
        fresh = _idle([up.pid])
        running.retraind("trigger", "delays")
        running.wait("deployment", lambda: running.rows("SELECT 1 FROM jobs WHERE state = 'deployed'"), every=0.5)
        deployed = _idle([up.pid])
    return [
        *_figures("idle", fresh),
        *_figures("idle after a deployment", deployed),
        Figure("idle, memory, bare", bare.memory, "MiB"),
        Figure("idle, CPU, bare", bare.cpu, "s a minute"),
        Figure("idle after a deployment, memory / bare", deployed.memory / bare.memory, "x"),
        Figure("idle after a deployment, CPU / bare", deployed.cpu / bare.cpu, "x"),
    ]


def _figures(when: str, found: Cost) -> list[Figure]:
    return [
        Figure(f"{when}, memory (PSS of all processes)", found.memory, "MiB", bound=MOST_MIB),
        Figure(f"{when}, CPU", found.cpu, "s a minute", bound=MOST_CPU),
    ]


def _idle(pids: list[int]) -> Cost:
    time.sleep(SETTLE_SECONDS)
    return cost(pids, MEASURED_SECONDS)


def _bare() -> Cost:
    with project({"models": {"delays": model(TRIGGERS)}}) as running:
        settings = load(running.file, {})
        broker = EmbeddedBroker(settings)
        broker.start()
        try:
            arguments = ("-m", "benchmarks.bare", broker_url(settings), str(running.folder / "notes"))
            worker = running.start(*arguments)
            watcher = running.start(*arguments, str(running.data))
            return _idle([worker.pid, watcher.pid, _server(running)])
        finally:
            running.stop()
            broker.stop()


def _server(running: Project) -> int:
    """The pid of the Valkey server itself, without the guard that a bare installation has none of."""
    import psutil

    own = psutil.Process().children(recursive=True)
    wanted = str(Path("broker", "broker.sock"))
    servers = [child for child in own if "valkey" in child.name() and any(wanted in part for part in child.cmdline())]
    assert len(servers) == 1, f"{len(servers)} servers in {running.folder}"
    return servers[0].pid
