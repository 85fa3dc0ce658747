"""Whose turn it is: which triggers of a model are looked at before others, and when each is first."""

from datetime import datetime
from typing import Any

from triggers.base import Trigger


def rank(trigger: Trigger) -> int:
    """Incidents are looked for first, and members are looked at before the triggers that combine them."""
    if trigger.finds_incidents:
        return 0
    return 2 if hasattr(trigger, "of") else 1


def first_due(trigger: Trigger, record: Any, facts: Any, now: datetime) -> datetime | None:
    """When to look first after a start: as planned before it, or sooner if the configuration now says so, or the clock
    that it was planned by was set back since."""
    if record.last_look_at is None:
        return now
    planned = record.next_look_at
    fresh = trigger.next_look(facts, record.state or {}, min(record.last_look_at, now))
    return min((instant for instant in (planned, fresh) if instant is not None), default=None)
