"""Fires when waiting is, by what is to be expected, dearer than retraining.

The user says what a training costs and what a point of the metric, a hundredth, costs in a day. How far
the metric has fallen since the model's start, by a steady decay or at once, is told from labelled rows
with their uncertainty (`triggers.decay`), and what that has cost and is about to cost is held against
the cost of a training (`triggers.waiting`, which derives the rule). A decay that is not beyond doubt
costs nothing yet: so a model that stays as it is fires no oftener than its budget of false alarms says.
"""

import difflib
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from triggers.base import Trigger
from triggers.budget import level_per_look
from triggers.evidence import (
    TIME,
    ArrivalRequest,
    CountRequest,
    Evidence,
    ModelFacts,
    Request,
    RowsRequest,
    Window,
)
from triggers.measuring import SUMMED, How, judged_by
from triggers.metrics import METRICS, Metric
from triggers.quantities import Duration, Rate
from triggers.telling_worth import Telling, last_training
from triggers.verdict import Verdict

if TYPE_CHECKING:
    from triggers.confidence import Estimate
    from triggers.decay import Decay
    from triggers.stretches import Stretches

_POINT = 0.01
_DAY = timedelta(days=1)
_NEWEST = 8  # steps of time in which a sudden loss is looked for one by one
_OLDER = 16  # parts of what is older
_SHORT = {f"point_of_{name}_per_day": name for name in METRICS}
_NAMES: list[JsonValue] = [*sorted(METRICS)]


def _short_spellings(schema: dict[str, Any]) -> None:
    """Lets `point_of_accuracy_per_day: 25` stand for the metric and its price."""
    schema["patternProperties"] = {
        f"^point_of_({'|'.join(sorted(METRICS))})_per_day$": {
            "type": "number",
            "exclusiveMinimum": 0,
            "title": "Point of a metric per day",
            "description": "The metric, and what a hundredth of it, lost for a day, costs.",
        }
    }
    schema["required"] = [name for name in schema["required"] if name not in {"metric", "point_per_day"}]


class WorthTrigger(Trigger):
    """Fires when retraining is worth its cost."""

    model_config = ConfigDict(json_schema_extra=_short_spellings)
    wakes_on_rows: ClassVar[bool] = True

    type: Literal["worth"] = Field(default="worth", description="Which kind of trigger this is.")
    retrain: float = Field(gt=0, description="What a training costs, in any unit.")
    metric: str = Field(
        description="Which metric; point_of_accuracy_per_day: 25 writes it and point_per_day at once.",
        json_schema_extra={"enum": _NAMES},
    )
    point_per_day: float = Field(gt=0, description="What 0.01 of the metric, lost for a day, costs in the same unit.")
    restores: Literal["start", "gate"] | float = Field(
        default="start",
        description="What retraining brings the metric back to: start (what the deployed version had at first), gate "
        "(its figure at its gate), or a number.",
    )
    window: Duration = Field(
        default="90d", validate_default=True, description="How far back is looked, if the deployment is longer ago."
    )
    min_labels: int = Field(
        default=100,
        ge=2,
        description="With fewer labelled rows, both before a change and after it, it is insufficient.",
    )
    positive: str | int | float | bool | None = Field(
        default=None, description="The positive class; by default 1 or true, else the larger of two."
    )
    false_alarms: Rate = Field(
        default="1 per 90d",
        validate_default=True,
        description="How many firings are allowed in how much time while the model stays as it is.",
    )

    @model_validator(mode="before")
    @classmethod
    def _spells_the_metric_out(cls, value: Any) -> Any:
        written = [key for key in value if key.startswith("point_of_")] if isinstance(value, Mapping) else []
        if not written:
            return value
        if len(written) > 1 or "metric" in value or "point_per_day" in value:
            raise ValueError("write one metric and its price: point_of_METRIC_per_day, or metric and point_per_day")
        (key,) = written
        name = key.removeprefix("point_of_").removesuffix("_per_day")
        if key not in _SHORT:
            near = difflib.get_close_matches(name, METRICS, n=1)
            advice = f"did you mean point_of_{near[0]}_per_day?" if near else f"choose one of {', '.join(_SHORT)}"
            raise ValueError(f"{key!r} names no metric; {advice}")
        rest = {name: each for name, each in value.items() if name != key}
        return {**rest, "metric": _SHORT[key], "point_per_day": value[key]}

    @model_validator(mode="after")
    def _makes_sense(self) -> "WorthTrigger":
        if self.metric not in METRICS:
            near = difflib.get_close_matches(self.metric.lower(), METRICS, n=1)
            advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(sorted(METRICS))}"
            raise ValueError(f"{self.metric!r} is not a metric; {advice}")
        known = self.known
        if isinstance(self.restores, float) and not known.lowest <= self.restores <= known.highest:
            between = f"between {known.lowest:g} and {known.highest:g}"
            raise ValueError(f"restores: {self.restores:g} is out of reach, since {self.metric} lies {between}")
        if self.positive is not None and known.task == "regression":
            raise ValueError(f"positive has no use for {self.metric}, which compares numbers; leave it out")
        return self

    @property
    def known(self) -> Metric:
        """What is known of the metric."""
        return METRICS[self.metric]

    def cadence(self) -> timedelta:
        return self.look_every or min(max(self.window / 28, timedelta(seconds=1)), _DAY)

    @property
    def level(self) -> float:
        """The probability with which a look may find a decay in a model that stays as it is."""
        return level_per_look(self.false_alarms, self.cadence())

    def _span(self, facts: ModelFacts, now: datetime) -> Window:
        """The time judged: since the deployment, no longer than `window`, and old enough to have labels."""
        end = now - (facts.label_delay or timedelta())
        start = end - self.window if facts.deployed_at is None else max(facts.deployed_at, end - self.window)
        return Window(min(start, end), end)

    def _halves(self, facts: ModelFacts, now: datetime) -> dict[str, tuple[Window, int]]:
        """The newest steps of time, and what is older, each with its number of parts; oldest first."""
        start, end = _ends(self._span(facts, now))
        step = max(self.cadence(), (end - start) / 64)
        newest = max(start, end - _NEWEST * step)
        halves = {"newest": (Window(newest, end), min(max((end - newest) // step, 1), _NEWEST))}
        if newest == start:
            return halves
        return {"older": (Window(start, newest), min(ceil((newest - start) / step), _OLDER)), **halves}

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        window = self._span(facts, now)
        start, _ = _ends(window)
        asked: dict[str, Request] = {"before": CountRequest(Window(start - self.window, start))}
        if self.metric not in SUMMED:
            columns = (TIME, judged_by(self.metric), "actual")
            return {**asked, "labels": RowsRequest(window, columns, version=facts.version)}
        kind: Literal["classes", "errors"] = "errors" if self.known.needs == "errors" else "classes"
        halves = self._halves(facts, now)
        return asked | {
            name: ArrivalRequest(half, parts, kind, facts.version) for name, (half, parts) in halves.items()
        }

    def _stretches(self, evidence: Evidence, now: datetime) -> "Stretches":
        from triggers.stretches import Stretches

        answers, before = evidence.answers, evidence.answers["before"]
        halves = self._halves(evidence.facts, now)
        windows = [part for half, parts in halves.values() for part in ArrivalRequest(half, parts, "classes").windows()]
        if self.metric in SUMMED:
            return Stretches.of_sums(windows, [each for name in halves for each in answers[name]], before)
        return Stretches.of_rows(windows, answers["labels"], before, "score" if self.known.needs == "scores" else None)

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        from triggers.waiting import Waiting

        facts = evidence.facts
        known = facts.gate_metrics.get(self.metric) if self.restores == "gate" else self.restores
        stretches = self._stretches(evidence, now)
        kept, (start, _) = stretches.kept(), _ends(self._span(facts, now))
        told = Telling(self, facts, now, start, stretches.counts[:kept], stretches.counts[kept:])
        if known is None:
            return told.no_gate()
        try:
            decay = self._decay(stretches, kept, start, None if isinstance(known, str) else known)
        except ValueError as error:
            return told.error(f"{self.metric} cannot be computed: {error}")
        if decay is None:
            return told.too_few()
        since = max(last_training(facts) or start, start)
        trained, today = ((each - start) / _DAY for each in (since, now))
        return told.verdict(decay, Waiting.of(decay, trained, today, self.retrain, self.point_per_day / _POINT))

    def _decay(self, stretches: "Stretches", kept: int, start: datetime, known: float | None) -> "Decay | None":
        from triggers.decay import Part, find_decay

        spans = [[(edge - start) / _DAY for edge in _ends(window)] for window in stretches.windows[:kept]]
        labels = [counts.labelled for counts in stretches.counts[:kept]]
        parts = [Part(first, last, rows) for (first, last), rows in zip(spans, labels, strict=True)]
        return find_decay(
            parts,
            lambda first, last, confidence: self._measured(stretches, first, last, confidence),
            self.level,
            rising=not self.known.higher_is_better,
            fewest=self.min_labels,
            known=known,
        )

    def _measured(self, stretches: "Stretches", first: int, last: int, confidence: float) -> "Estimate | None":
        from triggers.arrival import in_favour

        found = stretches.arrived(first, last)
        if not found.rows:
            return None
        estimate = How(self.metric, confidence, self.positive).measure(found.labels, found.weights)
        return None if estimate is None else in_favour(estimate, found.rows, found.coming, self.known)


def _ends(window: Window) -> tuple[datetime, datetime]:
    assert window.start is not None  # noqa: S101 the spans of this trigger have both ends
    assert window.end is not None  # noqa: S101
    return window.start, window.end
