"""Fires when the live performance of the deployed version is, beyond doubt, past a bar.

Beyond doubt: the whole confidence interval lies past the bar, not the point alone. Judged are
labelled rows that the deployed version predicted since it was deployed, no younger than the label
delay. What share of the rows has a label is always told, and what that share may hide is allowed
for (`triggers.arrival`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from triggers.arrival import PARTS, Arrived, arrived_rows, arrived_sums, in_favour
from triggers.bar import BarTrigger
from triggers.evidence import (
    ArrivalRequest,
    CountRequest,
    Counts,
    Evidence,
    ModelFacts,
    Request,
    RowsRequest,
    TallyRequest,
    Window,
)
from triggers.measuring import SUMMED, How, judged_by
from triggers.metrics import Tally, is_macro, positive_label
from triggers.quantities import Duration
from triggers.verdict import Outcome, Verdict
from triggers.wording import age, count, figure, listing, percent, span

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.confidence import Estimate


class PerformanceTrigger(BarTrigger):
    """Fires on a live metric past its bar."""

    wakes_on_rows: ClassVar[bool] = True

    type: Literal["performance"] = Field(default="performance", description="Which kind of trigger this is.")
    window: Duration | None = Field(default=None, description="Judge the newest so much time.")
    last: int | None = Field(default=None, ge=1, description="Judge the newest so many labelled rows instead.")
    min_labels: int = Field(default=100, ge=2, description="With fewer labelled rows the answer is insufficient.")
    min_coverage: float = Field(
        default=0.0, ge=0, le=1, description="With a smaller share of labelled rows the answer is insufficient."
    )

    @model_validator(mode="after")
    def _has_one_window(self) -> "PerformanceTrigger":
        if (self.window is None) == (self.last is None):
            raise ValueError("write window: DURATION or last: ROWS, one of the two")
        if self.last is not None and self.last < self.min_labels:
            raise ValueError(f"last ({self.last}) is below min_labels ({self.min_labels}), so it would never suffice")
        return self

    def cadence(self) -> timedelta:
        if self.look_every is not None:
            return self.look_every
        if self.window is None:
            return timedelta(hours=1)
        return min(max(self.window / 7, timedelta(seconds=1)), timedelta(days=1))

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        window = self._span(facts, now)
        asked: dict[str, Request] = {"counts": CountRequest(window)}
        if window.start is not None and self.window is not None:
            before = window.start - self.window
            asked["before"] = CountRequest(Window(before, window.start))
            asked["long_before"] = CountRequest(Window(before - self.window, before))
        if self.metric not in SUMMED:
            columns = (self._column, "actual") if self.last is not None else ("timestamp", self._column, "actual")
            labelled = self.last is not None
            asked["labels"] = RowsRequest(window, columns, labelled=labelled, last=self.last, version=facts.version)
            return asked
        kind: Literal["classes", "errors"] = "errors" if self._known.needs == "errors" else "classes"
        if self.last is not None:
            asked["labels"] = TallyRequest(window, kind, self.last, facts.version)
        else:
            asked["labels"] = ArrivalRequest(window, PARTS, kind, facts.version)
        return asked

    @property
    def _column(self) -> str:
        return judged_by(self.metric)

    def _span(self, facts: ModelFacts, now: datetime) -> Window:
        """The time judged: old enough to have labels, and no older than the deployed version's deployment."""
        end = now - (facts.label_delay or timedelta())
        starts = [facts.deployed_at, None if self.window is None else end - self.window]
        start = max((each for each in starts if each is not None), default=None)
        return Window(None if start is None else min(start, end), end)

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        counts: Counts = evidence.answers["counts"]
        bar, facts = self.bar(evidence.facts), evidence.facts
        try:
            found = self._arrived(evidence, now)
        except ValueError as error:
            return Verdict(
                Outcome.ERROR, f"{self.metric} cannot be computed: {error}.", self._numbers(facts, counts, 0, now)
            )
        numbers = self._numbers(facts, counts, found.rows, now) | self._missing(found, counts)
        if bar is None:
            return Verdict(Outcome.INSUFFICIENT, f"{self.no_bar(facts)}.", numbers)
        where = self._where(facts, found.rows, now)
        lack = self._lack(counts, found)
        if lack is not None:
            return Verdict(Outcome.INSUFFICIENT, f"There are only {where}; {lack}.", numbers)
        try:
            how = How(self.metric, self.two_sided, self.positive, self.min_labels)
            plain = how.measure(found.labels, None)
            weighted = plain if found.weights is None else how.measure(found.labels, found.weights)
        except ValueError as error:
            return Verdict(Outcome.ERROR, f"{self.metric} cannot be computed on {where}: {error}.", numbers)
        if plain is None or weighted is None:
            sentence = f"{self.metric} is undefined on {where}: {self._why(found.labels)}."
            return Verdict(Outcome.INSUFFICIENT, sentence, numbers)
        estimate = in_favour(weighted, found.rows, found.coming, self._known)
        return self._judge(estimate, bar, where, {**numbers, "unweighted": plain.value}, found)

    def _arrived(self, evidence: Evidence, now: datetime) -> Arrived:
        """The labelled rows to judge. Raises ValueError where they cannot be told apart."""
        found, before = evidence.answers["labels"], evidence.answers.get("before")
        if before is None:
            return Arrived(found, found.rows if isinstance(found, Tally) else found.num_rows)
        older = (before, evidence.answers.get("long_before", Counts(0, 0)))
        if isinstance(found, tuple):
            return arrived_sums(found, *older)
        weigh_by = "score" if self._known.needs == "scores" else None
        return arrived_rows(found, self._span(evidence.facts, now), weigh_by, *older)

    def _judge(self, estimate: "Estimate", bar: float, where: str, numbers: dict[str, Any], found: Arrived) -> Verdict:
        numbers = {**numbers, "value": estimate.value, "low": estimate.low, "high": estimate.high}
        sentence = (
            f"{self.metric} was {figure(estimate.value)} ({self.interval_told(estimate)}) on {where}, "
            f"{self.stand(estimate, bar)}"
        )
        if numbers["gate"] is not None:
            sentence += f" (at its gate it had {figure(numbers['gate'])})"
        sentence += self._arrival_told(numbers, found)
        fired = self.is_past(estimate, bar)[1]
        return Verdict(Outcome.FIRED if fired else Outcome.QUIET, f"{sentence}.", numbers)

    def _arrival_told(self, numbers: Mapping[str, Any], found: Arrived) -> str:
        """What is missing, and what was done about it: the rest of a sentence."""
        if numbers["coverage"] is None:
            return ""
        told = f"; {percent(numbers['coverage'])} of rows have labels"
        if not numbers["missing"]:
            return told
        told += f", {numbers['missing']:,} are missing"
        if found.weighted_by is not None:
            told += f" (weighted for it by {found.weighted_by}; unweighted it was {figure(numbers['unweighted'])})"
        elif self._known.task == "regression" or self.last is not None:
            why = "last takes labelled rows only" if self.last is not None else "numbers have no class to go by"
            told += f" (not weighted for it, since {why})"
        if found.left_out.rows:
            told += f"; {count(found.left_out.rows, 'newer row')} left out, since their labels are still coming"
        if found.coming >= 1:
            told += f"; {count(round(found.coming), 'label')} still to come are taken to be in the model's favour"
        return told

    def _missing(self, found: Arrived, counts: Counts) -> dict[str, Any]:
        return {
            "missing": counts.rows - counts.labelled,
            "unweighted": None,
            "weighted_by": found.weighted_by,
            "left_out": found.left_out.rows,
            "still_to_come": round(found.coming),
            "usual_coverage": found.usual,
        }

    def _lack(self, counts: Counts, found: Arrived) -> str | None:
        """Why the labels do not suffice; None when they do."""
        if found.rows < self.min_labels:
            lack = f"{self.min_labels:,} are needed, and {counts.labelled:,} of {count(counts.rows, 'row')} have labels"
            if found.left_out.labelled and found.usual is not None:
                lack += (
                    f"; {found.left_out.labelled:,} are of rows whose labels are still coming, since "
                    f"{percent(found.left_out.labelled / found.left_out.rows)} of them have one, and "
                    f"{percent(found.usual)} of older ones (predictions.label_delay says how long labels take)"
                )
            return lack
        if counts.rows and counts.labelled < self.min_coverage * counts.rows:
            return (
                f"{percent(counts.labelled / counts.rows)} of rows have labels, and {percent(self.min_coverage)} are "
                "needed"
            )
        return None

    def _why(self, found: "Tally | pa.Table") -> str:
        """Why the metric is undefined on enough rows."""
        if not isinstance(found, Tally):
            if self._known.needs == "scores":
                return "it takes enough rows with scores, actuals of both classes, and to know which class is positive"
            return "all actuals are equal, or too few rows have a prediction"
        if self._known.needs == "errors":
            return "every actual is zero"
        label = positive_label(found.labels, self.positive)
        if label is None and not is_macro(found, self.positive):
            return f"nothing says which class is positive beside {listing(sorted(found.labels))}; write positive: CLASS"
        happened = {"precision": "was predicted", "recall": "turned out", "f1": "was predicted or turned out"}
        return f"no row {happened[self.metric]} {label}"

    def _where(self, facts: ModelFacts, rows: int, now: datetime) -> str:
        """The rows judged, in words."""
        until = "" if facts.label_delay is None else f", up to {age(facts.label_delay)} ago"
        told = count(rows, "labelled row")
        if self.last is not None and rows >= self.last:
            return f"the newest {told}{until}"
        deployed, start = facts.deployed_at, self._span(facts, now).start
        if deployed is not None and start is not None and start <= deployed:
            return f"{told} since version {facts.version} was deployed {age(now - deployed)} ago{until}"
        if self.window is None:
            return f"{told}{until}"
        return f"{told} of {span(self.window)}{until}" if until else f"{told} of the last {span(self.window)}"

    def _numbers(self, facts: ModelFacts, counts: Counts, rows: int, now: datetime) -> dict[str, Any]:
        window = self._span(facts, now)
        return {
            "metric": self.metric,
            "value": None,
            "low": None,
            "high": None,
            "confidence": self.two_sided,
            "level": self.level,
            "bar": self.bar(facts),
            "labelled": rows,
            "min_labels": self.min_labels,
            "coverage": counts.labelled / counts.rows if counts.rows else None,
            "start": None if window.start is None else window.start.isoformat(),
            "end": None if window.end is None else window.end.isoformat(),
            "version": facts.version,
            "gate": facts.gate_metrics.get(self.metric),
        }
