"""Follows the audit log as any user's tool would: a JSONL file that grows by whole lines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from retraind.clock import parse_rfc3339


@dataclass(frozen=True)
class Event:
    """A line of the audit log; `model` and `job` are None where it is about neither."""

    time: datetime
    event: str
    model: str | None
    job: str | None
    actor: str
    data: dict[str, Any]

    @classmethod
    def parse(cls, line: bytes) -> "Event":
        record = json.loads(line)
        time = parse_rfc3339(record["time"])
        return cls(time, record["event"], record["model"], record["job"], record["actor"], record["data"])


@dataclass
class AuditReader:
    """Reads what was appended to the file at `path` since the last time."""

    path: Path
    events: list[Event] = field(default_factory=list)  # all that were read so far
    _offset: int = 0

    def new(self) -> list[Event]:
        """The events of all whole lines that were not read yet; a line still being written waits for its end."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._offset += len(whole)
        fresh = [Event.parse(line) for line in whole.splitlines()]
        self.events += fresh
        return fresh


def open_jobs(events: Sequence[Event]) -> set[str]:
    """The jobs that were requested and have not ended."""
    requested = {event.job for event in events if event.event == "job.requested" and event.job}
    return requested - {event.job for event in events if event.event == "job.closed"}


def deployed_versions(events: Sequence[Event]) -> list[str]:
    """The versions that became champion, in that order."""
    return [str(event.data["version"]) for event in events if event.event == "model.deployed"]
