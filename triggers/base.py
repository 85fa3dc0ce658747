"""What every trigger is: validated settings that state their needs, judge evidence and say when to look next."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from triggers.confirmations import Confirmations
from triggers.evidence import Evidence, ModelFacts, Request
from triggers.quantities import Duration
from triggers.verdict import Verdict


class Action(StrEnum):
    """What a firing leads to."""

    RETRAIN = "retrain"  # a job is requested
    PROPOSE = "propose"  # an alert asks a person to start a job
    NOTIFY = "notify"  # an alert only
    NONE = "none"  # nothing by itself: the trigger is a member of an `all` or `any`


class Trigger(BaseModel, ABC):
    """The settings of one trigger, and its rule. Pure: equal arguments give equal answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wakes_on_rows: ClassVar[bool] = False  # True: with nothing new in the store a look is not worth making
    wakes_on_files: ClassVar[bool] = False  # True: a file change brings the next look forward

    finds_incidents: ClassVar[bool] = (
        False  # True: its state tells of incidents of the data (`triggers.incident_state`)
    )

    type: str = Field(description="Which kind of trigger this is.")  # each class narrows it to one literal
    action: Action = Field(default=Action.RETRAIN, description="What a firing leads to.")
    look_every: Duration | None = Field(
        default=None, description="Time between looks; by default what suits the trigger."
    )
    confirmations: Confirmations | None = Field(
        default=None, description="K of N: of its last N looks K must have fired; by default as the policy says."
    )

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        """The evidence that a look at `now` needs, under names of the trigger's own. Empty: none."""
        return {}

    def cadence(self) -> timedelta:
        """Time between looks that nothing brings forward: `look_every`, or what suits the trigger."""
        return self.look_every or timedelta(minutes=1)

    def insists(self, state: Mapping[str, Any]) -> datetime | None:
        """From when on a look is worth making even with nothing new in the store: where silence tells something. None:
        never."""
        return None

    @abstractmethod
    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        """The verdict on `evidence` at `now` (aware UTC). What the evidence makes impossible to judge is a verdict
        `error` with its sentence, not an exception."""

    def look(
        self, facts: ModelFacts, state: Mapping[str, Any], now: datetime
    ) -> Generator[Mapping[str, Request], Mapping[str, Any], Verdict]:
        """A look as a conversation with whoever keeps counts (`ProfileRequest`, `BucketsRequest`): it asks, is answered
        under its own names, may ask again, and ends with the verdict. By default one round of `requests`."""
        answers = yield self.requests(facts, state, now)
        return self.evaluate(Evidence(facts, state, answers), now)

    def next_look(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> datetime | None:
        """When to look next, not before `now`; `state` is the one that the look at `now` left behind.

        None: only when woken, or never (a schedule with no instants left).
        """
        return now + self.cadence()
