"""Reads a classifier's rows for an estimate of its performance without labels: what is learned, judged and checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triggers.calibration import Calibration, calibrate
from triggers.columns import numbers
from triggers.confidence import Estimate
from triggers.crosscheck import SHORTEST_SPAN, Check, TooFewRows, check, halves
from triggers.expectation import Scored, expect
from triggers.metrics import METRICS, class_label, metric_value, positive_label, positives
from triggers.wording import listing, percent

_MOST_BEYOND = 0.05
_FEWEST = 10


@dataclass(frozen=True)
class _Labelled:
    rows: Scored
    hits: NDArray[np.bool_]

    def taken(self, rows: slice) -> "_Labelled":
        predicted = None if self.rows.predicted is None else self.rows.predicted[rows]
        return _Labelled(Scored(self.rows.score[rows], predicted), self.hits[rows])

    def calibrated(self) -> Calibration:
        rarer = int(min(self.hits.sum(), (~self.hits).sum()))
        if rarer < _FEWEST:
            raise TooFewRows(
                f"of {self.hits.size:,} labelled rows only {rarer} are of the rarer class, and it takes {_FEWEST}"
            )
        return calibrate(self.rows.score, self.hits)

    def realised(self, name: str) -> float | None:
        predicted = None if self.rows.predicted is None else self.rows.predicted.astype(int)
        return metric_value(name, self.hits.astype(int), predicted, self.rows.score, positive=1)


class ClassifierEstimation:
    """The metric `name` of the rows `judged`, by scores calibrated on the rows `past`.

    `past` and `settled` (rows of the judged window whose labels have come) hold `actual`, and all hold
    `score` and, for metrics of classes, `prediction`; rows come in the order of time, and rows where
    one is missing are left out. Raises TooFewRows, and ValueError for rows that make no sense.
    """

    def __init__(self, name: str, positive: object, past: pa.Table, judged: pa.Table, settled: pa.Table) -> None:
        self.name = name
        self._positive = positive
        self._label, self._labels = self._classes(past)
        self._past, self._settled = self._labelled(past), self._labelled(settled)
        self._judged = self._scored(judged)[0]
        self._calibration = self._past.calibrated()
        self.method = f"{self._calibration.kind} calibration"
        self.learned = self._past.hits.size
        self.rows = self._judged.score.size

    def estimate(self, confidence: float) -> Estimate | None:
        return expect(self.name, self._judged, self._calibration, confidence) if self.rows else None

    def realised(self) -> tuple[float | None, int]:
        """The metric on the settled rows (None: undefined), and how many they are."""
        rows = self._settled.hits.size
        return (self._settled.realised(self.name) if rows else None), rows

    def out_of_reach(self) -> str | None:
        """Where too many judged scores lie beyond all that was learned from, a sentence's part that says so."""
        low, high = self._calibration.reach
        beyond = float(((self._judged.score < low) | (self._judged.score > high)).mean())
        if beyond <= _MOST_BEYOND:
            return None
        return f"{percent(beyond)} of the scores lie beyond those it was learned from ({low:.3g} to {high:.3g})"

    def checks(self) -> Iterator[Check]:
        older, spans = halves(self._past.hits.size)
        try:
            earlier = self._past.taken(older).calibrated()
        except TooFewRows:
            spans = []
        for span in spans:
            yield from self._check(self._past.taken(span), earlier)
        if self._settled.hits.size >= SHORTEST_SPAN:
            yield from self._check(self._settled, self._calibration)

    def _check(self, span: _Labelled, calibration: Calibration) -> Iterator[Check]:
        found = check(
            span.hits.size,
            span.realised(self.name),
            lambda confidence: expect(self.name, span.rows, calibration, confidence, those_rows=True),
        )
        if found is not None:
            yield found

    def _classes(self, past: pa.Table) -> tuple[str, set[str]]:
        """The positive class and all classes of the actuals."""
        labels = {class_label(value) for value in past.column("actual").unique().to_pylist() if value is not None}
        if len(labels) > 2:
            raise ValueError(f"one score tells two classes apart, and the actuals hold {len(labels)}")
        label = positive_label(labels, self._positive)
        if label is None:
            raise ValueError(
                f"nothing says which class is positive beside {listing(sorted(labels))}; write positive: CLASS"
            )
        return label, labels

    def _scored(self, table: pa.Table) -> tuple[Scored, NDArray[np.bool_]]:
        """The rows that have what it takes, and which of the table's they are."""
        try:
            score = numbers(table.column("score"))
        except ValueError as error:
            raise ValueError(f"column score {error}") from error
        there, predicted = np.isfinite(score), None
        if METRICS[self.name].needs == "classes":
            said = [None if value is None else class_label(value) for value in table.column("prediction").to_pylist()]
            there &= np.array([value is not None for value in said], dtype=bool)
            self._refuse_strangers(set(said) - {None})
            predicted = np.array([value == self._label for value in said], dtype=bool)[there]
        kept = score[there]
        if self.name in {"log_loss", "brier"} and not ((kept >= 0) & (kept <= 1)).all():
            raise ValueError(f"the scores reach from {kept.min():g} to {kept.max():g}, and a probability is 0 to 1")
        return Scored(kept, predicted), there

    def _refuse_strangers(self, said: set[Any]) -> None:
        if said and not said & self._labels:
            raise ValueError(
                f"no prediction is ever one of the actual classes: predicted are {listing(sorted(said))}, and actual "
                f"are {listing(sorted(self._labels))}; map both to columns of the same classes"
            )

    def _labelled(self, table: pa.Table) -> _Labelled:
        rows, there = self._scored(table)
        actual = np.array(table.column("actual").to_pylist(), dtype=object)[there]
        hits = positives(self.name, actual, self._label)
        assert hits is not None  # noqa: S101 the label is known
        return _Labelled(rows, hits)
