"""The tests and distances of drift, from counts alone.

Called by `triggers.comparison`. Two samples enter as counts over the same cells, so that every
figure adds up from parts. scipy.stats is slow to import and not needed: its distributions come from
scipy.special.
"""

from collections.abc import Sequence
from math import comb, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from triggers.cells import Counts

Correction = Literal["holm", "benjamini-hochberg", "bonferroni"]

_EXACT_UP_TO = (
    2000  # beyond it the exact tail takes milliseconds, and the limit is a few per cent off, to the safe side
)
_PLAINLY_LIKE = 0.4  # a p-value from which on the exact tail is not worth its milliseconds
_FEW_ROWS = 30
_MOST_PAIRS = 100_000  # of rows: with more, the smaller side is as good as one sample against the whole truth
_LEAST_EXPECTED = 5.0  # Cochran's rule for the chi-squared approximation


def ks_p_value(distance: float, reference_rows: int, current_rows: int) -> float:
    """The two-sided p-value of a two-sample Kolmogorov-Smirnov distance, as of one sample of the effective size.

    Up to an effective size of 2,000 twice the exact one-sided tail (which is the two-sided one for
    every p below 0.3 or so), beyond that, and above 0.4, Kolmogorov's limit. With fewer than 30
    rows on a side that is too small far out, so there it is the exact two-sample tail if that is
    larger. With ties all are too large, never too small.
    """
    size = reference_rows * current_rows / (reference_rows + current_rows)
    limit = float(special.kolmogorov(sqrt(size) * distance))
    few = min(reference_rows, current_rows) < _FEW_ROWS and reference_rows * current_rows <= _MOST_PAIRS
    if size > _EXACT_UP_TO or (limit > _PLAINLY_LIKE and not few):
        return limit
    p_value = min(1.0, 2 * float(special.smirnov(max(round(size), 1), distance)))
    return max(p_value, _ks_tail(distance, reference_rows, current_rows)) if few else p_value


def _ks_tail(distance: float, n: int, m: int) -> float:
    """The share of the orders of n and m rows whose distance is `distance` or more (Hodges 1957)."""
    n, m = min(n, m), max(n, m)
    reach = round(distance * n * m)  # an order is a path of steps (1, 0) and (0, 1); inside, |i m - j n| < reach
    if reach == 0:
        return 1.0
    inside = np.zeros(m + 1)
    inside[: min((reach - 1) // n, m) + 1] = 1.0
    for i in range(1, n + 1):
        low, high = max(-((reach - 1 - i * m) // n), 0), min((i * m + reach - 1) // n, m)
        inside[:low] = 0.0
        inside[low : high + 1] = np.cumsum(inside[low : high + 1])
    orders = comb(n + m, n)
    return max(1.0 - float(inside[m]) / orders, 2 / orders)  # two orders part the samples wholly


def psi(reference: Counts, current: Counts) -> float:
    """The population stability index: the sum of (q - p) ln(q / p) over cells.

    Half a row is added to each cell (Jeffreys), so that an empty one gives a large figure and not
    an infinite one; cells empty in both are left out.
    """
    reference, current = _occupied(reference, current)
    if reference.size < 2:
        return 0.0
    p = (reference + 0.5) / (reference.sum() + 0.5 * reference.size)
    q = (current + 0.5) / (current.sum() + 0.5 * current.size)
    return float(((q - p) * np.log(q / p)).sum())


def psi_floor(reference: Counts, current: Counts) -> float:
    """What `psi` is on average without any drift: (cells - 1) (1/n + 1/m) (Yurdakul and Naranjo 2020)."""
    return (_occupied(reference, current)[0].size - 1) * _inverse_sizes(reference, current)


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """The Jensen-Shannon distance, base 2: the root of the divergence, 0 (equal) to 1 (nothing in common)."""
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = (special.rel_entr(p, middle).sum() + special.rel_entr(q, middle).sum()) / 2 / np.log(2)
    return sqrt(min(max(float(divergence), 0.0), 1.0))


def jensen_shannon_floor(reference: Counts, current: Counts) -> float:
    """The root of what the divergence is on average without any drift: (cells - 1) (1/n + 1/m) / (8 ln 2)."""
    cells = _occupied(reference, current)[0].size
    return sqrt((cells - 1) * _inverse_sizes(reference, current) / (8 * float(np.log(2))))


def hellinger(reference: Counts, current: Counts) -> float:
    """The Hellinger distance: the root of 1 - sum of sqrt(p q), 0 (equal) to 1 (nothing in common)."""
    shared = np.sqrt(reference / reference.sum() * (current / current.sum())).sum()
    return sqrt(max(1 - float(shared), 0.0))


def total_variation(reference: Counts, current: Counts) -> float:
    """The share of rows that lies in other cells than before: half the sum of |p - q|, 0 to 1."""
    return float(np.abs(reference / reference.sum() - current / current.sum()).sum() / 2)


def chi_squared(reference: Counts, current: Counts) -> float:
    """Pearson's statistic of two rows of counts, neither empty; cells empty in both are left out."""
    table = np.array(_occupied(reference, current), dtype=np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(((table - expected) ** 2 / expected).sum())


def chi_squared_p_value(
    reference: Counts, current: Counts, others: int | None = None, *, cautious: bool = False
) -> float:
    """Pearson's test that two rows of counts have one distribution; neither is empty.

    Cells in which fewer than 5 rows are expected of either sample are joined into one. Where even
    that one has fewer, it gets a binomial test of its own, and the smaller p-value counts double.
    `others` is the place of a cell that collects what the reference does not have; None: there is
    none. It is joined with the rare ones: without drift too, many rare levels are in one sample only,
    and a cell of just those would differ without fail. `cautious` makes up for the heavier tail that cells of few rows
    have: for deciding at small levels.
    """
    table = np.array([reference, current], dtype=np.float64)
    sizes, total = table.sum(axis=1), table.sum()
    rare = np.outer(sizes, table.sum(axis=0) / total).min(axis=0) < _LEAST_EXPECTED
    if others is not None:
        rare[others] = True
    common, joined = table[:, ~rare], table[:, rare].sum(axis=1)
    if sizes.min() * joined.sum() / total >= _LEAST_EXPECTED:
        common, joined = np.column_stack([common, joined]), np.zeros(2)
    p_values = []
    if common.shape[1] > 1:
        expected = np.outer(common.sum(axis=1), common.sum(axis=0)) / common.sum()
        statistic = float(((common - expected) ** 2 / expected).sum())
        usual = float(special.chdtrc(common.shape[1] - 1, statistic))
        p_values.append(max(usual, _pearson_p_value(statistic, common)) if cautious else usual)
    if joined.any():
        p_values.append(_binomial_p_value(int(joined[1]), int(joined.sum()), float(sizes[1] / total)))
    return min([1.0, *(len(p_values) * p for p in p_values)])


def _pearson_p_value(statistic: float, table: NDArray[np.float64]) -> float:
    """The tail of Pearson's statistic of a table of two rows, by the gamma distribution with the mean, variance and
    skewness of the sum over its cells (Pearson 1959).

    Where the samples differ in size, cells in which few rows are expected of the smaller one have a heavier tail: with
    6 of them, and a level of a look, chance passes the chi-squared one twice as often as it says.
    """
    cells, totals = table.shape[1], table.sum(axis=0)
    freedom, share = cells - 1, float(table[0].sum() / table.sum())
    spread = share * (1 - share)
    inverse = 1 / (totals * spread)  # of each cell's binomial variance
    variance = freedom / cells * (2 * cells + (1 - 6 * spread) * inverse.sum())
    third = (22 - 112 * spread) * inverse.sum() + (1 - 30 * spread + 120 * spread**2) * (inverse**2).sum()
    third = freedom / cells * (8 * cells + third)
    if third <= 0 or variance <= 0:
        return 0.0
    fitted = 8 * variance**3 / third**2
    standard = fitted + sqrt(2 * fitted) * (statistic - freedom) / sqrt(variance)
    return float(special.chdtrc(fitted, max(standard, 0.0)))


def _binomial_p_value(hits: int, trials: int, share: float) -> float:
    """Twice the smaller tail of `hits` in `trials`."""
    upper = float(special.bdtrc(hits - 1, trials, share)) if hits else 1.0
    return min(1.0, 2 * min(float(special.bdtr(hits, trials, share)), upper))


def adjust(p_values: Sequence[float], correction: Correction, weights: Sequence[float] | None = None) -> list[float]:
    """The p-values corrected for their number, in the order given.

    `holm` (Holm 1979) and `bonferroni` keep the chance of any false one, `benjamini-hochberg`
    (1995) the share of false ones among those found. `weights`, above 0, say how the level is shared;
    None: evenly. Weighted are Holm's as in his paper, the others as by Genovese, Roeder and Wasserman (2006).
    """
    p = np.asarray(p_values, dtype=np.float64)
    weight = np.ones(p.size) if weights is None else np.asarray(weights, dtype=np.float64)
    p = p / weight
    order, total = np.argsort(p, kind="stable"), float(weight.sum())
    if correction == "bonferroni":
        stepped = p[order] * total
    elif correction == "holm":
        stepped = np.maximum.accumulate(p[order] * np.cumsum(weight[order][::-1])[::-1])
    else:
        stepped = np.minimum.accumulate((p[order] * total / np.arange(1, p.size + 1))[::-1])[::-1]
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(each) for each in adjusted]


def _occupied(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """The cells that hold a row of either sample."""
    occupied = (reference + current) > 0
    return reference[occupied], current[occupied]


def _inverse_sizes(reference: Counts, current: Counts) -> float:
    return 1 / float(reference.sum()) + 1 / float(current.sum())
