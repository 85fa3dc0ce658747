"""Fires when the data of the current window is no longer like the reference.

A column has drifted when its test is significant and its effect is of a size that matters. The
tests are corrected for the number of columns, and for the number of looks: the level of a look is
the false alarms allowed in a time, divided among the looks in it, so that with no drift at all no
more alarms are expected than the user stated.

Features are compared with the reference. Predictions are compared with earlier predictions of the
same version, since another version predicts otherwise: with those of the reference window, or,
where the reference is no window of the store, with the first ones after its deployment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from triggers.base import Trigger
from triggers.budget import level_per_look
from triggers.evidence import Evidence, ModelFacts, Request, RowsRequest, TableFileRequest, TrainingRequest, Window
from triggers.incident_state import IncidentState
from triggers.incident_watch import Watch
from triggers.quantities import Duration, Rate
from triggers.verdict import Outcome, Verdict
from triggers.wording import count, figure, instant, listing, percent, span

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.comparison import Comparison
    from triggers.profile import ReferenceProfile

PREDICTION = "prediction"


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Reference(BaseModel):
    """A reference other than the training data: a span of the predictions store, or a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: Duration | None = Field(default=None, description="So much time of the predictions store.")
    before: Annotated[datetime, AfterValidator(_in_utc)] | None = Field(
        default=None, description="Where that time ends; by default where the current window begins."
    )
    file: str | None = Field(default=None, description="A CSV or Parquet file.")

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Reference":
        if (self.window is None) == (self.file is None):
            raise ValueError("write window: DURATION or file: PATH, one of the two")
        if self.before is not None and self.window is None:
            raise ValueError("before says where a window ends; write window: DURATION with it")
        return self


class CurrentFile(BaseModel):
    """Current data in a file instead of the predictions store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(description="A CSV or Parquet file.")


def _one_reference(value: object) -> "Literal['training'] | Reference":
    """Problems inside a mapping are told as such, not as one failed alternative of two."""
    if isinstance(value, Mapping):
        return Reference.model_validate(dict(value))
    if isinstance(value, Reference):
        return value
    if value != "training":
        raise ValueError(f"{value!r} is no reference; write training, {{window: 28d}} or {{file: PATH}}")
    return "training"


class DriftTrigger(Trigger):
    """Fires when the data changes its distribution."""

    type: Literal["drift"] = Field(default="drift", description="Which kind of trigger this is.")
    window: Duration = Field(
        default="7d", validate_default=True, description="The current window: the newest so much time."
    )
    features: tuple[str, ...] | None = Field(
        default=None, description="The columns to compare; by default all features of the predictions store."
    )
    prediction: bool = Field(default=True, description="Compare the predictions, too.")
    reference: Annotated[Literal["training"] | Reference, BeforeValidator(_one_reference)] = Field(
        default="training",
        description="What to compare with: training (the data that the deployed version was trained on), "
        "{window: 28d} of the predictions store, or {file: PATH}.",
    )
    current: CurrentFile | None = Field(
        default=None, description="{file: PATH} takes the current features from a file instead of the store."
    )
    correction: Literal["holm", "benjamini-hochberg", "bonferroni"] = Field(
        default="holm", description="How the tests are corrected for the number of columns."
    )
    false_alarms: Rate = Field(
        default="1 per 90d", validate_default=True, description="How many false alarms are allowed in how much time."
    )
    ks: float = Field(default=0.1, ge=0, le=1, description="The Kolmogorov-Smirnov distance that matters.")
    psi: float = Field(default=0.1, ge=0, description="The population stability index that matters, beyond its noise.")
    js: float = Field(
        default=0.1, ge=0, le=1, description="The Jensen-Shannon distance that matters, beyond its noise."
    )
    min_rows: int = Field(default=500, ge=20, description="With fewer rows on either side the answer is insufficient.")
    share: float | None = Field(
        default=None, gt=0, le=1, description="The share of columns that must drift; by default any one."
    )
    incidents: bool = Field(
        default=True, description="Look for incidents of the data first; while one is open, drift is not judged."
    )

    @property
    def wakes_on_rows(self) -> bool:  # type: ignore[override]  # here it hangs on the settings, and is only ever read
        """A file changes without a new row in the store."""
        return self.current is None

    @property
    def finds_incidents(self) -> bool:  # type: ignore[override]  # as above
        return self.incidents

    def must_look(self, state: Mapping[str, Any], now: datetime) -> bool:
        by = IncidentState.of(state).expects_rows_by
        return self.incidents and by is not None and now >= by

    def cadence(self) -> timedelta:
        return self.look_every or min(max(self.window / 7, timedelta(seconds=1)), timedelta(days=1))

    @property
    def level(self) -> float:
        """The significance level of one look: the false alarms allowed, divided among the looks in their time."""
        return level_per_look(self.false_alarms, self.cadence())

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        columns = self._columns(facts)
        asked: dict[str, Request] = {}
        if columns:
            asked["reference"] = self._reference_request(columns, now)
            asked["current"] = self._current_request(columns, now)
        spans = self._prediction_spans(facts, now)
        if isinstance(spans, tuple):
            before, current = spans
            asked["prediction_reference"] = RowsRequest(before, (PREDICTION,), version=facts.version)
            asked["prediction_current"] = RowsRequest(current, (PREDICTION,), version=facts.version)
        if self.incidents and self.current is None:
            asked |= Watch(self.window).requests(columns, state, now)
        return asked

    def _columns(self, facts: ModelFacts) -> tuple[str, ...]:
        return facts.features if self.features is None else self.features

    def _reference_request(self, columns: tuple[str, ...], now: datetime) -> Request:
        if isinstance(self.reference, str):
            return TrainingRequest(columns)
        if self.reference.file is not None:
            return TableFileRequest(self.reference.file, columns)
        return RowsRequest(self._reference_span(now), columns)

    def _current_request(self, columns: tuple[str, ...], now: datetime) -> Request:
        if self.current is not None:
            return TableFileRequest(self.current.file, columns)
        return RowsRequest(Window(now - self.window, now), columns)

    def _reference_span(self, now: datetime) -> Window:
        reference = self.reference
        assert isinstance(reference, Reference)  # noqa: S101 the callers saw to it
        assert reference.window is not None  # noqa: S101
        end = reference.before or now - self.window
        return Window(end - reference.window, end)

    def _prediction_spans(self, facts: ModelFacts, now: datetime) -> tuple[Window, Window] | str:
        """The spans of predictions to compare, reference first, or why they cannot be compared."""
        if not self.prediction:
            return "prediction is false"
        deployed, start = facts.deployed_at, now - self.window
        if isinstance(self.reference, Reference) and self.reference.window is not None:
            span_before = self._reference_span(now)
            assert span_before.start is not None  # noqa: S101 a span of the store has both ends
            assert span_before.end is not None  # noqa: S101
            if deployed is None:
                return span_before, Window(start, now)
            if span_before.end <= deployed:
                return f"the reference window ends before version {facts.version} was deployed"
            return Window(max(span_before.start, deployed), span_before.end), Window(max(start, deployed), now)
        first = deployed or facts.known_since
        if first + self.window > start:
            return f"predictions are compared from {instant(first + 2 * self.window)} on"
        return Window(first, first + self.window), Window(start, now)

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        pairs, unjudged, lack = self._pairs(evidence, now)
        if not self._watches(evidence):
            return self._verdict(pairs, unjudged, lack)
        features = next((pair for pair in pairs if not pair.prediction), None)
        profile = (lambda: features.profile) if features else (lambda: None)
        found = Watch(self.window).examine(evidence.answers, evidence.state, now, profile)
        return found.kept_in(found.verdict({}) or self._verdict(pairs, unjudged, lack))

    def _watches(self, evidence: Evidence) -> bool:
        return self.incidents and (self.current is not None or Watch.answered(evidence.answers))

    def _verdict(self, pairs: "list[_Pair]", unjudged: dict[str, str], lack: str | None) -> Verdict:
        numbers: dict[str, Any] = {
            "level": self.level,
            "correction": self.correction,
            "false_alarms": str(self.false_alarms),
            "rows": {pair.names[0] if pair.prediction else "features": pair.rows() for pair in pairs},
            "not_judged": unjudged,
        }
        if lack is not None:
            return Verdict(Outcome.INSUFFICIENT, f"{lack}.", numbers)
        if not pairs:
            sentence = (
                "There is nothing to compare; name features under predictions.columns.features, or leave prediction on."
            )
            return Verdict(Outcome.ERROR, sentence, numbers)
        try:
            comparisons = [comparison for pair in pairs for comparison in pair.comparisons()]
        except ValueError as error:
            advice = "correct it, or leave the column out under features"
            return Verdict(Outcome.ERROR, f"{_sentence_case(str(error))}; {advice}.", numbers)
        return self._judge(comparisons, f"on {self._rows_told(pairs[0])}", numbers)

    def _pairs(self, evidence: Evidence, now: datetime) -> "tuple[list[_Pair], dict[str, str], str | None]":
        """What can be compared, what cannot and why, and, where the whole cannot be judged yet, why."""
        columns, spans = self._columns(evidence.facts), self._prediction_spans(evidence.facts, now)
        pairs: list[_Pair] = []
        unjudged: dict[str, str] = {}
        if columns:
            reference = evidence.answers["reference"]
            if reference is None:
                return (
                    [],
                    {},
                    (
                        "No version has been deployed yet, so there is no training data to compare with; "
                        "reference: {window: 28d} would compare with earlier rows of the store"
                    ),
                )
            pairs.append(_Pair(columns, reference, evidence.answers["current"], prediction=False))
            if pairs[0].short_of(self.min_rows):
                return pairs, {}, f"There are only {self._rows_told(pairs[0])}; {self.min_rows:,} are needed of either"
        if isinstance(spans, str):
            unjudged = {PREDICTION: spans} if self.prediction else {}
        else:
            answers = evidence.answers
            of_version = _Pair(
                (PREDICTION,), answers["prediction_reference"], answers["prediction_current"], prediction=True
            )
            if of_version.short_of(self.min_rows):
                before, current = of_version.rows().values()
                unjudged = {PREDICTION: f"only {current:,} predictions now and {before:,} to compare with"}
            else:
                pairs.append(of_version)
        if not pairs and unjudged:
            return [], unjudged, f"There are no features to compare, and of predictions: {unjudged[PREDICTION]}"
        return pairs, unjudged, None

    def _judge(self, comparisons: "list[Comparison]", rows: str, numbers: dict[str, Any]) -> Verdict:
        from triggers.comparison import Sizes
        from triggers.statistics import adjust

        sizes = Sizes(self.ks, self.psi, self.js)
        adjusted = adjust([each.p_value for each in comparisons], self.correction)
        significant = {each.name for each, p in zip(comparisons, adjusted, strict=True) if p <= self.level}
        ordered = sorted(comparisons, key=lambda each: -each.strength)
        drifted = [each for each in ordered if each.name in significant and each.large(sizes)]
        names = {each.name for each in drifted}
        columns = {
            each.name: {**each.figures(), "p_adjusted": p, "drifted": each.name in names}
            for each, p in zip(comparisons, adjusted, strict=True)
        }
        numbers = {**numbers, "columns": columns, "drifted": [each.name for each in drifted]}
        told = (
            f"{len(drifted)} of {count(len(comparisons), 'column')} drifted"
            if drifted
            else (f"None of {count(len(comparisons), 'column')} drifted")
        )
        tested = f"{rows}, at level {figure(self.level)} ({self.false_alarms})"
        if not drifted:
            return Verdict(Outcome.QUIET, f"{told}, the furthest being {_told(ordered[0])}, {tested}.", numbers)
        told += f": {listing([_told(each) for each in drifted])}"
        if self.share is not None and len(drifted) < self.share * len(comparisons):
            return Verdict(Outcome.QUIET, f"{told}, {tested}; it takes {percent(self.share)} of them.", numbers)
        return Verdict(Outcome.FIRED, f"{told}, {tested}.", numbers)

    def _rows_told(self, pair: "_Pair") -> str:
        before, current = pair.rows().values()
        now = f"of {self.current.file}" if self.current and not pair.prediction else f"of the last {span(self.window)}"
        if pair.prediction:
            against = "earlier ones of the same version"
        elif isinstance(self.reference, str):
            against = "of the training data"
        elif self.reference.file is not None:
            against = f"of {self.reference.file}"
        else:
            against = "of the reference window"
        noun = "prediction" if pair.prediction else "row"
        return f"{count(current, noun)} {now} against {before:,} {against}"


@dataclass(frozen=True)
class _Pair:
    """Two tables and the columns to compare between them."""

    names: tuple[str, ...]
    reference: "pa.Table"
    current: "pa.Table"
    prediction: bool

    def rows(self) -> dict[str, int]:
        return {"reference": self.reference.num_rows, "current": self.current.num_rows}

    def short_of(self, rows: int) -> bool:
        return min(self.rows().values()) < rows

    def comparisons(self) -> "list[Comparison]":
        """Raises ValueError naming a column that cannot be compared."""
        from triggers.comparison import compare
        from triggers.profile import WindowProfile

        current = WindowProfile(self.profile.layouts)
        current.add(self.current)
        return list(compare(self.profile, current))

    @cached_property
    def profile(self) -> "ReferenceProfile":
        """The reference's. Raises ValueError naming a column that cannot be compared."""
        from triggers.profile import ReferenceProfile

        return ReferenceProfile.of(self.reference, self.names)


def _told(comparison: "Comparison") -> str:
    """The column's name with what is most telling about it."""
    parts = []
    if comparison.ks is not None:
        parts.append(f"KS {figure(comparison.ks)}")
    if comparison.kind == "number":
        parts.append(f"PSI {figure(comparison.psi)}")
    else:
        parts.append(f"JS {figure(comparison.js)}")
    if abs(comparison.missing_current - comparison.missing_reference) >= 0.01:
        parts.append(f"{percent(comparison.missing_current)} missing, was {percent(comparison.missing_reference)}")
    if comparison.unseen >= 0.01:
        parts.append(f"{percent(comparison.unseen)} in categories never seen before")
    if comparison.note is not None:
        parts.append(comparison.note)
    return f"{comparison.name} ({', '.join(parts)})"


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
