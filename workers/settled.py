"""Which models are settled: their targets were seen to show what the ledger says, and nothing has changed since.

A convergence that finds nothing to do notes the marks of all that it looked at. Half a minute later the
marks are compared, not the targets: an idle system stays idle.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from retraind.config.deploy import PluginTarget
from retraind.redaction import redact
from workers.durable import write_json
from workers.lifeline import unfenced
from workers.session import Session
from workers.targets import Means, describe, open_target

UNMARKED_SECONDS = 300.0  # between looks at what has no mark
_REGISTRY = "registry"

Marks = Mapping[str, str | None]


def records(session: Session, model: str) -> Path:
    """The directory for what the model's targets must remember on this host."""
    return session.settings.state / "targets" / model


def means(session: Session, model: str, fence: Callable[[], None] = unfenced) -> Means:
    """What the model's targets may use."""
    settings = session.settings
    return Means(model, session.registry, settings.source_path.parent, records(session, model), settings.secrets, fence)


def marks(session: Session, model: str) -> Marks:
    """The mark of each target, by its name, and of the registered model. None: it has none, or does not answer."""
    using = means(session, model)
    found: dict[str, str | None] = {_REGISTRY: session.registry.mark(session.registered_name(model))}
    for settings in session.settings.models[model].deploy:
        label = redact(describe(settings), session.settings)
        # What another package brings is opened in a child alone: it may import anything.
        mark = None if isinstance(settings, PluginTarget) else getattr(open_target(settings, using), "mark", None)
        found[label] = mark() if mark else None
    return found


def remember(session: Session, model: str, deployment: int, seen: Marks) -> None:
    """Notes that the targets showed what `deployment` (its id; 0: there is none) says when they had these marks."""
    write_json(_record(session, model), {"deployment": deployment, "marks": dict(seen)})


def is_settled(session: Session, model: str, deployment: int) -> bool:
    """True while nothing that could be marked has changed since it was remembered, and what could not was looked at
    lately."""
    try:
        known = json.loads(_record(session, model).read_text())
        age = abs(time.time() - _record(session, model).stat().st_mtime)
    except (OSError, ValueError):
        return False
    if not isinstance(known, dict) or known.get("deployment") != deployment:
        return False
    seen = marks(session, model)
    return known.get("marks") == seen and (None not in seen.values() or age < UNMARKED_SECONDS)


def _record(session: Session, model: str) -> Path:
    return records(session, model) / "settled.json"
