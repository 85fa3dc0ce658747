"""Whether a classifier can tell the current rows from the reference's: drift that no single column shows.

Called by the drift trigger's `multivariate`. Gradient boosting learns the two apart on one half of the rows; on the
other half the chance that it gives a current row the higher score (ROC AUC) is the Mann-Whitney
statistic of scores that it cannot have learned, so that its p-value is exact without drift, however good
or bad the classifier (Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests"; Kim, Ramdas,
Singh and Wasserman 2021, "Classification accuracy as a proxy for two-sample testing").

The halves are alternating spans of time, a seventh of the window each, so that a row's neighbours are on
its own side. What one stretch of the reference differs from another is no drift: where the reference has
times, the AUC must also exceed what its own blocks of the window's length reach against the rest, with
a t-like prediction bound for one more block, their own noise included: the part of so few blocks that
is not noise is known too roughly to be told apart. That is asked only where noise and effect are passed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from triggers.cells import instants
from triggers.columns import chosen, kind_of, labels, numbers
from triggers.evidence import TIME
from triggers.season import Season, number_of, strata, thinned
from triggers.verdict import Outcome, Verdict
from triggers.wording import figure, listing

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rows = NDArray[np.bool_]

_MOST_ROWS = 20_000  # of either side
_MOST_CELLS = 4_000_000  # of either side
_FEWEST = 100  # of either side, in either half
_PARTS = 14  # the spans of rows without times; of timed ones the window's length has half as many
_LEVELS = 63  # of a column of categories; the rarer ones are one
_TOLD = 0.1  # of what the column leaned on most loses: the others are not named
_BLOCKS, _FEWEST_BLOCKS = 8, 4
_SLACK = 0.05  # the oldest block may begin by so much of itself before the first row
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Bars:
    """What the AUC must exceed: the level of its p-value, the effect that matters and, with `natural`, the reference's
    own moves over blocks as long as the window (or a part of it). `season` compares like with like."""

    level: float
    auc: float
    window: timedelta
    natural: bool
    season: Season | None


@dataclass(frozen=True)
class Apart:
    """How well the rows can be told apart."""

    auc: float
    p_value: float
    rows: int  # that it was judged on
    bars: Bars
    leaned: Mapping[str, float] = field(default_factory=dict)  # what the AUC loses when a column is shuffled
    natural_bar: float | None = None  # None: not known, or not asked for
    blocks: int | None = None

    @property
    def passed(self) -> dict[str, bool]:
        """Whether each bar that is known was passed."""
        passed = {"noise": self.p_value <= self.bars.level, "effect": self.auc >= self.bars.auc}
        return passed if self.natural_bar is None else {**passed, "nature": self.auc > self.natural_bar}

    @property
    def drifted(self) -> bool:
        return all(self.passed.values())

    def told(self) -> str:
        """A sentence."""
        past = [bar for bar, held in self.passed.items() if held]
        short = [bar for bar, held in self.passed.items() if not held]
        bars = [f"past {listing(past)}"] if past else []
        bars += [f"not past {' or '.join(short)}"] if short else []
        least = _TOLD * max(self.leaned.values(), default=0.0)
        most = [name for name, lost in sorted(self.leaned.items(), key=lambda each: -each[1]) if lost > least]
        by = f", most by {listing(most)}" if most else ""
        verb = "tell" if self.drifted else "do not tell"
        found = f"AUC {figure(self.auc)} on {self.rows:,} held-out rows; {', '.join(bars)}"
        level = f"at level {figure(self.bars.level)}"
        return f"Together the columns {verb} these rows from the reference's{by} ({found}), {level}."

    def figures(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "auc": self.auc,
            "p_value": self.p_value,
            "level": self.bars.level,
            "rows": self.rows,
            "natural_bar": self.natural_bar,
            "blocks": self.blocks,
            "leaned": dict(self.leaned),
            **self.passed,
            "drifted": self.drifted,
        }


def tell_apart(reference: "pa.Table", current: "pa.Table", names: Sequence[str], bars: Bars) -> Apart | str:
    """How well a classifier tells the rows of the two tables apart by the columns `names`, or why it cannot be judged,
    as a clause. Raises ValueError naming a column that cannot be compared."""
    before, now = _Sample.of(reference, len(names)), _Sample.of(current, len(names))
    inputs, categories = _inputs(before.table, now.table, names)
    rows = np.arange(before.table.num_rows), before.table.num_rows + np.arange(now.table.num_rows)
    timed = before.times is not None and now.times is not None
    season = bars.season if timed else None
    problem = _Problem(inputs, categories, season)
    found = problem.judged(before.side(rows[0]), now.side(rows[1]), bars.window // _MICROSECOND)
    if found is None:
        return f"it takes {_FEWEST} rows of either side in either half, and like ones where there is a season"
    apart = Apart(found.auc, float(special.ndtr(-found.deviations)), found.rows, bars)
    if not apart.drifted:
        return apart
    blocks = list(_blocks(problem, before, bars.window)) if timed and bars.natural else []
    leaned = dict(zip(names, found.losses(), strict=True))
    bar = _natural_bar(blocks, found.variance, bars.level) if blocks else None
    return Apart(apart.auc, apart.p_value, apart.rows, bars, leaned, bar, len(blocks) or None)


def joined(verdict: Verdict, found: Apart | str) -> Verdict:
    """The verdict on single columns with the one on all together: either fires."""
    if isinstance(found, str):
        told = f"All columns together are not judged: {found}."
        return replace(verdict, sentence=f"{verdict.sentence} {told}", numbers={**verdict.numbers, "together": None})
    outcome = Outcome.FIRED if found.drifted else verdict.outcome
    numbers = {**verdict.numbers, "together": found.figures()}
    return replace(verdict, outcome=outcome, sentence=f"{verdict.sentence} {found.told()}", numbers=numbers)


@dataclass(frozen=True)
class _Sample:
    """Rows of one table, evenly taken, and their times in microseconds; None: they have none."""

    table: "pa.Table"
    times: Integers | None

    @classmethod
    def of(cls, table: "pa.Table", columns: int) -> "_Sample":
        most = min(_MOST_ROWS, _MOST_CELLS // max(columns, 1))
        if TIME in table.column_names:
            table = chosen(table, instants(table.column(TIME))[1])
        kept = np.zeros(table.num_rows, dtype=bool)
        number = min(table.num_rows, most)
        kept[np.arange(number) * table.num_rows // max(number, 1)] = True
        table = chosen(table, kept)
        return cls(table, instants(table.column(TIME))[0] if TIME in table.column_names else None)

    def side(self, rows: Integers) -> "_Side":
        return _Side(rows, self.times)


@dataclass(frozen=True)
class _Side:
    """One of the two samples: the places of its rows among the inputs, and their times."""

    rows: Integers
    times: Integers | None

    def only(self, kept: Any) -> "_Side":
        return _Side(self.rows[kept], None if self.times is None else self.times[kept])

    def learned(self, window: int, season: Season | None) -> Rows:
        """The rows to learn from, the others being held out. With `season: week` one half has the even days of the
        week, so that each half has like days of both sides."""
        number, width = self.rows.size, max(window * 2 // _PARTS, 1)
        if self.times is not None and season == "week":
            spans = strata(self.times, "week")
        elif self.times is None or not number or np.ptp(self.times) < 4 * width:
            spans = np.arange(number) * _PARTS // max(number, 1)
        else:
            spans = self.times // width
        even: Rows = spans % 2 == 0
        return even


@dataclass(frozen=True)
class _Found:
    """One classifier on the rows that it has not seen."""

    model: Any
    inputs: Floats
    is_current: Rows
    auc: float
    variance: float  # of the AUC where nothing tells the rows apart

    @property
    def rows(self) -> int:
        return self.is_current.size

    @property
    def deviations(self) -> float:
        return (self.auc - 0.5) / sqrt(self.variance) if self.variance else 0.0

    def losses(self) -> Iterator[float]:
        """Of each column, what the AUC loses when its values are shuffled between the rows."""
        random = np.random.default_rng(0)
        kept = np.arange(self.rows)[:: max(self.rows // 4000, 1)]
        inputs, is_current = self.inputs[kept], self.is_current[kept]
        whole = _roc(_scores(self.model, inputs), is_current)[0]
        for column in range(inputs.shape[1]):
            shuffled = inputs.copy()
            random.shuffle(shuffled[:, column])
            yield whole - _roc(_scores(self.model, shuffled), is_current)[0]


@dataclass(frozen=True)
class _Problem:
    """The inputs of all rows, one row each, which columns are codes of categories, and the season."""

    inputs: Floats
    categories: Sequence[bool]
    season: Season | None

    def judged(self, before: _Side, now: _Side, window: int) -> _Found | None:
        """None: there are too few rows, or `before` lacks those like the ones of `now`."""
        if self.season is not None and before.times is not None and now.times is not None:
            mix = np.bincount(strata(now.times, self.season), minlength=number_of(self.season))
            like = thinned(strata(before.times, self.season), mix)
            if like is None:
                return None
            before = before.only(like)
        learned = [side.learned(window, self.season) for side in (before, now)]
        if any(min(int(half.sum()), int((~half).sum())) < _FEWEST for half in learned):
            return None
        rows = np.concatenate([before.rows, now.rows])
        is_current = np.repeat([False, True], [before.rows.size, now.rows.size])
        half = np.concatenate(learned)
        model = _fitted(self.inputs[rows[half]], is_current[half], self.categories)
        held_out = self.inputs[rows[~half]]
        auc, variance = _roc(_scores(model, held_out), is_current[~half])
        return _Found(model, held_out, is_current[~half], auc, variance)


def _fitted(inputs: Floats, is_current: Rows, categories: Sequence[bool]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        max_iter=60,
        max_leaf_nodes=31,
        max_bins=_LEVELS + 1,
        min_samples_leaf=20,
        categorical_features=list(categories) if any(categories) else None,
        class_weight="balanced",
        early_stopping=False,
        random_state=0,
    )
    # On a busy machine threads that wait for each other take many times as long as one alone.
    with threadpool_limits(1):
        model.fit(inputs, is_current)
    return model


def _scores(model: Any, inputs: Floats) -> Floats:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        scores: Floats = model.decision_function(inputs)
    return scores


def _roc(scores: Floats, is_current: Rows) -> tuple[float, float]:
    """The AUC, ties counting half, and its variance where the scores of both sides are alike (Mann-Whitney)."""
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    now = int(is_current.sum())
    before, both = is_current.size - now, is_current.size
    auc = (float(ranks[is_current].sum()) - now * (now + 1) / 2) / (now * before)
    tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / (both * (both - 1))
    return auc, (both + 1 - tied) / (12 * now * before)


def _blocks(problem: _Problem, before: _Sample, window: timedelta) -> Iterator[_Found]:
    """Blocks of the reference, each told from the rest of it: up to eight, of the window's length where there are as
    many, else of the longest part of it that there are eight of, else four."""
    times = before.times
    assert times is not None  # noqa: S101 the caller saw to it
    lengths = [window // _MICROSECOND * parts // 7 for parts in (7, 3, 1)]
    numbers = [int((np.ptp(times) + 1) / max(length, 1) + _SLACK) for length in lengths]
    for fewest in (_BLOCKS, _FEWEST_BLOCKS):
        for length, number in zip(lengths, numbers, strict=True):
            if number >= fewest:
                block = (times.max() - times) // length
                side = before.side(np.arange(times.size))
                for each in np.linspace(0, number - 1, min(number, _BLOCKS)).astype(int):
                    found = problem.judged(side.only(block != each), side.only(block == each), length)
                    if found is not None:
                        yield found
                return


def _natural_bar(blocks: Sequence[_Found], variance: float, level: float) -> float | None:
    """What the AUC of one more block exceeds with a chance of at most `level`. None: there are too few blocks."""
    if len(blocks) < _FEWEST_BLOCKS:
        return None
    square = sum((each.auc - 0.5) ** 2 for each in blocks) / len(blocks) * (1 + 1 / len(blocks))
    beyond = float(special.stdtrit(len(blocks) - 1, 1 - level)) * sqrt(square)
    return 0.5 + max(beyond, float(special.ndtri(1 - level)) * sqrt(variance))


def _inputs(before: "pa.Table", now: "pa.Table", names: Sequence[str]) -> tuple[Floats, list[bool]]:
    """Both tables' columns as floats, NaN where a value is missing, and which of them are codes of categories."""
    inputs = np.empty((before.num_rows + now.num_rows, len(names)))
    categories = []
    for place, name in enumerate(names):
        try:
            parts = before.column(name), now.column(name)
            category = "category" in {kind_of(part) for part in parts}
            inputs[:, place] = _codes(*parts) if category else np.concatenate([numbers(part) for part in parts])
        except ValueError as error:
            raise ValueError(f"column {name} {error}") from error
        except KeyError as error:
            raise ValueError(f"column {name} is not there") from error
        categories.append(category)
    inputs[~np.isfinite(inputs)] = np.nan
    return inputs, categories


def _codes(before: "pa.ChunkedArray", now: "pa.ChunkedArray") -> Floats:
    """A code for each of the 63 most frequent levels of both together, and one for all others."""
    told = [each for part in (before, now) for each in labels(part).to_pylist()]
    known = {each: place for place, each in enumerate(dict.fromkeys(each for each in told if each is not None))}
    places = np.array([-1 if each is None else known[each] for each in told], dtype=np.int64)
    counts = np.bincount(places[places >= 0], minlength=len(known))
    code = np.full(len(known) + 1, float(_LEVELS))
    code[np.argsort(-counts, kind="stable")[:_LEVELS]] = np.arange(min(len(known), _LEVELS))
    code[-1] = np.nan  # the place -1
    return code[places]
