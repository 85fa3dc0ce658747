"""Which columns have drifted: every test of every column, over windows of several lengths, against two bars.

Called by the drift trigger. A test passes the bar of noise when its p-value, corrected for the number
of all tests of the look, is at most the look's level; that of effect when the effect that belongs to
it is of the size asked for. A column has drifted when one test passes both at once.

With Holm's or Bonferroni's correction the chance that any test of a look passes the bar of noise
without any drift is at most the level, whatever the dependence between columns, tests and windows;
the other bars only make it smaller. Expectations add up whatever the dependence between looks, so
the false alarms expected in a time are at most the sum of its looks' levels. Benjamini-Hochberg's
correction is as good where the tests depend on each other positively.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from triggers.comparison import Comparison, Sizes, Tested
from triggers.statistics import Correction, adjust
from triggers.wording import figure, percent, span

_TOLD = {"rank_sum": "location", "mood": "scale"}


@dataclass(frozen=True)
class Compared:
    """All columns of one pair of samples over one window."""

    length: timedelta | None  # None: the samples have no time
    rows: Mapping[str, int]  # of the reference and of the current data
    comparisons: Sequence[Comparison]

    def told(self) -> dict[str, Any]:
        """Which window it is, JSON-able."""
        return {"window": None if self.length is None else span(self.length), "rows": dict(self.rows)}


@dataclass(frozen=True)
class Judged:
    """One test of one column over one window, and which bars it passed."""

    comparison: Comparison
    length: timedelta | None
    test: Tested
    p_adjusted: float
    noise: bool

    @property
    def bars(self) -> dict[str, bool]:
        """Whether each bar was passed."""
        return {"noise": self.noise, "effect": self.test.large}

    @property
    def drifted(self) -> bool:
        return all(self.bars.values())

    def figures(self) -> dict[str, Any]:
        """JSON-able."""
        length = None if self.length is None else span(self.length)
        return {"test": self.test.name, "window": length, "p_adjusted": self.p_adjusted, **self.bars}

    def told(self) -> str:
        """The column's name with what is most telling about it, and the bars."""
        return f"{self.comparison.name} ({', '.join(_figures(self.comparison, self.test))}; {self._bars_told()})"

    def _bars_told(self) -> str:
        passed = [bar for bar, held in self.bars.items() if held]
        failed = [bar for bar, held in self.bars.items() if not held]
        told = [f"past {_series(passed, 'and')}"] if passed else []
        told += [f"not past {_series(failed, 'or')}"] if failed else []
        return ", ".join(told)


def judge(compared: Sequence[Compared], sizes: Sizes, correction: Correction, level: float) -> dict[str, Judged]:
    """Of each column, in the order given, the test that tells most: one that passed all bars, else most of them, and
    of those the one with the smallest p-value."""
    tests = [
        (comparison, each.length, test)
        for each in compared
        for comparison in each.comparisons
        for test in comparison.tests(sizes)
    ]
    adjusted = adjust([test.p_value for _, _, test in tests], correction)
    best: dict[str, Judged] = {each.name: _untested(each) for part in compared for each in part.comparisons}
    for (comparison, length, test), p in zip(tests, adjusted, strict=True):
        judged = Judged(comparison, length, test, p, p <= level)
        if _rank(judged) > _rank(best[comparison.name]):
            best[comparison.name] = judged
    return best


def _untested(comparison: Comparison) -> Judged:
    """A column of which nothing can be tested: no value on one side, and none missing on either."""
    return Judged(comparison, None, Tested("ks", 1.0, 0.0, large=False), 1.0, noise=False)


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


def _series(names: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
