"""Looks as people are told of them, and which of them can be drawn.

Called by `retraind looks`, `show` and `report`. Knows nothing of drawing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from retraind.config.settings import Settings
from retraind.errors import ConfigurationError
from retraind.ledger import Connection, Ledger, looks
from retraind.ledger.looks import Look
from retraind.nearest import did_you_mean

MOST_LOOKS = 60  # over which a figure is followed, and among which one to draw is looked for


@dataclass(frozen=True)
class LookReport:
    """One look that is kept. `job` is the job that it led to."""

    look: int
    model: str
    trigger: str
    at: datetime
    outcome: str
    sentence: str
    decision: str
    job: str | None
    can_be_drawn: bool


@dataclass(frozen=True)
class PictureReport:
    """`retraind report`: one verdict that was drawn, with the columns in the picture; `left_out` counts the others."""

    look: int
    model: str
    trigger: str
    at: datetime
    outcome: str
    sentence: str
    columns: list[str]
    left_out: int
    files: list[str]


def drawable(look: Look) -> bool:
    """Whether `daemon.pictures` has anything to draw of the look."""
    numbers = look.numbers
    measured = {"metric", "low", "high", "bar"} <= numbers.keys() and numbers.get("value") is not None
    return measured or {"evidence", "enough"} <= numbers.keys() or bool((look.picture or {}).get("columns"))


def kept(settings: Settings, ledger: Ledger, model: str, trigger: str | None, limit: int) -> list[LookReport]:
    """The newest looks, newest first. Raises ConfigurationError for a trigger that was never looked at."""
    with ledger.read() as connection:
        found = looks.latest(connection, model, trigger, limit)
    if trigger is not None and not found:
        _refuse_unknown(settings, model, trigger)
    return [
        LookReport(
            each.id, model, each.trigger, each.at, each.outcome, each.sentence, each.decision, each.job, drawable(each)
        )
        for each in found
    ]


def newest_drawn(settings: Settings, ledger: Ledger, model: str, trigger: str | None) -> list[list[Look]]:
    """Of the trigger, or of each that has any, the looks up to the newest one that can be drawn, oldest first.

    Raises ConfigurationError where there is none.
    """
    if trigger is not None:
        names: Sequence[str] = [trigger]
    else:
        names = list(settings.models[model].triggers)
    with ledger.read() as connection:
        found = list(_newest(connection, model, names))
    if found:
        return found
    if trigger is not None:
        _refuse_unknown(settings, model, trigger)
    whose = f"trigger {trigger!r}" if trigger is not None else f"model {model!r}"
    raise ConfigurationError(
        f"no kept look of {whose} has anything to draw: drift and performance triggers have, once they could judge; "
        f"`retraind looks {model}` lists what they answered"
    )


def _newest(connection: Connection, model: str, triggers: Sequence[str]) -> Iterator[list[Look]]:
    for name in triggers:
        found = looks.latest(connection, model, name, MOST_LOOKS)
        while found and not drawable(found[0]):
            del found[0]
        if found:
            yield found[::-1]


def one_drawn(ledger: Ledger, model: str, look: int) -> list[Look]:
    """The looks of its trigger up to the one with this id, oldest first. Raises ConfigurationError where there is
    none, or nothing to draw of it."""
    with ledger.read() as connection:
        found = looks.one(connection, look)
        if found is None or found.model != model:
            raise ConfigurationError(
                f"there is no look {look} of model {model!r}; `retraind looks {model}` lists those that are kept"
            )
        if not drawable(found):
            raise ConfigurationError(f"look {look} ({found.trigger}) has nothing to draw; it said: {found.sentence}")
        return looks.latest(connection, model, found.trigger, MOST_LOOKS, through=look)[::-1]


def _refuse_unknown(settings: Settings, model: str, trigger: str) -> None:
    configured = settings.models[model].triggers
    if trigger not in configured:
        names = ", ".join(configured) or "none"
        raise ConfigurationError(
            f"model {model!r} has no trigger {trigger!r}{did_you_mean(trigger, configured)}; it has: {names}"
        )
