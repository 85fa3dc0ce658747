"""A verdict: a trigger's answer at one look, always with its numbers and one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a trigger answered."""

    FIRED = "fired"  # the evidence meets the rule
    QUIET = "quiet"  # the evidence does not meet the rule
    INSUFFICIENT = "insufficient"  # not enough evidence to say; the numbers carry the counts
    ERROR = "error"  # the evidence could not be read or makes no sense


@dataclass(frozen=True)
class Verdict:
    """One answer.

    `sentence` is for people, ends in a full stop and names the figures that decided. `numbers` is
    JSON-able and carries every figure, for machines. `state` is what the trigger wants to be handed
    at its next look (JSON-able); None leaves the stored state as it is. `key` names the evidence of
    a firing (a scheduled instant, a manifest's hash): the same key of the same trigger never fires
    twice. None means that the firing has no identity of its own and may repeat at every look.
    `picture` is what `retraind report` draws of the verdict beside its numbers (JSON-able, of bounded size): it is kept
    with the look, and is no part of events or of the audit log. None: there is nothing more to draw.
    """

    outcome: Outcome
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] | None = None
    key: str | None = None
    picture: Mapping[str, Any] | None = None

    @property
    def fired(self) -> bool:
        return self.outcome is Outcome.FIRED
