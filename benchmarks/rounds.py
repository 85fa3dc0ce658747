"""A project with embedded broker, daemon and a worker of empty stages, and the bare baseline on the same broker."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.project import Project, project
from retraind.broker import broker_url
from retraind.config.loading import load
from retraind.embedded_broker import EmbeddedBroker

WARM_UP = 3


@dataclass(frozen=True)
class Rig:
    """What runs. `notes` is what the stages write, `bare_notes` what the bare tasks write: a line at each beginning."""

    project: Project
    broker: str
    notes: Path
    bare_notes: Path

    def begun(self, *, bare: bool = False) -> list[list[str]]:
        """[time in ns, name, ...] of every beginning so far."""
        path = self.bare_notes if bare else self.notes
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def next_begun(self, seen: int, count: int = 1, *, bare: bool = False) -> list[list[str]]:
        """The `count` beginnings after the first `seen`, once they are there."""

        def arrived() -> list[list[str]]:
            found = self.begun(bare=bare)[seen : seen + count]
            return found if len(found) == count else []

        found: list[list[str]] = self.project.wait("beginning", arrived, every=0.002)
        return found

    def settled(self) -> None:
        """Waits until no job is open, and a moment more: what follows a job is no part of the next."""
        self.project.wait("end of the job", lambda: not self.project.rows(OPEN), every=0.05)
        time.sleep(0.2)


OPEN = "SELECT id FROM jobs WHERE closed_at IS NULL"


@contextmanager
def rig(configuration: Mapping[str, Any]) -> Iterator[Rig]:
    """Everything started, and ready."""
    with project(configuration) as made:
        settings = load(made.file, {})
        broker = EmbeddedBroker(settings)
        broker.start()
        made_rig = Rig(made, broker_url(settings), made.folder / "begun", made.folder / "bare-begun")
        try:
            made.start("-m", "benchmarks.empty_stages", str(made_rig.notes))
            made.start("-m", "daemon.cli", "run")
            made.start("-m", "benchmarks.bare", made_rig.broker, str(made_rig.bare_notes))
            alive = "SELECT kind FROM processes WHERE kind IN ('worker', 'daemon')"
            made.wait("daemon and worker", lambda: len(made.rows(alive)) == 2)
            yield made_rig
        finally:
            made.stop()
            broker.stop()
