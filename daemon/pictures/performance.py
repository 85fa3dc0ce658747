"""A performance verdict drawn: the metric over time with its interval, the bar, the figure at the gate, the rows."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from daemon.pictures import heading
from daemon.pictures.canvas import EFFECT, NATURE, REFERENCE, figure, number_told, panel, printable
from daemon.pictures.series import Line, Series, calm_label, draw_series, name_last
from daemon.pictures.story import Story
from retraind.ledger.looks import Look

_UNITS = {
    "roc_auc": "0.5 is chance, 1 is best",
    "log_loss": "nats, less is better",
    "brier": "squared, less is better",
    "mae": "in the unit of the actual, less is better",
    "rmse": "in the unit of the actual, less is better",
    "mape": "relative, less is better",
    "r2": "share of variance",
}
_LEFT, _WIDTH = 0.75, 10.0


def performance_figures(story: Story) -> list[Figure]:
    """One figure."""
    top = heading.height(story)
    whole = figure(top + 5.6)
    heading.write_heading(whole, story, (1, 1))
    looks = [look for look in story.looks if look.numbers.get("value") is not None]
    numbers = story.look.numbers
    gates = [look.numbers.get("gate") for look in looks]
    bars = [look.numbers.get("bar") for look in looks]
    course = Series(
        times=[look.at for look in looks],
        values=[float(look.numbers["value"]) for look in looks],
        past=[look.outcome == "fired" for look in looks],
        lines=[
            Line(f"bar {_short(bars[-1])}", bars, EFFECT, "--"),
            Line(f"at its gate {_short(gates[-1])}", gates, NATURE, ":"),
        ],
        intervals=[(float(look.numbers["low"]), float(look.numbers["high"])) for look in looks],
    )
    axes = panel(whole, _LEFT, top + 0.15, _WIDTH, 3.1)
    draw_series(axes, course, from_zero=False)
    metric = str(numbers["metric"])
    interval = f"{100 * float(numbers.get('confidence') or 0):.4g} % interval"
    unit = _UNITS.get(metric, "share, 1 is best")
    calm_label(axes, f"{metric} ({unit}) with its {interval};  ■ all of it past the bar   ○ not")
    name_last(axes, course, alarming=story.look.outcome == "fired")
    _draw_rows(whole, looks, top + 3.85)
    heading.write_foot(whole, "Times are UTC. The axis of the metric does not begin at 0.")
    return [whole]


def _draw_rows(whole: Figure, looks: Sequence[Look], top: float) -> None:
    """How many rows each figure is of, below it."""
    key = "labelled" if "labelled" in looks[-1].numbers else "rows"
    counts = [int(look.numbers.get(key) or 0) for look in looks]
    axes = panel(whole, _LEFT, top + 0.1, _WIDTH, 1.0)
    times: Any = [look.at for look in looks]
    axes.vlines(times, 0, counts, color=REFERENCE, linewidth=5)
    axes.set_xlim(whole.axes[0].get_xlim())
    axes.set_ylim(0, max([*counts, 1]) * 1.15)
    axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    told = "labelled rows" if key == "labelled" else "rows without labels"
    share = looks[-1].numbers.get("coverage")
    calm_label(axes, printable(told if share is None else f"{told} ({100 * share:.0f} % of rows now)", 80))


def _short(value: float | None) -> str:
    return "" if value is None else number_told(value)
