"""Figures over time: one point for each kept look, with the bars that it was held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from daemon.pictures.canvas import ALARM, BEHIND, CALM, CURRENT, number_told


@dataclass(frozen=True)
class Line:
    """A bar over time: its height at each point (None: not known there), its name at the end, and how it is drawn."""

    name: str
    heights: Sequence[float | None]
    color: str
    style: Any


@dataclass(frozen=True)
class Series:
    """A figure over time. `past` says of each point whether it is past every bar."""

    times: Sequence[datetime]
    values: Sequence[float]
    past: Sequence[bool]
    lines: Sequence[Line]
    intervals: Sequence[tuple[float, float]] | None = None


def draw_series(axes: Axes, series: Series, *, from_zero: bool) -> None:
    """Points, a line through them, and the bars as steps whose names stand to the right of the axes."""
    times: Any = series.times  # matplotlib takes datetimes, and its stubs do not say so
    axes.plot(times, series.values, color=CURRENT, linewidth=1.2, alpha=0.55, zorder=2)
    if series.intervals is not None:
        lows, highs = zip(*series.intervals, strict=True)
        axes.vlines(times, lows, highs, color=CURRENT, linewidth=1.6, alpha=0.6, zorder=2)
    for past, marker, color, face in ((False, "o", CURRENT, "white"), (True, "s", ALARM, ALARM)):
        chosen = [place for place, each in enumerate(series.past) if each is past]
        axes.plot(
            [times[place] for place in chosen],
            [series.values[place] for place in chosen],
            marker,
            color=color,
            markerfacecolor=face,
            markersize=4.5,
            zorder=3,
        )
    first, last = times[0], times[-1]
    length: timedelta = max(last - first, timedelta(hours=1))
    axes.set_xlim(first - length * 0.04, last + length * 0.06)
    last_known = [line for line in series.lines if line.heights[-1] is not None]
    for line in series.lines:
        _draw_line(axes, times, line, length)
    _fit(axes, series, from_zero=from_zero)
    _name(axes, last_known)
    locator = AutoDateLocator(tz=UTC, minticks=2, maxticks=max(int(axes.get_position().width * 16), 3))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    if axes.get_yscale() == "linear":
        axes.locator_params(axis="y", nbins=4)


def _draw_line(axes: Axes, times: Any, line: Line, length: timedelta) -> None:
    """A step for each stretch in which the bar is known; the last one reaches the edge."""
    known = [(time, height) for time, height in zip(times, line.heights, strict=True) if height is not None]
    if not known:
        return
    moments: Any
    moments, heights = [time for time, _ in known], [height for _, height in known]
    if line.heights[-1] is not None:
        moments.append(times[-1] + length * 0.06)
        heights.append(heights[-1])
    if len(known) == 1:
        moments.insert(0, moments[0] - length * 0.04)
        heights.insert(0, heights[0])
    axes.plot(moments, heights, color=line.color, linestyle=line.style, linewidth=1.3, drawstyle="steps-post", zorder=1)


def _fit(axes: Axes, series: Series, *, from_zero: bool) -> None:
    heights = [height for line in series.lines for height in line.heights if height is not None]
    ends = [end for interval in series.intervals or () for end in interval]
    low, high = min([*series.values, *heights, *ends]), max([*series.values, *heights, *ends])
    if axes.get_yscale() == "log":
        axes.set_ylim(low / 2, high * 4)
        axes.yaxis.set_major_formatter(lambda value, _: number_told(value))
        return
    room = (high - (0 if from_zero else low)) or abs(high) or 1.0
    axes.set_ylim(0 if from_zero else low - 0.12 * room, high + 0.2 * room)


def _name(axes: Axes, lines: Sequence[Line]) -> None:
    """The bars' names beside their ends, moved apart where they would cover each other."""
    apart = 12.5 / 72 / (axes.get_window_extent().height / axes.figure.dpi)
    below = -1.0
    into = axes.transData + axes.transAxes.inverted()
    wanted = sorted((into.transform((0, line.heights[-1] or 0.0))[1], line.name, line.color) for line in lines)
    over = max(0.0, max((place for place, _, _ in wanted), default=0.0) + apart / 2 - 1.05)
    for place, name, color in wanted:
        below = max(place - over, below + apart)
        axes.text(1.02, below, name, transform=axes.transAxes, color=color, va="center", ha="left", fontsize=8)


def name_last(axes: Axes, series: Series, *, alarming: bool) -> None:
    """Writes the figure of the look that is drawn beside its point, on the side that the line does not come from."""
    falls = len(series.values) > 1 and series.values[-1] < series.values[-2]
    axes.annotate(
        number_told(series.values[-1], 3),
        (series.times[-1], series.values[-1]),
        (-5, -7 if falls else 6),
        va="top" if falls else "bottom",
        textcoords="offset points",
        ha="right",
        fontsize=9.5,
        fontweight="bold",
        color=ALARM if alarming else CALM,
        bbox=BEHIND,
    )


def calm_label(axes: Axes, text: str) -> None:
    """What the panel shows, above it."""
    axes.set_title(text, loc="left", fontsize=8.5, color=CALM, pad=5)
