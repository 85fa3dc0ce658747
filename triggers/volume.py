"""Fires when so many rows, or labelled rows, have come in since the end of the last training window."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from triggers.base import Trigger
from triggers.evidence import CountRequest, Counts, Evidence, ModelFacts, Request, Window
from triggers.verdict import Outcome, Verdict
from triggers.wording import count, instant


class VolumeTrigger(Trigger):
    """Fires on the amount of new data."""

    wakes_on_rows: ClassVar[bool] = True

    type: Literal["volume"] = Field(default="volume", description="Which kind of trigger this is.")
    rows: int = Field(ge=1, description="How many rows it takes.")
    labelled: bool = Field(default=False, description="Count only rows whose actual is known.")

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        return {"counts": CountRequest(Window(facts.trained_until, now))}

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        counts: Counts = evidence.answers["counts"]
        found = counts.labelled if self.labelled else counts.rows
        since = evidence.facts.trained_until
        numbers = {
            "rows": counts.rows,
            "labelled": counts.labelled,
            "needed": self.rows,
            "since": None if since is None else since.isoformat(),
        }
        told = count(found, "labelled row" if self.labelled else "row")
        told += f" since the last training window ended ({instant(since)})" if since else " and no training yet"
        if found >= self.rows:
            return Verdict(Outcome.FIRED, f"There are {told}; {self.rows:,} are enough.", numbers)
        return Verdict(Outcome.QUIET, f"There are {told}; {self.rows:,} are needed.", numbers)
