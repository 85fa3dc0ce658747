"""Fires when all, or enough, of a model's other triggers have fired.

A member counts from its firing on: while its latest answer is still `fired`, and for `within`
after that. A firing before the last training ended counts no more: that training answered it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from triggers.base import Trigger
from triggers.evidence import Evidence, Member, MembersRequest, ModelFacts, Request
from triggers.quantities import Duration
from triggers.verdict import Outcome, Verdict
from triggers.wording import count, listing, span


class _Combination(Trigger):
    """What `all` and `any` share. Whether every name is a trigger of the model is checked with the whole file."""

    of: tuple[str, ...] = Field(min_length=1, description="The names of the model's triggers that are its members.")
    within: Duration = Field(
        default="1d", validate_default=True, description="How long a member's firing counts after it has ceased."
    )

    @field_validator("of")
    @classmethod
    def _names_each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        doubled = sorted({name for name in value if value.count(name) > 1})
        if doubled:
            raise ValueError(f"{listing(doubled)} is named more than once; name each member once")
        return value

    @property
    def needed(self) -> int:
        """How many members must have fired."""
        return len(self.of)

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        return {"members": MembersRequest(self.of)}

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        members: Mapping[str, Member] = evidence.answers["members"]
        unknown = [name for name in self.of if name not in members]
        if unknown:
            sentence = f"The model has no trigger named {listing(unknown)}; correct the names under of."
            return Verdict(Outcome.ERROR, sentence, {"unknown": unknown})
        fired = [name for name in self.of if self._counts(members[name], evidence.facts.trained_at, now)]
        others = [name for name in self.of if name not in fired]
        numbers = {
            "fired": fired,
            "not_fired": {name: str(members[name].outcome) if members[name].outcome else None for name in others},
            "needed": self.needed,
        }
        told = f"{len(fired)} of {count(len(self.of), 'trigger')} fired"
        bar = f"it takes {self.needed}, each within {span(self.within)} and since the last training"
        told += f" ({listing(fired)})" if fired else ""
        if len(fired) >= self.needed:
            return Verdict(Outcome.FIRED, f"{told}; {bar}.", numbers)
        if all(members[name].outcome in {None, Outcome.INSUFFICIENT} for name in others):
            return Verdict(Outcome.INSUFFICIENT, f"{told}, and {listing(others)} cannot say yet; {bar}.", numbers)
        return Verdict(Outcome.QUIET, f"{told}, not {listing(others)}; {bar}.", numbers)

    def _counts(self, member: Member, trained_at: datetime | None, now: datetime) -> bool:
        if member.fired_at is None or (trained_at is not None and member.fired_at <= trained_at):
            return False
        return member.outcome is Outcome.FIRED or now - member.fired_at <= self.within


class AllTrigger(_Combination):
    """Fires when all of its members have fired."""

    type: Literal["all"] = Field(default="all", description="Which kind of trigger this is.")


class AnyTrigger(_Combination):
    """Fires when one of its members, or `at_least` of them, have fired."""

    type: Literal["any"] = Field(default="any", description="Which kind of trigger this is.")
    at_least: int = Field(default=1, ge=1, description="How many members must have fired.")

    @model_validator(mode="after")
    def _can_be_reached(self) -> "AnyTrigger":
        if self.at_least > len(self.of):
            members = count(len(self.of), "member")
            raise ValueError(f"at_least is {self.at_least}, more than the {members} named under of")
        return self

    @property
    def needed(self) -> int:
        return self.at_least
