"""A column's counts as the few bars that a picture of it takes.

Called by `triggers.picture`. Each bar is the sum of whole cells of the engine (`triggers.layout`), so that what is
drawn is what was judged. Numbers have a bar for each value where there are few, bars of equal width
over the ordinary range where that shows the column, and bars of equal parts of the reference where it
does not: one wild value, or a long tail, flattens no picture. What lies outside, what the reference
does not have and what is missing are bars of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from triggers.cells import Counts
from triggers.layout import CategoryLayout, EmptyLayout, Layout, NumberLayout

Floats = NDArray[np.float64]
Spacing = Literal["values", "widths", "quantiles", "levels"]

MOST_BARS = 30  # of a column, those beside included
_FINE = 24  # bars of numbers, those beside apart
_PARTS = 20  # equal parts of the reference
_WIDE_ENOUGH = 8  # so many bars of equal width with a hundredth of the reference each show a column
_COMMON, _CHANGED = 10, 4  # levels that are drawn: the most frequent ones, and those that changed most beside them
_LONGEST = 60  # characters of a level's name that are kept


@dataclass(frozen=True)
class Bars:
    """Counts of both sides, bar by bar. JSON-able as `kept`.

    `marks` are the values or levels of the bars, or the edges between them (one more than there are bars).
    `beside` names the bars of their own: below, above (the range of the others, whose ends `reach` has),
    other (values or levels between them), unseen (levels that the reference does not have), rest
    (those and the reference's rarest, counted together), missing.
    """

    spacing: Spacing
    marks: Sequence[Any]
    reference: list[int]
    current: list[int]
    beside: dict[str, list[int]]
    reach: list[float] | None = None

    def kept(self) -> dict[str, Any]:
        return dict(vars(self))


def bars_of(layout: Layout, reference: Counts, current: Counts, missing: tuple[int, int]) -> Bars:
    """The bars of one column, of its cells' counts and of how many rows of either side miss the value."""
    if isinstance(layout, NumberLayout):
        return _numbers(layout, reference, current, missing)
    if isinstance(layout, EmptyLayout):
        return _bars("levels", ["any value"], (reference, current), {"missing": missing})
    return _levels(layout, reference, current, missing)


def _levels(layout: CategoryLayout, reference: Counts, current: Counts, missing: tuple[int, int]) -> Bars:
    before, now = reference[:-1], current[:-1]
    shares = before / max(int(reference.sum()), 1), now / max(int(current.sum()), 1)
    common = np.argsort(-np.maximum(*shares), kind="stable")[:_COMMON]
    changed = [place for place in np.argsort(-np.abs(shares[0] - shares[1]), kind="stable") if place not in common]
    chosen = np.sort(np.append(common, changed[:_CHANGED]).astype(np.int64))
    names = [layout.levels[place] for place in chosen.tolist()]
    others = tuple(int(side.sum() - side[chosen].sum()) for side in (before, now))
    last = "unseen" if layout.complete else "rest"
    beside = {"other": others, last: (int(reference[-1]), int(current[-1])), "missing": missing}
    cut = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names]
    return _bars("levels", cut, (before[chosen], now[chosen]), beside)


def _numbers(layout: NumberLayout, reference: Counts, current: Counts, missing: tuple[int, int]) -> Bars:
    sides = reference, current
    finite = layout.breaks[1:-1]
    if finite.size <= _FINE:
        gaps = {"below": slice(0, 2), "other": slice(3, -3, 2), "above": slice(-2, None)}
        if not finite.size:  # nothing but infinite values
            gaps = {"below": slice(0, 1), "other": slice(1, 2), "above": slice(2, None)}
        beside = {name: (int(reference[part].sum()), int(current[part].sum())) for name, part in gaps.items()}
        reach = [float(finite[0]), float(finite[-1])] if finite.size else None
        values = reference[2:-2:2], current[2:-2:2]
        return _bars("values", _short(finite), values, beside | {"missing": missing}, reach)
    edges = _widths(layout, reference, current)
    spacing: Spacing = "widths"
    if edges is None or not _shows(reference, np.searchsorted(layout.breaks, edges), finite.size):
        spacing, edges = "quantiles", layout.breaks[np.minimum(_quantiles(reference), finite.size)]
    starts = np.searchsorted(layout.breaks, edges)
    starts[-1] += spacing == "quantiles"  # its last edge is the largest value, which belongs to the last bar
    # The gap beyond the largest value holds what is above all of the reference.
    ends = np.minimum(2 * starts, 2 * finite.size + 1)
    parts = tuple(np.diff(np.append(0, np.cumsum(side))[ends]) for side in sides)
    beside = {
        "below": (int(reference[: ends[0]].sum()), int(current[: ends[0]].sum())),
        "above": (int(reference[ends[-1] :].sum()), int(current[ends[-1] :].sum())),
        "missing": missing,
    }
    reach = [max(float(edges[0]), float(finite[0])), min(float(edges[-1]), float(finite[-1]))]
    return _bars(spacing, _short(edges), (parts[0], parts[1]), beside, reach)


def _bars(
    spacing: Spacing,
    marks: Sequence[Any],
    sides: tuple[Counts, Counts],
    beside: Mapping[str, tuple[int, ...]],
    reach: list[float] | None = None,
) -> Bars:
    # Beside stands what there is; the missing are always told, since none missing is telling, too.
    held = {name: list(counts) for name, counts in beside.items() if any(counts) or name == "missing"}
    return Bars(spacing, marks, sides[0].tolist(), sides[1].tolist(), held, None if reach is None else _short(reach))


def _widths(layout: NumberLayout, reference: Counts, current: Counts) -> Floats | None:
    """Round edges of equal steps over the ordinary range of both sides; None: there is no such range.

    That is the central 98 % of the reference and a quarter beyond, or as far as the current rows reach, but at most
    one and a half of it beyond.
    """
    finite = layout.breaks[1:-1]
    low, high = (_quantile(layout, reference, share) for share in (0.01, 0.99))
    width = high - low
    if not 0 < width < np.inf:
        return None
    ends = [_quantile(layout, current, share) for share in (0.01, 0.99)] if current.any() else [low, high]
    first = max(min(low - width / 4, ends[0]), low - 1.5 * width, finite[0])
    last = min(max(high + width / 4, ends[1]), high + 1.5 * width, finite[-1])
    step = _round_step((last - first) / (_FINE - 2), whole=bool((finite == np.floor(finite)).all()))
    edges: Floats = np.arange(floor(first / step), floor(last / step) + 2) * step
    return edges if 2 < edges.size <= _FINE + 2 else None


def _round_step(least: float, *, whole: bool) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `least`; of whole numbers a whole one."""
    if whole and least <= 10:
        return float(max(ceil(least), 1))
    power: float = 10.0 ** floor(log10(least))
    return next(step for step in (power, 2 * power, 2.5 * power, 5 * power, 10 * power) if step >= least * (1 - 1e-9))


def _shows(reference: Counts, starts: Counts, values: int) -> bool:
    """Whether enough of the bars hold something."""
    ends = np.minimum(2 * starts, 2 * values + 1)
    parts = np.diff(np.append(0, np.cumsum(reference))[ends])
    return int((parts >= 0.01 * reference.sum()).sum()) >= _WIDE_ENOUGH


def _quantiles(reference: Counts) -> Counts:
    """The break points that cut the reference into equal parts, and one behind its largest value."""
    reached = np.cumsum(reference)[0::2]  # up to and including each break point
    inner = reached[1:-1]
    wanted = inner[-1] * np.arange(_PARTS) / _PARTS
    starts = np.searchsorted(inner, wanted, "right")
    found: Counts = np.append(np.unique(starts) + 1, inner.size + 1)
    return found


def _quantile(layout: NumberLayout, cells: Counts, share: float) -> float:
    """The finite break point up to which at least such a share of the rows lies."""
    reached = np.cumsum(cells)[0::2]
    place = int(np.searchsorted(reached, max(ceil(share * int(reached[-1])), 1)))
    return float(layout.breaks[min(max(place, 1), layout.breaks.size - 2)])


def _short(values: Sequence[float] | Floats) -> list[float]:
    """To ten significant figures, as many as tell the days of a time in microseconds apart, and more."""
    return [float(f"{value:.10g}") for value in values]
