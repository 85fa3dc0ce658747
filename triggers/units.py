"""Whether a column of numbers is in other units than its reference: multiplied by a factor, or moved by an offset too.

Called by `triggers.incidents`. A change of units moves every value by one rule, so that taking the rule
back brings the reference's distribution back. Growth and drift are no such thing: they must have
moved the column further than a shift by two standard deviations or a doubled spread could, before any
rule is tried, and then the rule must explain all of it.
"""

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggers.cells import Counts
from triggers.layout import NumberLayout
from triggers.ranks import Ranks
from triggers.wording import figure

Floats = NDArray[np.float64]

# Of time, length, mass, speed, pressure, energy and money; each also the other way round.
_FACTORS = (1.609344, 2.20462, 2.54, 3.28084, 3.6, 4.184, 10, 12, 24, 25.4, 28.3495, 33.8639, 60, 100)
_LARGE_FACTORS = (1000, 1024, 1440, 3600, 86_400, 1e6, 3.6e6, 1e9)
_OFFSETS = (  # of temperature: now = factor * before + offset
    (1.0, 273.15, "degrees Celsius that became kelvins"),
    (1.0, -273.15, "kelvins that became degrees Celsius"),
    (1.8, 32.0, "degrees Celsius that became degrees Fahrenheit"),
    (1 / 1.8, -32 / 1.8, "degrees Fahrenheit that became degrees Celsius"),
    (1.8, -459.67, "kelvins that became degrees Fahrenheit"),
    (1 / 1.8, 459.67 / 1.8, "degrees Fahrenheit that became kelvins"),
)
_FAR = 0.75  # Kolmogorov-Smirnov distance; a normal column shifted by two standard deviations is at 0.68
_FAR_IF_SMALL = 0.72  # of a factor of up to two, which must be met closely: miles and kilometres lie about 0.75 apart
_FAR_WITH_OFFSET = 0.9  # a shift may always be an offset: then it must be one of three standard deviations
_SPREAD = 4.0  # factor of the spread about zero, up or down; twice is a drift, and 100 rows miss it by half at most
_GROWN = 50.0  # the same of a column of one sign, whose spread grows with its values: a lognormal one's by exp(2 sigma)
_ANY = 2.5  # factors that are no known unit's are larger, and then the whole column must have moved
_CLOSE = 0.03  # a factor of up to two must be met so closely, in logarithms: between one and two much is possible
_SEEN = 0.25  # distance that four times the spread makes at least, without a shift, in a column that is no point
_NEAR = 0.1  # Kolmogorov-Smirnov distance, beside its noise, that may be left once the rule is taken back
_NOISE = 1.63  # of the two-sample Kolmogorov-Smirnov distance at a level of 0.01
_LIKE = 0.3  # how far the ratio of spreads may lie from a factor, in logarithms, for it to be tried
_ROUNDING = 1e-6  # relative: what multiplying and dividing leaves, and a reference rounded to float32
_SPREADS = ((0.25, 0.75), (0.1, 0.9), (0.02, 0.98))  # the first that is no point


@dataclass(frozen=True)
class Rule:
    """now = factor * before + offset."""

    factor: float
    offset: float
    told: str

    @property
    def small(self) -> bool:
        """A factor of up to two: what moves slowly may come as far in time."""
        return 0.5 <= self.factor <= 2 and self.offset == 0

    def figures(self) -> dict[str, Any]:
        return {"factor": self.factor, "offset": self.offset}


def changed_units(layout: NumberLayout, before: Counts, values: Floats) -> Rule | None:
    """The rule by which `values` (finite, not empty) follow from the reference counted as `before`; None: by none.

    A factor is called at a Kolmogorov-Smirnov distance of 0.75 (one of up to two at 0.72), or at a spread four
    times as large or small in a column of both signs (50 times in others), and an offset at 0.9; beneath, a
    change of units cannot be told from a drift. A factor that is no known unit's takes 0.9 and 2.5, or such a
    spread. At most 0.1 beside its noise, and half of it, may be left of the distance when the change is taken back.
    """
    spreads = _spreads(layout, before, values)
    if spreads is None:
        return None
    ratio = spreads[1] / spreads[0]
    most = _SPREAD if _of_both_signs(layout, before) else _GROWN
    wide = not 1 / most < ratio < most
    if not wide and not _apart(layout, before, values):
        return None
    distance = _distance(layout, before, values)
    if distance < (_SEEN if wide else _FAR_IF_SMALL):
        return None
    left = min(_NEAR + _NOISE * sqrt(1 / values.size + 1 / int(before.sum())), distance / 2)
    fitted = _fitted(layout, before, values)
    tried = [_Tried.of(rule, layout, before, values) for rule in _rules(ratio, distance, fitted)]
    best = min(tried, key=lambda each: each.left, default=None)
    if best is not None and best.left <= left and (wide or best.rule.small or distance >= _FAR):
        return best.rule
    if not wide and (distance < _FAR_WITH_OFFSET or 1 / _ANY < ratio < _ANY):
        return None
    return fitted if fitted.factor and _Tried.of(fitted, layout, before, values).left <= left else None


@dataclass(frozen=True)
class _Tried:
    """A rule, and the distance that is left once it is taken back."""

    rule: Rule
    left: float

    @classmethod
    def of(cls, rule: Rule, layout: NumberLayout, before: Counts, values: Floats) -> "_Tried":
        return cls(rule, _distance(layout, before, _taken_back(rule, layout, values)))


def _rules(ratio: float, distance: float, fitted: Rule) -> list[Rule]:
    """Those whose factor is like the ratio of the spreads, and, of small factors, like the fitted one."""
    factors = [*_FACTORS, *_LARGE_FACTORS]
    rules = [Rule(factor, 0.0, f"are {figure(factor)} times those of the reference") for factor in factors]
    rules += [Rule(1 / factor, 0.0, f"are those of the reference divided by {figure(factor)}") for factor in factors]
    rules = [rule for rule in rules if not rule.small or _close(rule.factor, fitted.factor)]
    if distance >= _FAR_WITH_OFFSET:
        rules += [Rule(factor, offset, f"look like {told}") for factor, offset, told in _OFFSETS]
    return [rule for rule in rules if abs(log(ratio / rule.factor)) < _LIKE]


def _close(factor: float, fitted: float) -> bool:
    return fitted > 0 and abs(log(fitted / factor)) <= _CLOSE


def _of_both_signs(layout: NumberLayout, before: Counts) -> bool:
    low, high = _quantiles(layout, before, np.array([0.02, 0.98]))
    return bool(low < 0 < high)


def _fitted(layout: NumberLayout, before: Counts, values: Floats) -> Rule:
    """The factor that the quantiles have in common, by least squares."""
    shares = np.arange(0.1, 0.91, 0.1)
    old = _quantiles(layout, before, shares)
    known = np.isfinite(old)
    size = float(old[known] @ old[known])
    factor = float(old[known] @ np.quantile(values, shares)[known]) / size if size else 0.0
    return Rule(factor, 0.0, f"are about {figure(factor)} times those of the reference")


def _taken_back(rule: Rule, layout: NumberLayout, values: Floats) -> Floats:
    """The values as they were, and those that rounding put beside a value of the reference at that value."""
    found = (values - rule.offset) / rule.factor
    above = np.clip(np.searchsorted(layout.breaks, found), 1, layout.breaks.size - 1)
    for near in (layout.breaks[above - 1], layout.breaks[above]):
        same = np.isfinite(near) & (np.abs(found - near) <= _ROUNDING * np.abs(near))
        found[same] = near[same]
    return found


def _distance(layout: NumberLayout, before: Counts, values: Floats) -> float:
    """The Kolmogorov-Smirnov distance of the values from the reference."""
    return Ranks(before, layout.tally(values)).ks


def _apart(layout: NumberLayout, before: Counts, values: Floats) -> bool:
    """Whether the middle halves do not overlap, as a Kolmogorov-Smirnov distance of a half or more implies."""
    low, high = _quantiles(layout, before, np.array([0.25, 0.75]))
    now = np.quantile(values, [0.25, 0.75])
    return bool(now[0] >= high or now[1] <= low)


def _spreads(layout: NumberLayout, before: Counts, values: Floats) -> tuple[float, float] | None:
    """How wide both sides are, by the first pair of quantiles that tells; None: none does."""
    for pair in _SPREADS:
        shares = np.array(pair)
        old, new = np.diff(_quantiles(layout, before, shares))[0], np.diff(np.quantile(values, shares))[0]
        if 0 < old < np.inf and 0 < new < np.inf:
            return float(old), float(new)
    return None


def _quantiles(layout: NumberLayout, counts: Counts, shares: Floats) -> Floats:
    """The reference's quantiles, of its own values."""
    reached = np.cumsum(counts)
    cells = np.searchsorted(reached, shares * reached[-1], "left")
    found: Floats = layout.breaks[(cells + 1) // 2]
    return found
