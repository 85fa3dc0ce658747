"""What the order of two samples tells, from counts alone: location, scale, and how far apart they lie.

Called by `triggers.comparison`. Both samples enter as counts over the cells of a
`triggers.layout.NumberLayout`: even cells hold one value each, odd ones a gap between two. Ranks know
no distance, so one wild value moves nothing; the Wasserstein distance is held within fences.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from triggers.cells import Counts

Floats = NDArray[np.float64]
_NO_SPREAD = 1e-9  # of the variance without ties: what is left when all values are tied, and rounding


@dataclass(frozen=True)
class RankTest:
    """A rank statistic as an effect that does not depend on the number of rows, and its two-sided p-value."""

    effect: float
    p_value: float


class Ranks:
    """Two samples, neither empty, in the order of their cells.

    Rows that share a value share the middle of their ranks. Rows in a gap where the reference has
    none are taken as distinct: exact where they are, and to the safe side (a p-value too large,
    never too small) where they are not. Otherwise all figures are exact as long as every reference
    value is a break point.
    """

    def __init__(self, reference: Counts, current: Counts) -> None:
        before, now = np.cumsum(reference), np.cumsum(current)
        n, m = int(before[-1]), int(now[-1])
        self._sizes = float(n), float(m)
        # How much more of the current rows than of the reference there is up to each cell.
        self._above: Floats = now.astype(np.float64)
        self._above /= m
        self._above -= before / n
        before += now
        self._current = current.astype(np.float64)
        self._pooled = (reference + current).astype(np.float64)
        # How far the middle rank of each cell lies from the middle of all.
        self._centred: Floats = self._pooled * -0.5
        self._centred += before
        self._centred -= (n + m) / 2
        values, gaps = np.flatnonzero(self._pooled[0::2] > 1), np.flatnonzero(reference[1::2])
        self._tied = np.concatenate([2 * values, 2 * gaps + 1])

    @property
    def ks(self) -> float:
        """The two-sample Kolmogorov-Smirnov distance: the largest distance of the two cumulative shares."""
        return float(np.abs(self._above).max())

    def rank_sum(self) -> RankTest:
        """Location: Wilcoxon's rank-sum test (Mann and Whitney 1947), normal, corrected for ties and continuity.

        The effect is how often a current row lies above one of the reference, ties counting half:
        0.5 is no shift, 1 is all above.
        """
        n, m = self._sizes
        rows = n + m
        # The rank sum of the current rows around what is expected: U - n m / 2.
        shift = float(self._current @ self._centred)
        ties = self._pooled[self._tied]
        variance = n * m / 12 * (rows + 1 - float((ties**3 - ties).sum()) / (rows * (rows - 1)))
        return RankTest(0.5 + shift / (n * m), _two_sided(max(abs(shift) - 0.5, 0.0), variance, n * m * rows / 12))

    def mood(self) -> RankTest:
        """Scale: Mood's test (1954) of the squared ranks around the middle, corrected for ties (Mielke 1967).

        The effect is the current rows' mean squared distance from the middle rank over that of the
        reference's: 1 is no change, below 1 narrower, above 1 wider. A shift moves it, too.
        """
        n, m = self._sizes
        rows = n + m
        if rows < 3:
            return RankTest(1.0, 1.0)
        scores = self._pooled**2
        scores -= 1
        scores /= 12
        scores += self._centred**2
        found, expected = float(self._current @ scores), m * (rows**2 - 1) / 12
        untied = n * m * (rows + 1) * (rows**2 - 4) / 180
        ties, middles = self._pooled[self._tied], self._centred[self._tied]
        lost = float((ties * (ties**2 - 1) * (ties**2 - 4 + 60 * middles**2)).sum())
        variance = untied - n * m / (180 * rows * (rows - 1)) * lost
        before = max(float(self._pooled @ scores) - found, 1 / rows**2)
        return RankTest(found / m / (before / n), _two_sided(abs(found - expected), variance, untied))

    def wasserstein(self, breaks: Floats, fences: tuple[int, int]) -> float | None:
        """The area between the two cumulative shares, in the column's unit, within two of the break points.

        Values beyond the fences count as lying at them, so that one wild value, in either sample,
        weighs no more than another. Inside a gap the rows are taken as spread evenly; with every
        current value a break point the distance of the fenced values is exact. None: the fences
        are one point.
        """
        first, last = fences
        if first >= last:
            return None
        begin, end = self._above[2 * first : 2 * last : 2], self._above[2 * first + 1 : 2 * last : 2]
        both = np.abs(begin) + np.abs(end)
        mean = both / 2
        crossed = np.flatnonzero(begin * end < 0)  # the shares cross inside the gap: two triangles
        mean[crossed] = (begin[crossed] ** 2 + end[crossed] ** 2) / (2 * both[crossed])
        return float(mean @ np.diff(breaks[first : last + 1]))


def _two_sided(distance: float, variance: float, scale: float) -> float:
    if variance <= _NO_SPREAD * scale:
        return 1.0
    return float(2 * special.ndtr(-distance / sqrt(variance)))
