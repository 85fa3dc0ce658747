"""Drift without a window: an e-detector of bets on the reference's ranks and shares.

Called by `triggers.sequential`. Pure: evidence so far and a bucket's counts in, evidence out. After
Shin, Ramdas and Rinaldo (2023), "E-detectors: a nonparametric framework for sequential change
detection", section 3 (Shiryaev-Roberts) and section 5 (mixtures).

A bucket's rows multiply the evidence of each bet (`triggers.bets`) by E, the product of what its rows do, which is
at most 1 in expectation (`triggers.gains`). With

    M_t = E_t * (M_(t-1) + 1),    M_0 = 0,

M_t - t is a supermartingale, and so is that of any average of bets, over columns too. An alarm comes when the
average reaches A buckets, and sets all evidence back to 0. Then E[alarms in t buckets] <= t / A: the
sum of M_t and A times the alarms, less t, is a supermartingale as well. The mean time to a false
alarm is A buckets or more.

What that takes: the mean of each row's figure, given the rows before it, is at most what the bet says. The rows need
not be independent nor alike.
"""

from collections.abc import Mapping, Sequence
from math import log

import numpy as np

from triggers.bets import Bets, Figures, Floats, Strays
from triggers.cells import CellCounts
from triggers.comparison import Sizes
from triggers.gains import Gains
from triggers.profile import ReferenceProfile

_NOTHING = -700.0  # the logarithm of as good as no evidence, which JSON can hold


class Detector:
    """The bets on every column of a reference. Evidence is an array of logarithms, one for each bet in their order."""

    def __init__(
        self,
        reference: ReferenceProfile,
        sizes: Sizes,
        weights: Mapping[str, float] | None = None,
        strays: Strays | None = None,
    ) -> None:
        """`weights` of the columns, 0 or more, in the average of their evidence; None: all alike. `strays`: how far a
        bucket strays by nature, by column and test, in the unit of the test's distance."""
        self.bets = Bets.of(Figures.of(reference, sizes, strays or {}))
        self._names = tuple(reference.layouts)
        of_column = np.bincount(self.bets.column, minlength=len(self._names))
        ends = np.cumsum(of_column)
        self._bets_of = {name: slice(*span) for name, *span in zip(self._names, ends - of_column, ends, strict=True)}
        self._shares = 1 / np.maximum(of_column, 1)
        self._weights = np.array([1.0 if weights is None else weights[name] for name in self._names])
        self._gains = Gains(reference, self.bets)

    def nothing(self) -> Floats:
        """The evidence before any row."""
        return np.full(self.bets.column.size, _NOTHING)

    def restored(self, kept: Mapping[str, Sequence[float]]) -> Floats | None:
        """The evidence that `kept` told. None: it is not of these bets."""
        if {name: len(each) for name, each in kept.items()} != {
            name: span.stop - span.start for name, span in self._bets_of.items()
        }:
            return None
        return np.concatenate([np.asarray(kept[name], dtype=np.float64) for name in self._names])

    def kept(self, evidence: Floats) -> dict[str, list[float]]:
        """The evidence by column, JSON-able."""
        return {name: evidence[span].tolist() for name, span in self._bets_of.items()}

    def gains(self, buckets: Sequence[CellCounts]) -> Floats:
        """What each bucket's rows multiply the evidence by, as logarithms: shape (buckets, bets)."""
        return self._gains.of(buckets)

    def after(self, evidence: Floats, gains: Floats) -> Floats:
        """The evidence after one more bucket, whose gains those are."""
        return np.maximum(np.logaddexp(evidence, 0.0) + gains, _NOTHING)

    def after_empty(self, evidence: Floats, buckets: int) -> Floats:
        """The evidence after so many buckets without rows: time passes for them, too."""
        return np.logaddexp(evidence, log(buckets)) if buckets else evidence

    def average(self, evidence: Floats) -> float:
        """The weighted average of the columns' evidence, each the average of its bets: what is held against the
        threshold."""
        return float((self._weights * self._of_columns(evidence)).sum()) / (float(self._weights.sum()) or 1.0)

    def by_column(self, evidence: Floats) -> dict[str, float]:
        """Each column's evidence; 0 of one without bets."""
        return dict(zip(self._names, self._of_columns(evidence).tolist(), strict=True))

    def strongest(self, evidence: Floats, name: str) -> str:
        """What the column's bet with the most evidence is on."""
        span = self._bets_of[name]
        if span.start == span.stop:
            return "no bets: the reference has too few rows"
        return self.bets.told(span.start + int(evidence[span].argmax()))

    def _of_columns(self, evidence: Floats) -> Floats:
        whole = np.exp(np.minimum(evidence, -_NOTHING))
        found: Floats = np.bincount(self.bets.column, weights=whole, minlength=len(self._names)) * self._shares
        return found
