"""Which columns have drifted: every test of every column, over windows of several lengths, against three bars.

Called by the drift trigger. A test passes the bar of noise when its p-value, corrected for the number
of all tests of the look, is at most the look's level; that of effect when the effect that belongs to
it is of the size asked for; and that of nature when its distance also exceeds what the reference's
own blocks move (`triggers.natural`), at the level divided by the number of tests. A column has
drifted when one test passes every bar at once; one that is not known is not asked for.

Tests of location have the larger part of the level, and so have columns of more weight
(`triggers.weights`): p-values are divided by weights, and the level of a test is the look's in
proportion to its own. With Holm's or Bonferroni's correction the chance that any test of a look passes
the bar of noise without any drift is then at most the level, whatever the dependence between columns,
tests and windows; the other bars only make it smaller. Expectations add up whatever the dependence
between looks, so the false alarms expected in a time are at most the sum of its looks' levels.
Benjamini-Hochberg's correction is as good where the tests depend on each other positively.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from triggers.comparison import Comparison, Sizes, Tested, TestName
from triggers.natural import Nature
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.statistics import Correction, adjust
from triggers.wording import figure, percent, series, span

# A column's three tests of order share its part of the level so (they add up to 3): of small drifts most are shifts.
_WEIGHTS: dict[TestName, float] = {"rank_sum": 2.0, "ks": 0.5, "mood": 0.5}
# A shift moves the mean squared rank by its square, times 12 at most. That square has a far heavier tail than the
# shift, so the blocks' own mean square does not bound it.
_SPREAD_OF_A_SHIFT = 12
_TOLD = {"rank_sum": "location", "mood": "scale"}


@dataclass(frozen=True)
class Compared:
    """All columns of one pair of samples over one window."""

    length: timedelta | None  # None: the samples have no time
    rows: Mapping[str, int]  # of the reference and of the current data
    comparisons: Sequence[Comparison]
    natures: Mapping[tuple[str, TestName], Nature]  # by column and test; what is not in it is not known
    reference: ReferenceProfile  # what was compared, to be drawn
    current: WindowProfile

    def told(self) -> dict[str, Any]:
        """Which window it is, and how many blocks of the reference tell its natural variation. JSON-able."""
        nature = next(iter(self.natures.values()), None)
        return {
            "window": None if self.length is None else span(self.length),
            "rows": dict(self.rows),
            "blocks": None if nature is None else {"number": nature.blocks, "length": span(nature.length)},
        }

    def natural_bar(self, comparison: Comparison, test: Tested, level: float) -> float | None:
        """What the test's distance must exceed beyond the data's own moves; None: not known."""
        nature = self.natures.get((comparison.name, test.name))
        location = self.natures.get((comparison.name, "rank_sum"))
        if nature is None:
            return None
        before, now = float(self.rows["reference"]), float(self.rows["current"])
        if test.name in {"ks", "rank_sum", "mood"}:
            before *= 1 - comparison.missing_reference
            now *= 1 - comparison.missing_current
        bar = nature.bar(level, 1 / before + 1 / now)
        if test.name == "mood" and location is not None:
            bar += _SPREAD_OF_A_SHIFT * location.bar(level, 1 / before + 1 / now) ** 2
        return bar


@dataclass(frozen=True)
class Judged:
    """One test of one column over one window, and which bars it passed."""

    comparison: Comparison
    length: timedelta | None
    test: Tested
    p_adjusted: float
    noise: bool
    natural_bar: float | None  # None: not known
    weight: float = 1.0  # of the column
    level: float = 1.0  # the test's part of the look's level
    tests: tuple["Judged", ...] = ()  # of the test that tells most: all tests of the column, over every window

    @property
    def nature(self) -> bool | None:
        """Whether the bar of nature was passed; None: it is not known."""
        return None if self.natural_bar is None else self.test.distance > self.natural_bar

    @property
    def bars(self) -> dict[str, bool]:
        """Whether each bar that is known was passed."""
        bars = {"noise": self.noise, "effect": self.test.large}
        return bars if self.nature is None else {**bars, "nature": self.nature}

    @property
    def drifted(self) -> bool:
        return all(self.bars.values())

    def figures(self) -> dict[str, Any]:
        """JSON-able."""
        length = None if self.length is None else span(self.length)
        return {
            "test": self.test.name,
            "window": length,
            "p_adjusted": self.p_adjusted,
            "distance": self.test.distance,
            "natural_bar": self.natural_bar,
            "noise": self.noise,
            "effect": self.test.large,
            "nature": self.nature,
            "weight": self.weight,
        }

    def told(self) -> str:
        """The column's name with what is most telling about it, and the bars."""
        figures = _figures(self.comparison, self.test)
        if self.weight not in {0, 1}:
            figures.append(f"weight {figure(self.weight)}")
        return f"{self.comparison.name} ({', '.join(figures)}; {self._bars_told()})"

    def _bars_told(self) -> str:
        passed = [bar for bar, held in self.bars.items() if held]
        failed = [bar for bar, held in self.bars.items() if not held]
        told = [f"past {series(passed, 'and')}"] if passed else []
        told += [f"not past {series(failed, 'or')}"] if failed else []
        return ", ".join(told)


def judge(
    compared: Sequence[Compared],
    sizes: Sizes,
    correction: Correction,
    level: float,
    weights: Mapping[str, float] | None = None,
) -> dict[str, Judged]:
    """Of each column, in the order given, the test that tells most: one that passed all bars, else most of them, and
    of those the one with the smallest p-value. `weights`, above 0, hold the columns to judge; None: all, alike."""
    if weights is None:
        weights = {comparison.name: 1.0 for each in compared for comparison in each.comparisons}
    tests = [
        (each, comparison, test)
        for each in compared
        for comparison in each.comparisons
        if comparison.name in weights
        for test in comparison.tests(sizes)
    ]
    parts = [weights[comparison.name] * _WEIGHTS.get(test.name, 1.0) for _, comparison, test in tests]
    whole = sum(parts)
    adjusted = adjust([test.p_value for _, _, test in tests], correction, parts)
    best: dict[str, Judged] = {
        comparison.name: _untested(comparison, weights[comparison.name])
        for each in compared
        for comparison in each.comparisons
        if comparison.name in weights
    }
    of_column: dict[str, list[Judged]] = {name: [] for name in best}
    for (each, comparison, test), p, part in zip(tests, adjusted, parts, strict=True):
        share = level * part / whole
        bar = each.natural_bar(comparison, test, share)
        weight = weights[comparison.name]
        judged = Judged(comparison, each.length, test, p, p <= level, bar, weight, share)
        of_column[comparison.name].append(judged)
        if _rank(judged) > _rank(best[comparison.name]):
            best[comparison.name] = judged
    return {name: replace(each, tests=tuple(of_column[name])) for name, each in best.items()}


def judge_weighted(
    compared: Sequence[Compared], sizes: Sizes, correction: Correction, level: float, weights: Mapping[str, float]
) -> tuple[dict[str, Judged], dict[str, Judged]]:
    """The columns that count, judged as by `judge`, and those that are left out (their weight is 0), judged for
    themselves at the same level: to be told of, not to decide."""
    counted = judge(compared, sizes, correction, level, {name: weight for name, weight in weights.items() if weight})
    others = judge(compared, sizes, correction, level, {name: 1.0 for name, weight in weights.items() if not weight})
    return counted, {name: replace(each, weight=0.0) for name, each in others.items()}


def furthest(judged: Mapping[str, Judged]) -> list[Judged]:
    """Those furthest from the reference first."""
    return sorted(judged.values(), key=lambda each: -each.comparison.strength)


def figures(compared: Sequence[Compared], judged: Mapping[str, Judged]) -> dict[str, Any]:
    """By column, those of its longest window and of the test that tells most. JSON-able."""
    whole = {each.name: each for part in reversed(compared) for each in part.comparisons}
    return {name: {**whole[name].figures(), **each.figures(), "drifted": each.drifted} for name, each in judged.items()}


def _untested(comparison: Comparison, weight: float) -> Judged:
    """A column of which nothing can be tested: no value on one side, and none missing on either."""
    nothing = Tested("ks", 1.0, 0.0, large=False)
    return Judged(comparison, None, nothing, 1.0, noise=False, natural_bar=None, weight=weight)


def _rank(judged: Judged) -> tuple[int, float]:
    return sum(judged.bars.values()), -judged.test.p_value


def _figures(comparison: Comparison, test: Tested) -> list[str]:
    parts = []
    if comparison.ks is not None:
        parts.append(f"KS {figure(comparison.ks)}")
    if comparison.kind == "number":
        parts.append(f"PSI {figure(comparison.psi)}")
    else:
        parts.append(f"JS {figure(comparison.js)}")
    if test.name in _TOLD:
        parts.append(f"{_TOLD[test.name]} {figure(test.distance)}")
    if abs(comparison.missing_current - comparison.missing_reference) >= 0.01:
        parts.append(f"{percent(comparison.missing_current)} missing, was {percent(comparison.missing_reference)}")
    if comparison.unseen >= 0.01:
        parts.append(f"{percent(comparison.unseen)} in categories never seen before")
    if comparison.note is not None:
        parts.append(comparison.note)
    return parts
