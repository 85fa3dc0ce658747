"""Are the files that triggers name there, and when is each trigger due? No trigger is evaluated."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon.checks.finding import Finding, ok, problem, warning
from daemon.checks.tables import check_table
from retraind.config.settings import Model
from retraind.telling import instant
from triggers.base import Trigger
from triggers.cron import CronTrigger
from triggers.evidence import FilesRequest, ModelFacts, TableFileRequest
from triggers.quantities import format_duration


def check(what: str, name: str, model: Model) -> Iterator[Finding]:
    """What each trigger would ask for at its first look, as far as it can be tried without the predictions store."""
    if not model.triggers:
        yield warning(what, f"{name} has none", f"it is retrained only when `retraind trigger {name}` asks for it")
    now = datetime.now(UTC)
    facts = ModelFacts(now, None, None, None, None, {}, model.predictions.columns.feature_names)
    for trigger_name, trigger in model.triggers.items():
        place = f"{what}.{trigger_name}"
        found = [finding for request in _requests(trigger, facts, now) for finding in _try(place, request)]
        yield from found or [_due(place, trigger, now)]


def _requests(trigger: Trigger, facts: ModelFacts, now: datetime) -> list[Any]:
    return list(trigger.requests(facts, {}, now).values())


def _try(place: str, request: Any) -> Iterator[Finding]:
    if isinstance(request, TableFileRequest):
        yield from check_table(place, request.path, request.columns)
    elif isinstance(request, FilesRequest):
        yield _files(place, request.pattern)


def _files(place: str, pattern: str) -> Finding:
    root = Path(pattern)
    while any(mark in str(root) for mark in "*?["):
        root = root.parent
    there = root.parent if root == Path(pattern) else root
    if not there.exists():
        return warning(
            place, f"there is no directory {there} yet", "make it, or see that whoever writes the files does"
        )
    if not there.is_dir():
        return problem(place, f"{there} is a file, not a directory", "correct the path")
    return ok(place, f"{pattern} is watched")


def _due(place: str, trigger: Trigger, now: datetime) -> Finding:
    if isinstance(trigger, CronTrigger):
        upcoming = next(trigger.instants(now), None)
        return ok(place, f"cron, next at {instant(upcoming)}" if upcoming else "cron, with no instants left")
    return ok(place, f"{trigger.type}, looked at every {format_duration(trigger.cadence())}")
