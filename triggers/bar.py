"""What the triggers that hold a metric against a bar share: the bar, the level of a look, and how both are told.

The bar is written (`below`, `above`) or stands a margin from the deployed version's figure at its
gate (`worse_than_gate`). A look fires when the whole interval lies past the bar; how wide the
interval is follows from a budget of false alarms, or from a confidence that is written instead.
"""

import difflib
from datetime import timedelta
from math import floor, log10
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, JsonValue, field_validator, model_validator

from triggers.base import Trigger
from triggers.budget import level_per_look
from triggers.evidence import ModelFacts
from triggers.metrics import METRICS, Metric
from triggers.quantities import Rate
from triggers.wording import figure

if TYPE_CHECKING:
    from triggers.confidence import Estimate

_NAMES: list[JsonValue] = [*sorted(METRICS)]
_DEFAULT_BUDGET = Rate(1, timedelta(days=90))
# Of the budget. The intervals are so exact that a metric right at its bar would spend the whole of it, and what is
# counted would then lie above it as often as below.
_SPENT = 0.9


class BarTrigger(Trigger):
    """Fires on a metric past its bar."""

    judges: ClassVar[frozenset[str]] = frozenset(METRICS)  # the metrics that a kind can judge

    metric: str = Field(description="Which metric.", json_schema_extra={"enum": _NAMES})
    below: float | None = Field(default=None, description="The bar of a metric that falls when a model decays.")
    above: float | None = Field(default=None, description="The bar of a metric that rises when a model decays.")
    worse_than_gate: float | None = Field(
        default=None,
        ge=0,
        description="Instead of a bar: so much worse than the deployed version's own figure at its gate.",
    )
    positive: str | int | float | bool | None = Field(
        default=None,
        description="The positive class; by default 1 or true, else the larger of two. With more classes precision, "
        "recall and f1 are averaged over them unless one is named here.",
    )
    false_alarms: Rate | None = Field(
        default=None,
        description="How many false alarms are allowed in how much time; 1 per 90d unless confidence is written.",
    )
    confidence: float | None = Field(
        default=None, gt=0.5, lt=1, description="Instead of a budget: the two-sided confidence of each look's interval."
    )

    @field_validator("metric")
    @classmethod
    def _is_a_metric(cls, value: str) -> str:
        if value not in cls.judges:
            near = difflib.get_close_matches(value.lower(), cls.judges, n=1)
            advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(sorted(cls.judges))}"
            what = "cannot be judged by this trigger" if value in METRICS else "is not a metric"
            raise ValueError(f"{value!r} {what}; {advice}")
        return value

    @model_validator(mode="after")
    def _has_one_bar(self) -> "BarTrigger":
        known, written = self._known, self.below if self.below is not None else self.above
        word, other = ("below", "above") if known.higher_is_better else ("above", "below")
        if getattr(self, other) is not None or (written is None and self.worse_than_gate is None):
            moves = "falls" if known.higher_is_better else "rises"
            instead = f"and no {other}" if written is not None else "or worse_than_gate: MARGIN"
            raise ValueError(f"{self.metric} {moves} when a model decays; write {word}: BAR {instead}")
        if written is not None and self.worse_than_gate is not None:
            raise ValueError(f"write {word}: BAR or worse_than_gate: MARGIN, one of the two")
        between = f"between {known.lowest:g} and {known.highest:g}"
        if written is not None and not self._is_within_reach(written):
            raise ValueError(f"{word}: {written:g} is out of reach, since {self.metric} lies {between}")
        if self.worse_than_gate is not None and self.worse_than_gate >= known.highest - known.lowest:
            raise ValueError(f"worse_than_gate: {self.worse_than_gate:g} is out of reach: {self.metric} lies {between}")
        return self

    @model_validator(mode="after")
    def _has_one_level(self) -> "BarTrigger":
        if self.false_alarms is not None and self.confidence is not None:
            raise ValueError("write false_alarms: RATE or confidence: SHARE, one of the two")
        if self.positive is not None and self._known.task == "regression":
            raise ValueError(f"positive has no use for {self.metric}, which compares numbers; leave it out")
        return self

    @property
    def _known(self) -> Metric:
        return METRICS[self.metric]

    @property
    def level(self) -> float:
        """The probability with which a look may fire though the metric stands exactly at its bar."""
        if self.confidence is not None:
            return (1 - self.confidence) / 2
        return _SPENT * level_per_look(self.false_alarms or _DEFAULT_BUDGET, self.cadence())

    @property
    def two_sided(self) -> float:
        """The confidence of the interval whose end, past the bar, means a firing."""
        return 1 - 2 * self.level

    def bar(self, facts: ModelFacts) -> float | None:
        """The bar of the deployed version. None: it hangs on a gate figure that the version does not have."""
        if self.worse_than_gate is None:
            return self.below if self.below is not None else self.above
        gate = facts.gate_metrics.get(self.metric)
        if gate is None:
            return None
        return gate - self.worse_than_gate if self._known.higher_is_better else gate + self.worse_than_gate

    def no_bar(self, facts: ModelFacts) -> str:
        """Why there is no bar, and what to do."""
        if facts.version is None:
            return f"No version has been deployed yet, so there is no gate figure of {self.metric} to be worse than"
        word = "below" if self._known.higher_is_better else "above"
        return (
            f"Version {facts.version} has no figure of {self.metric} from its gates to be worse than; "
            f"write {word}: BAR, or retrain to have one measured"
        )

    def is_past(self, estimate: "Estimate", bar: float) -> tuple[bool, bool]:
        """Whether the point, and whether the whole interval, lies past the bar."""
        if self._known.higher_is_better:
            return estimate.value < bar, estimate.high < bar
        return estimate.value > bar, estimate.low > bar

    def stand(self, estimate: "Estimate", bar: float) -> str:
        """Where the estimate stands against the bar, in words."""
        past, beyond_doubt = self.is_past(estimate, bar)
        stands = f"{'below' if self._known.higher_is_better else 'above'} {bar:.4g}"
        if self.worse_than_gate is not None:
            stands += f", {self.worse_than_gate:g} worse than at its gate"
        if beyond_doubt:
            return stands
        return f"not beyond doubt {stands}" if past else f"not {stands}"

    def interval_told(self, estimate: "Estimate") -> str:
        """`95 % interval 0.794 to 0.829`."""
        return f"{_percentage(self.two_sided)} % interval {figure(estimate.low)} to {figure(estimate.high)}"

    def _is_within_reach(self, bar: float) -> bool:
        known = self._known
        end = known.lowest if known.higher_is_better else known.highest
        return known.lowest <= bar <= known.highest and bar != end


def _percentage(share: float) -> str:
    """As many digits as tell it from 100: `95`, `97.8`, `99.907`."""
    rest = 100 * (1 - share)
    text = f"{100 * share:.{max(0, 1 - floor(log10(rest)))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
