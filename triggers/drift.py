"""Fires when the data of the current window is no longer like the reference.

A column has drifted when a test of it is significant, the effect that belongs to the test is of a size
that matters, and it is more than the reference moves by itself (`triggers.judging`). The level of a
look is the false alarms allowed in a time, divided among the looks in it, and the look's tests, of
all columns and windows, share it: so with no drift at all no more alarms are expected than the user
stated. `method: sequential` gathers evidence instead (`triggers.sequential`).

Features are compared with the reference. Predictions are compared with earlier predictions of the
same version, since another version predicts otherwise: with those of the reference window, or,
where the reference is no window of the store, with the first ones after its deployment.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from triggers.base import Trigger
from triggers.budget import level_per_look
from triggers.evidence import (
    TIME,
    Evidence,
    ModelFacts,
    ProfileRequest,
    Request,
    RowsRequest,
    TableFileRequest,
    TrainingRequest,
    Window,
)
from triggers.incident_state import expects_rows_by
from triggers.incident_watch import Watch
from triggers.kept_look import Span, conversation, in_sequence
from triggers.quantities import Duration, Rate
from triggers.references import CurrentFile, Reference, one_reference, slides, span_before, spans_of_predictions
from triggers.sequential import Material, Pace, look, unseen
from triggers.verdict import Outcome, Verdict
from triggers.weights import Weighing, Weights, weigh
from triggers.wording import count, figure, listing, percent, sentence_case, span

if TYPE_CHECKING:
    from triggers.pairs import KeptPair, Pair
    from triggers.profile import ReferenceProfile

PREDICTION = "prediction"
_MOST_TOLD = 1000  # columns with their figures: a look is kept with its numbers, and so is the event of a firing

_NO_TRAINING = (
    "No version has been deployed yet, so there is no training data to compare with; "
    "reference: {window: 28d} would compare with earlier rows of the store"
)
_OF_ALL = 0.2  # the part of a look's level that the judgement of all columns together has, where it is asked for
_ADVICE = "correct it, or leave the column out under features"


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
    reference: Annotated[Literal["training"] | Reference, BeforeValidator(one_reference)] = Field(
        default="training",
        description="What to compare with: training (the data that the deployed version was trained on), "
        "{window: 28d} of the predictions store, or {file: PATH}.",
    )
    current: CurrentFile | None = Field(
        default=None, description="{file: PATH} takes the current features from a file instead of the store."
    )
    method: Literal["windows", "sequential"] = Field(
        default="windows",
        description="Judge windows at every look, or gather evidence from look to look without a window (sequential).",
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
    location: float = Field(
        default=0.02,
        ge=0,
        le=0.5,
        description="The shift that matters: how far the chance that a current value lies "
        "above one of the reference is from a half.",
    )
    scale: float = Field(
        default=0.1, ge=0, description="The change of spread that matters: of the mean squared rank, relative to 1."
    )
    min_rows: int = Field(default=500, ge=20, description="With fewer rows on either side the answer is insufficient.")
    natural: bool = Field(
        default=True, description="Where the reference has times, a drift must also exceed what its own blocks move."
    )
    season: Literal["day", "week"] | None = Field(
        default=None, description="Compare like with like: the hours of a day, or the days of a week, in UTC."
    )
    share: float | None = Field(
        default=None, gt=0, le=1, description="The share of columns that must drift; by default any one."
    )

    weights: Weighing = Field(
        default="importance",
        description="How the level is shared among the columns: by the importance of features to the deployed version, "
        "which leaves out those that it hardly uses (equal, where it is not known), equal, or {COLUMN: NUMBER}, where "
        "1 is usual and 0 leaves out.",
    )
    multivariate: bool = Field(
        default=False, description="Also ask a classifier whether all columns together tell the rows apart."
    )
    auc: float = Field(
        default=0.55, ge=0.5, lt=1, description="The ROC AUC of that classifier on held-out rows that matters."
    )
    incidents: bool = Field(
        default=True, description="Look for incidents of the data first; while one is open, drift is not judged."
    )

    @model_validator(mode="after")
    def _sequence_is_possible(self) -> "DriftTrigger":
        if self.method == "windows":
            return self
        for name in ("current", "share", "season", "multivariate"):
            if getattr(self, name) not in (None, False):
                raise ValueError(f"method: sequential knows no {name}; take it out, or write method: windows")
        if slides(self.reference):
            raise ValueError("method: sequential needs a reference that stays; write reference.before, or training")
        return self

    @property
    def wakes_on_rows(self) -> bool:  # type: ignore[override]  # here it hangs on the settings, and is only ever read
        """A file changes without a new row in the store."""
        return self.current is None

    @property
    def finds_incidents(self) -> bool:  # type: ignore[override]  # as above
        return self.incidents

    def insists(self, state: Mapping[str, Any]) -> datetime | None:
        return expects_rows_by(state) if self.incidents else None

    def cadence(self) -> timedelta:
        return self.look_every or min(max(self.window / 7, timedelta(seconds=1)), timedelta(days=1))

    @property
    def level(self) -> float:
        """The significance level of one look: the false alarms allowed, divided among the looks in their time."""
        return level_per_look(self.false_alarms, self.cadence())

    def look(
        self, facts: ModelFacts, state: Mapping[str, Any], now: datetime
    ) -> Generator[Mapping[str, Request], Mapping[str, Any], Verdict]:
        columns, watch = self._columns(facts), Watch(self.window) if self.incidents else None
        if self.method == "sequential" and columns:
            reference = ProfileRequest(self._reference_request(columns, now), columns, self._of_nature())
            asked = {"reference": reference, "current": self._current_request(columns, facts, state, now)}
            return (yield from in_sequence(watch, asked, Evidence(facts, state, {}), now, self._sequential))
        if self.method == "sequential" or self.current is not None or slides(self.reference) or self.multivariate:
            return (yield from super().look(facts, state, now))
        spans = self._prediction_spans(facts, now)
        span, sides = Span(self.window, self.season, natural=self.natural), {}
        if columns:
            window = Window(now - self.window, now)
            sides["current"] = span.buckets(self._reference_request(columns, now), columns, window)
        if isinstance(spans, tuple):
            earlier = RowsRequest(spans[0], (TIME, PREDICTION), version=facts.version)
            sides["prediction_current"] = span.buckets(earlier, (PREDICTION,), spans[1], facts.version)
        return (yield from conversation(watch, sides, Evidence(facts, state, {}), now, self._windows))

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        columns = self._columns(facts)
        asked: dict[str, Request] = {}
        if columns:
            asked["reference"] = self._reference_request(columns, now)
            asked["current"] = self._current_request(columns, facts, state, now)
        if columns and self.multivariate:
            asked |= {f"together_{side}": asked[side] for side in ("reference", "current")}
        spans = self._prediction_spans(facts, now) if self.method == "windows" else "only features are"
        if isinstance(spans, tuple):
            before, current = spans
            asked["prediction_reference"] = RowsRequest(before, (TIME, PREDICTION), version=facts.version)
            asked["prediction_current"] = RowsRequest(current, (TIME, PREDICTION), version=facts.version)
        if self.incidents and self.current is None:
            asked |= Watch(self.window).requests(columns, state, now)
        return asked

    def _unseen(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Window:
        return unseen(state, facts.version, Pace(self.cadence(), self.false_alarms), self.window, now)

    def _of_nature(self) -> tuple[timedelta, ...]:
        """How long the buckets of a sequence are whose natural variation is asked for."""
        return (self.cadence(),) if self.natural else ()

    def _columns(self, facts: ModelFacts) -> tuple[str, ...]:
        return facts.features if self.features is None else self.features

    def _reference_request(
        self, columns: tuple[str, ...], now: datetime
    ) -> RowsRequest | TrainingRequest | TableFileRequest:
        if isinstance(self.reference, str):
            return TrainingRequest((TIME, *columns))
        if self.reference.file is not None:
            return TableFileRequest(self.reference.file, columns)
        return RowsRequest(span_before(self.reference, self.window, now), (TIME, *columns))

    def _current_request(
        self, columns: tuple[str, ...], facts: ModelFacts, state: Mapping[str, Any], now: datetime
    ) -> Request:
        if self.current is not None:
            return TableFileRequest(self.current.file, columns)
        whole = Window(now - self.window, now)
        return RowsRequest(self._unseen(facts, state, now) if self.method == "sequential" else whole, (TIME, *columns))

    def _prediction_spans(self, facts: ModelFacts, now: datetime) -> tuple[Window, Window] | str:
        """The spans of predictions to compare, reference first, or why they cannot be compared."""
        if not self.prediction:
            return "prediction is false"
        return spans_of_predictions(self.reference, self.window, facts, now)

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        in_sequence = self.method == "sequential"
        judged = self._sequential if in_sequence else self._windows
        if not (self.incidents and (self.current is not None or Watch.answered(evidence.answers))):
            return judged(evidence, now)
        # What is new to a sequence is no window that the newest rows are a part of.
        answers = {name: each for name, each in evidence.answers.items() if name != "current" or not in_sequence}
        found = Watch(self.window).examine(answers, evidence.state, now, lambda: self._profile(evidence))
        sound = replace(evidence, answers=found.sound(evidence.answers))
        return found.kept_in(found.verdict({}) or judged(sound, now))

    def _profile(self, evidence: Evidence) -> "ReferenceProfile | None":
        """The reference's; None: there is none. Raises ValueError naming a column that cannot be compared."""
        from triggers.profile import ReferenceProfile

        columns, reference = self._columns(evidence.facts), evidence.answers.get("reference")
        return ReferenceProfile.of(reference, columns) if columns and reference is not None else None

    def _windows(self, evidence: Evidence, now: datetime) -> Verdict:
        pairs, unjudged, lack = self._pairs(evidence, now)
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
            weights = self._weights(evidence.facts, [name for pair in pairs for name in pair.names])
            return self._together(self._judge(pairs, weights, now, numbers), weights, evidence.answers)
        except ValueError as error:
            return Verdict(Outcome.ERROR, f"{sentence_case(str(error))}; {_ADVICE}.", numbers)

    def _weights(self, facts: ModelFacts, columns: Sequence[str]) -> Weights:
        """Raises ValueError where `weights` names a column that is not compared, or leaves none."""
        return weigh(self.weights, columns, facts.importance, PREDICTION)

    def _together(self, verdict: Verdict, weights: Weights, answers: Mapping[str, Any]) -> Verdict:
        """The verdict with that on all features that count together. Raises ValueError as `_judge`."""
        names = [name for name, weight in weights.of.items() if weight and name != PREDICTION]
        if not (names and self.multivariate and "together_current" in answers):
            return verdict
        from triggers.domain import Bars, joined, tell_apart

        bars = Bars(self.level * _OF_ALL, self.auc, self.window, self.natural, self.season)
        return joined(verdict, tell_apart(answers["together_reference"], answers["together_current"], names, bars))

    def _sequential(self, evidence: Evidence, now: datetime) -> Verdict:
        from triggers.comparison import Sizes
        from triggers.known import counted

        facts, columns = evidence.facts, self._columns(evidence.facts)
        numbers = {"method": self.method, "false_alarms": str(self.false_alarms)}
        if not columns:
            return Verdict(Outcome.ERROR, "There are no features to compare, and method: sequential judges no others.")
        if evidence.answers["reference"] is None:
            return Verdict(Outcome.INSUFFICIENT, f"{_NO_TRAINING}.", numbers)
        reference = counted(evidence.answers["reference"], columns, self._of_nature())
        if reference.rows < self.min_rows:
            told = f"There are only {reference.rows:,} rows to compare with; {self.min_rows:,} are needed."
            return Verdict(Outcome.INSUFFICIENT, told, numbers)
        window = self._unseen(facts, evidence.state, now)
        material = Material(reference, evidence.answers["current"], evidence.state, facts.version, window)
        sizes = Sizes(self.ks, self.psi, self.js, self.location, self.scale)
        try:
            weights = self._weights(facts, columns)
            return look(material, Pace(self.cadence(), self.false_alarms), sizes, weights, numbers)
        except ValueError as error:
            return Verdict(Outcome.ERROR, f"{sentence_case(str(error))}; {_ADVICE}.", numbers)

    def _pairs(self, evidence: Evidence, now: datetime) -> "tuple[list[Pair | KeptPair], dict[str, str], str | None]":
        """What can be compared, what cannot and why, and, where the whole cannot be judged yet, why."""
        from triggers.pairs import pair_of

        columns, spans = self._columns(evidence.facts), self._prediction_spans(evidence.facts, now)
        pairs: list[Pair | KeptPair] = []
        unjudged: dict[str, str] = {}
        if columns:
            reference = evidence.answers["reference"]
            if reference is None:
                return [], {}, _NO_TRAINING
            pairs.append(pair_of(columns, reference, evidence.answers["current"], prediction=False))
            if pairs[0].short_of(self.min_rows):
                return pairs, {}, f"There are only {self._rows_told(pairs[0])}; {self.min_rows:,} are needed of either"
        if isinstance(spans, str):
            unjudged = {PREDICTION: spans} if self.prediction else {}
        else:
            answers = evidence.answers
            of_version = pair_of(
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

    def _judge(
        self, pairs: "list[Pair | KeptPair]", weights: Weights, now: datetime, numbers: dict[str, Any]
    ) -> Verdict:
        """Raises ValueError naming a column that cannot be compared."""
        from triggers.comparison import Sizes
        from triggers.judging import figures, furthest, judge_weighted
        from triggers.pairs import Outlook, unknown
        from triggers.picture import picture_of_windows
        from triggers.season import NAMES

        outlook = Outlook(self.window, now, self.min_rows, self.natural, self.season)
        compared = [each for pair in pairs for each in pair.compared(outlook)]
        level = self.level * (1 - _OF_ALL) if self.multivariate else self.level
        sizes = Sizes(self.ks, self.psi, self.js, self.location, self.scale)
        found, others = judge_weighted(compared, sizes, self.correction, level, weights.of)
        if not found:
            lacks = f"The reference has too little of the {NAMES[self.season or 'week']} that the window holds"
            return Verdict(
                Outcome.INSUFFICIENT, f"{lacks}; it takes {self.min_rows:,} rows like the window's.", numbers
            )
        picture = picture_of_windows(compared, found, sizes)
        ordered, drifted = furthest(found), [each for each in furthest(found) if each.drifted]
        passed_over = [each for each in furthest(others) if each.drifted]
        told_of = [*drifted, *(each for each in ordered if not each.drifted), *furthest(others)]
        numbers |= {
            "windows": [each.told() for each in compared],
            "columns": figures(compared, {each.comparison.name: each for each in told_of[:_MOST_TOLD]}),
            "columns_left_out": len(told_of[_MOST_TOLD:]),
            "drifted": [each.comparison.name for each in drifted],
            "weights": {**weights.figures(), "drifted": [each.comparison.name for each in passed_over]},
        }
        tested = f"on {self._rows_told(pairs[0])}, at level {figure(level)} ({self.false_alarms}){weights.told}"
        tested += unknown(pairs[0], compared, outlook)
        more = weights.passed_over([each.told() for each in passed_over])
        columns = count(len(found), "column")
        if not drifted:
            sentence = f"None of {columns} drifted, the furthest being {ordered[0].told()}, {tested}.{more}"
            return Verdict(Outcome.QUIET, sentence, numbers, picture=picture)
        told = f"{len(drifted)} of {columns} drifted: {listing([each.told() for each in drifted])}, {tested}"
        whole = sum(each.weight for each in found.values())
        if self.share is not None and sum(each.weight for each in drifted) < self.share * whole:
            told += f"; it takes {percent(self.share)} of them{' by weight' if weights.by != 'equal' else ''}"
            return Verdict(Outcome.QUIET, f"{told}.{more}", numbers, picture=picture)
        return Verdict(Outcome.FIRED, f"{told}.{more}", numbers, picture=picture)

    def _rows_told(self, pair: "Pair | KeptPair") -> str:
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
