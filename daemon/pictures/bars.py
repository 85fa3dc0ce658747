"""One column's bars: wide and grey the reference, narrow and blue the current rows, in shares of all rows of either."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from daemon.pictures.canvas import BEHIND, CALM, CURRENT, REFERENCE, number_told, numbers_told, shortened

_GAP = 0.035  # of the width, between the bars of the range and those beside it
_FEWEST = 7  # bars that the axis has room for, so that two of them are no walls
_LONGEST = 16
_REST = frozenset({"other", "rest"})
_EDGES = 8  # of bars of numbers, at most, that are written
_LONG_EDGE = 8  # characters: of longer ones every other is written
_CROWDED = 80  # characters: longer names are slanted


def draw_bars(axes: Axes, bars: Mapping[str, Any]) -> None:
    """Draws what `triggers.bars.Bars.kept` holds."""
    drawn = Drawn(bars)
    before, now = drawn.shares
    axes.bar(drawn.places, before, 0.92, color=REFERENCE, label="reference")
    axes.bar(drawn.places, now, 0.42, color=CURRENT, label="current")
    # All other levels together may be most of the rows: their bar is cut, and its figures are written on it.
    inner = [share for side in drawn.shares for share, name in zip(side, drawn.names, strict=True) if name not in _REST]
    top = max([*inner, 0.01])
    for place, name, old, new in drawn.apart():
        axes.axvspan(place - 0.62, place + 0.62, color="#f4f1ea", zorder=0, linewidth=0)
        if name in {"missing", "unseen"} or max(old, new) >= 0.01:
            told = _percent(new) if _percent(old) == _percent(new) else f"{_percent(old)[:-2]} → {_percent(new)}"
            height = min(max(old, new), top)
            axes.annotate(
                told, (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=8, bbox=BEHIND
            )
    _ticks(axes, bars, drawn)
    axes.set_ylim(0, top * 1.16)
    first, last = min(drawn.places, default=0) - 0.8, max(drawn.places, default=0) + 0.8
    room = max(_FEWEST - (last - first), 0) / 2
    axes.set_xlim(first - room, last + room)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_ylabel("share of rows")
    axes.locator_params(axis="y", nbins=4)


class Drawn:
    """The bars in the order in which they stand: what lies below, the range, and what is beside it."""

    def __init__(self, bars: Mapping[str, Any]) -> None:
        beside: Mapping[str, Sequence[int]] = bars["beside"]
        self.first = [name for name in ("below",) if name in beside]
        self.last = [name for name in ("above", "other", "unseen", "rest", "missing") if any(beside.get(name, (0, 0)))]
        sides = []
        for side, place in (("reference", 0), ("current", 1)):
            counts = [*(beside[name][place] for name in self.first), *bars[side]]
            counts += [beside[name][place] for name in self.last]
            total = sum(counts)
            sides.append([each / total if total else 0.0 for each in counts])
        self.shares = sides[0], sides[1]
        self.number = len(bars["reference"])
        self.names = [*self.first, *[""] * self.number, *self.last]
        gap = 0.3 + _GAP * self.number
        inner = [float(place) for place in range(self.number)]
        self.places = [-1 - gap, *inner] if self.first else inner
        self.places += [self.number + gap + step * (1 + gap) for step in range(len(self.last))]

    def apart(self) -> list[tuple[float, str, float, float]]:
        """The bars of their own: place, name, and both shares."""
        return [each for each in zip(self.places, self.names, *self.shares, strict=True) if each[1]]


def _ticks(axes: Axes, bars: Mapping[str, Any], drawn: Drawn) -> None:
    """What the bars are, below them: names, values, or some of the edges between them."""
    marks, reach = bars["marks"], bars["reach"]
    edged = bars["spacing"] in {"widths", "quantiles"}
    places: list[float] = []
    names: list[str] = []
    if edged:
        chosen = range(0, len(marks), -(-len(marks) // _EDGES))
        names += numbers_told([marks[place] for place in chosen])
        if max(map(len, names)) > _LONG_EDGE:
            chosen, names = chosen[::2], names[::2]
        places += [place - 0.5 for place in chosen]
    else:
        places += range(len(marks))
        names += marks if bars["spacing"] == "levels" else numbers_told(marks)
    for place, name, _, _ in drawn.apart():
        low, high = (number_told(each) for each in reach) if reach and not edged else ("", "")  # the edges say it
        told = {"below": f"under {low}", "above": f"over {high}", "rest": "rare, unseen"}.get(name, name)
        places.append(place)
        names.append(told.strip())
    axes.set_xticks(places, [shortened(name, _LONGEST) for name in names])
    if bars["spacing"] == "levels" and len(names) * max(map(len, names)) > _CROWDED:
        for label in axes.get_xticklabels():
            label.set(rotation=25, ha="right", rotation_mode="anchor", fontsize=7.5)
    axes.tick_params(axis="x", length=2, pad=2, colors=CALM)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 or share == 0 else f"{100 * share:.1f} %"
