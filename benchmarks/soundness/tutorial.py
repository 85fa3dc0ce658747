"""What a tutorial's rules answer on the same streams: scipy's tests of each column, the whole window, p < 0.05."""

import numpy as np
from scipy import stats

from benchmarks.soundness.streams import FEATURES, WINDOW, Drawn, Floats

LEVEL = 0.05


def alarms(drawn: Drawn) -> tuple[int, int]:
    """The looks that fire by the rule that any column has p < 0.05, and by Bonferroni's correction of it."""
    found = [_smallest(drawn, day) for day in range(WINDOW, drawn.stream.days + 1)]
    return sum(p < LEVEL for p in found), sum(p < LEVEL / FEATURES for p in found)


def _smallest(drawn: Drawn, day: int) -> float:
    reference = drawn.reference.reshape(-1, FEATURES).T
    current = drawn.days[day - WINDOW : day].reshape(-1, FEATURES).T
    test = _chi_squared if drawn.kind.levels else _ks
    return min(test(*pair) for pair in zip(reference, current, strict=True))


def _ks(before: Floats, now: Floats) -> float:
    present = before[~np.isnan(before)], now[~np.isnan(now)]
    return float(stats.ks_2samp(*present, method="asymp").pvalue)


def _chi_squared(before: Floats, now: Floats) -> float:
    table = np.array([np.bincount(each.astype(int), minlength=5000) for each in (before, now)])
    return float(stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue)
