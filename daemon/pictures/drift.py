"""A drift verdict drawn: a row for each kept column, its bars on the left and its statistic over time on the right."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from daemon.pictures import heading
from daemon.pictures.bars import draw_bars
from daemon.pictures.canvas import ALARM, CALM, EFFECT, NATURE, NOISE, figure, fitting, panel, width, write
from daemon.pictures.series import Line, Series, calm_label, draw_series, name_last
from daemon.pictures.story import Story, Test, test_of
from triggers.picture import kept_tests
from triggers.wording import count, series

_ROWS = 6  # of a figure
_ROW = 2.35  # inches
_LEFT, _BARS, _SERIES_LEFT, _SERIES = 0.75, 6.1, 7.75, 3.1
_NAME = 3.1  # of a column, so that the answer beside it has room
_SIDES = ("reference", "current")
_TOLD = {
    "ks": "any change: KS distance (0 to 1)",
    "rank_sum": "shift: of rank (0 to 0.5)",
    "mood": "spread: of ranks (0: as before)",
    "missing": "missing values: change of their share",
    "chi_squared": "levels: Jensen-Shannon distance (0 to 1)",
}
_MOST = {"ks": 1.0, "rank_sum": 0.5, "missing": 1.0, "chi_squared": 1.0}  # that the distance can be
_LINES = {"noise": (NOISE, ":"), "effect": (EFFECT, "--"), "nature": (NATURE, "-.")}
_HOW = {
    "quantiles": "each grey bar is an equal part of the reference: the values are not evenly spaced",
    "widths": "",
    "values": "",
    "levels": "",
}


def drift_figures(story: Story) -> Iterator[Figure]:
    """One figure for every six columns, at least one."""
    columns: Sequence[Mapping[str, Any]] = (story.look.picture or {}).get("columns", [])
    left_out = int((story.look.picture or {}).get("left_out", 0))
    pages = [columns[first : first + _ROWS] for first in range(0, len(columns), _ROWS)] or [[]]
    for number, page in enumerate(pages, start=1):
        top = heading.height(story)
        evidence = _ROW if story.is_of_evidence and number == 1 else 0.0
        whole = figure(top + evidence + 0.25 + _ROW * len(page) + 0.4)
        heading.write_heading(whole, story, (number, len(pages)), _legend(story, page))
        if evidence:
            _draw_evidence(whole, story, top)
        for place, column in enumerate(page):
            _draw_row(whole, story, column, top + evidence + 0.25 + place * _ROW)
        last = number == len(pages) and left_out
        foot = f"{left_out:,} more columns, which tell less, were not kept to be drawn. " if last else ""
        heading.write_foot(whole, f"{foot}Shares are of all rows of either side. Times are UTC.")
        yield whole


def _legend(story: Story, columns: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    """How many rows either side has; None: there are no bars."""
    rows = (story.look.numbers.get("rows") or {}).get("features")
    if rows:
        return rows["reference"], rows["current"]
    return _rows(columns[0]["bars"]) if columns else None


def _rows(bars: Mapping[str, Any]) -> tuple[int, int]:
    beside = list(bars["beside"].values())
    before, now = (sum(bars[side]) + sum(each[place] for each in beside) for place, side in enumerate(_SIDES))
    return before, now


def _draw_row(whole: Figure, story: Story, column: Mapping[str, Any], top: float) -> None:
    told = next(
        (
            each
            for each in kept_tests(column)
            if (each["test"], each["window"]) == (column["told_by"], column["window"])
        ),
        None,
    )
    drifted = column["drifted"]
    _write_title(whole, column, None if told is None else test_of(told), top)
    bars = panel(whole, _LEFT, top + 0.32, _BARS, _ROW - 1.0)
    draw_bars(bars, column["bars"])
    if how := _HOW[column["bars"]["spacing"]]:
        bars.set_xlabel(how, fontsize=7.5, labelpad=2)
    if told is None:
        return
    axes = panel(whole, _SERIES_LEFT, top + 0.32, _SERIES, _ROW - 1.0)
    found = list(story.tests(column["name"], told["test"], told["window"]))
    passed = test_of(told).passed
    course = Series(
        times=[look.at for look, _ in found],
        values=[test.distance for _, test in found],
        past=[test.past for _, test in found],
        lines=[
            _line(name, passed[name], [test.bars[name] for _, test in found], _MOST.get(told["test"]))
            for name in _LINES
        ],
    )
    draw_series(axes, course, from_zero=True)
    calm_label(axes, _TOLD[told["test"]])
    name_last(axes, course, alarming=bool(drifted))


def _line(name: str, passed: bool | None, heights: Sequence[float | None], most: float | None) -> Line:  # noqa: FBT001 - as below
    """A bar that no distance can pass stands where they end, and is said to be out of reach."""
    color, style = _LINES[name]
    if most is None:
        return Line(f"{name} {_mark(passed)}", heights, color, style)
    beyond = bool(heights) and heights[-1] is not None and heights[-1] >= most
    told = "out of reach" if beyond else _mark(passed)
    return Line(f"{name} {told}", [None if each is None else min(each, most) for each in heights], color, style)


def _write_title(whole: Figure, column: Mapping[str, Any], test: Test | None, top: float) -> None:
    drifted = column["drifted"]
    name = fitting(column["name"], _NAME, 11, "bold")
    rows = count(_rows(column["bars"])[1], "row")
    window = "" if column["window"] is None else f"in the last {column['window']} ({rows})"
    if drifted is None:
        answer = "the rows that are new"
    elif test is None:
        answer = "nothing to compare"
    else:
        answer = f"{'drifted' if drifted else 'has not drifted'} {window}".rstrip() + f": {_bars_told(test)}"
    write(whole, _LEFT - 0.45, top, name, fontsize=11, fontweight="bold", color=ALARM if drifted else "#20252b")
    write(
        whole, _LEFT - 0.31 + width(name, 11, "bold"), top + 0.025, answer, fontsize=9, color=ALARM if drifted else CALM
    )


def _bars_told(test: Test) -> str:
    passed = test.passed.items()
    groups = (
        ("past {}", "and", [name for name, held in passed if held]),
        ("not past {}", "or", [name for name, held in passed if held is False]),
        ("{} not known", "and", [name for name, held in passed if held is None]),
    )
    return ", ".join(told.format(series(names, last)) for told, last, names in groups if names)


def _mark(held: bool | None) -> str:  # noqa: FBT001 - what a bar says
    return {True: "✓", False: "✗", None: ""}[held]


def _draw_evidence(whole: Figure, story: Story, top: float) -> None:
    """All evidence there is at each look, and how much is enough, on a scale of powers of ten."""
    looks = [look for look in story.looks if {"evidence", "enough"} <= look.numbers.keys()]
    values = [max(float(look.numbers["evidence"]), 0.01) for look in looks]
    enough = [float(look.numbers["enough"]) for look in looks]
    axes = panel(whole, _LEFT, top + 0.3, 10.1, _ROW - 0.85)
    course = Series(
        times=[look.at for look in looks],
        values=values,
        past=[look.outcome == "fired" for look in looks],
        lines=[Line("enough", enough, EFFECT, "--")],
    )
    axes.set_yscale("log")
    draw_series(axes, course, from_zero=False)
    calm_label(axes, "evidence of drift, all columns together (it begins anew after an alarm)")
