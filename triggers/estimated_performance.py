"""Fires when the performance expected of rows without labels is, beyond doubt, past a bar.

What is learned from are labelled predictions of the store: those of the time before the judged
window, of the deployed version where the store says which version predicted. Never the training
data: a model's scores on rows that it was trained on are better than any it will give again.
Classifiers are judged by calibrated scores (`triggers.expectation`), regressors by a model of their
error (`triggers.loss_estimation`). Both are held against what labelled spans turned out to be
(`triggers.crosscheck`), and an estimate that does not stand that is `insufficient`, never a firing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from triggers.bar import BarTrigger
from triggers.crosscheck import Check, TooFewRows, distrust
from triggers.evidence import Evidence, ModelFacts, Request, RowsRequest, Window
from triggers.metrics import METRICS
from triggers.quantities import Duration
from triggers.verdict import Outcome, Verdict
from triggers.wording import age, count, figure, span

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.classifier_estimation import ClassifierEstimation
    from triggers.confidence import Estimate
    from triggers.regressor_estimation import RegressorEstimation

    Estimation = ClassifierEstimation | RegressorEstimation

_NAMES: list[JsonValue] = [*sorted(METRICS.keys() - {"r2"})]  # r2 is no mean of the rows' errors
_MOST_JUDGED = 100_000
_MOST_LEARNED = 50_000


class EstimatedPerformanceTrigger(BarTrigger):
    """Fires on a metric expected of rows whose labels have not come."""

    wakes_on_rows: ClassVar[bool] = True
    judges: ClassVar[frozenset[str]] = frozenset(METRICS) - {"r2"}

    type: Literal["estimated_performance"] = Field(
        default="estimated_performance", description="Which kind of trigger this is."
    )
    metric: str = Field(description="Which metric.", json_schema_extra={"enum": _NAMES})
    positive: str | int | float | bool | None = Field(
        default=None, description="The positive class; by default 1 or true, else the larger of two."
    )
    window: Duration = Field(
        default="7d", validate_default=True, description="Judge the rows without labels of the newest so much time."
    )
    reference: Duration = Field(
        default="28d", validate_default=True, description="Learn from labelled rows of so much time before that."
    )
    features: tuple[str, ...] | None = Field(
        default=None,
        description="What a regressor's error is learned from, beside the prediction; by default all features.",
    )
    min_rows: int = Field(default=500, ge=50, description="With fewer rows without labels the answer is insufficient.")
    min_labels: int = Field(
        default=500, ge=200, description="With fewer labelled rows to learn from the answer is insufficient."
    )

    @model_validator(mode="after")
    def _has_use_for_features(self) -> "EstimatedPerformanceTrigger":
        if self.features is not None and self._known.task == "classification":
            raise ValueError(f"features has no use for {self.metric}, which is estimated from scores; leave it out")
        return self

    def cadence(self) -> timedelta:
        return self.look_every or min(max(self.window / 7, timedelta(seconds=1)), timedelta(days=1))

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        columns, window = self._columns(facts), self._span(facts, now)
        assert window.start is not None  # noqa: S101 the window has a length
        first = window.start - self.reference
        if facts.deployed_at is not None:
            first = min(max(first, facts.deployed_at), window.start)
        past = Window(first, max(min(window.start, self._settled_until(facts, now)), first))
        return {
            "past": RowsRequest(past, columns, labelled=True, last=_MOST_LEARNED, version=facts.version),
            "window": RowsRequest(window, ("timestamp", *columns), last=_MOST_JUDGED, version=facts.version),
        }

    def _columns(self, facts: ModelFacts) -> tuple[str, ...]:
        needs = self._known.needs
        if needs == "errors":
            return (*self._inputs(facts), "prediction", "actual")
        return ("score", "actual") if needs == "scores" else ("score", "prediction", "actual")

    def _inputs(self, facts: ModelFacts) -> tuple[str, ...]:
        return facts.features if self.features is None else self.features

    def _span(self, facts: ModelFacts, now: datetime) -> Window:
        start = now - self.window
        return Window(start if facts.deployed_at is None else min(max(start, facts.deployed_at), now), now)

    def _settled_until(self, facts: ModelFacts, now: datetime) -> datetime:
        """Until when rows are old enough for their labels to have come."""
        return now - (facts.label_delay or timedelta())

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        facts, past = evidence.facts, evidence.answers["past"]
        judged, settled = self._parted(evidence.answers["window"], facts, now)
        numbers = self._numbers(facts, judged.num_rows, past.num_rows, now)
        bar = self.bar(facts)
        if bar is None:
            return Verdict(Outcome.INSUFFICIENT, f"{self.no_bar(facts)}.", numbers)
        lack = self._lack(facts, judged.num_rows, past.num_rows, now)
        if lack is not None:
            return Verdict(Outcome.INSUFFICIENT, f"There are only {lack}.", numbers)
        try:
            estimation = self._estimation(facts, past, judged, settled)
            checks, estimate = list(estimation.checks()), estimation.estimate(self.two_sided)
        except TooFewRows as error:
            return Verdict(Outcome.INSUFFICIENT, f"{self.metric} cannot be estimated: {error}.", numbers)
        except ValueError as error:
            return Verdict(Outcome.ERROR, f"{self.metric} cannot be estimated: {error}.", numbers)
        if estimate is None:
            sentence = f"{self.metric} is undefined on {self._where(judged.num_rows, facts, now)}."
            return Verdict(Outcome.INSUFFICIENT, sentence, numbers)
        return self._judge(estimation, estimate, checks, bar, numbers, self._where(estimation.rows, facts, now))

    def _judge(
        self,
        estimation: "Estimation",
        estimate: "Estimate",
        checks: list[Check],
        bar: float,
        numbers: dict[str, Any],
        where: str,
    ) -> Verdict:
        doubt = distrust(checks) or estimation.out_of_reach()
        realised, settled = estimation.realised()
        numbers = {
            **numbers,
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "rows": estimation.rows,
            "calibration_rows": estimation.learned,
            "method": estimation.method,
            "trusted": doubt is None,
            "checks": [each.figures() for each in checks],
            "realised": realised,
            "realised_rows": settled,
        }
        told = f"{figure(estimate.value)} ({self.interval_told(estimate)}) on {where}"
        if doubt is not None:
            sentence = f"{self.metric} is estimated at {told}, but that cannot be trusted: {doubt}"
            return Verdict(Outcome.INSUFFICIENT, f"{sentence}.", numbers)
        sentence = (
            f"{self.metric} is expected to be {told}, {self.stand(estimate, bar)}; learned from "
            f"{count(estimation.learned, 'labelled row')} ({estimation.method}), and right in "
            f"{sum(each.inside for each in checks)} of {count(len(checks), 'span')} with labels"
        )
        if realised is not None:
            sentence += f"; {count(settled, 'labelled row')} of the window had {figure(realised)}"
        fired = self.is_past(estimate, bar)[1]
        return Verdict(Outcome.FIRED if fired else Outcome.QUIET, f"{sentence}.", numbers)

    def _parted(self, window: "pa.Table", facts: ModelFacts, now: datetime) -> "tuple[pa.Table, pa.Table]":
        """The window's rows without labels, and those old enough for labels that have one."""
        import numpy as np
        import pyarrow.compute as pc

        from triggers.columns import chosen, numbers

        known = np.array(pc.is_valid(window.column("actual")).to_pylist(), dtype=bool)
        until = self._settled_until(facts, now).timestamp() * 1e6
        return chosen(window, ~known), chosen(window, known & (numbers(window.column("timestamp")) < until))

    def _estimation(self, facts: ModelFacts, past: "pa.Table", judged: "pa.Table", settled: "pa.Table") -> "Estimation":
        if self._known.task == "regression":
            from triggers.regressor_estimation import RegressorEstimation

            return RegressorEstimation(self.metric, self._inputs(facts), past, judged, settled)
        from triggers.classifier_estimation import ClassifierEstimation

        return ClassifierEstimation(self.metric, self.positive, past, judged, settled)

    def _lack(self, facts: ModelFacts, rows: int, past: int, now: datetime) -> str | None:
        """What there is too little of; None: of nothing."""
        if rows < self.min_rows:
            return f"{self._where(rows, facts, now)}; {self.min_rows:,} are needed"
        if past < self.min_labels:
            which = "" if facts.version is None else f" of version {facts.version}"
            return (
                f"{count(past, 'labelled row')}{which} of the {span(self.reference)} before the last "
                f"{span(self.window)} to learn from; {self.min_labels:,} are needed"
            )
        return None

    def _where(self, rows: int, facts: ModelFacts, now: datetime) -> str:
        told = f"{count(rows, 'row')} without labels"
        if facts.deployed_at is not None and facts.deployed_at > now - self.window:
            return f"{told} since version {facts.version} was deployed {age(now - facts.deployed_at)} ago"
        return f"{told} of the last {span(self.window)}"

    def _numbers(self, facts: ModelFacts, rows: int, past: int, now: datetime) -> dict[str, Any]:
        window = self._span(facts, now)
        return {
            "metric": self.metric,
            "value": None,
            "low": None,
            "high": None,
            "bar": self.bar(facts),
            "confidence": self.two_sided,
            "level": self.level,
            "rows": rows,
            "min_rows": self.min_rows,
            "calibration_rows": past,
            "min_labels": self.min_labels,
            "trusted": None,
            "realised": None,
            "start": None if window.start is None else window.start.isoformat(),
            "end": None if window.end is None else window.end.isoformat(),
            "version": facts.version,
            "gate": facts.gate_metrics.get(self.metric),
        }
