"""The timeline of a backtest as one SVG: performance over time with its losses, and below it who fired when."""

from collections.abc import Sequence
from typing import Any

from daemon.backtest.report import BacktestReport, PolicyReport

_COLOURS = ("#1f6f8b", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#2e4057", "#a0a0a0")
_TOP_INCHES, _LANE_INCHES = 3.6, 0.28


def timeline(report: BacktestReport) -> str:
    """An `<svg>` element. Text in it stays text."""
    from daemon.pictures.canvas import drawing, encoded, figure  # slow to import

    lanes = _lanes(report)
    bottom = _LANE_INCHES * max(len(lanes), 1) + 0.5
    with drawing():
        whole = figure(_TOP_INCHES + bottom)
        whole.set_layout_engine("constrained")
        above, below = whole.subplots(2, 1, sharex=True, height_ratios=[_TOP_INCHES, bottom])
        _draw_performance(above, report)
        _draw_lanes(below, report, lanes)
        text = encoded(whole, "svg", f"backtest of {report.model}").decode()
    return text[text.index("<svg") :]


def _draw_performance(axes: Any, report: BacktestReport) -> None:
    for number, policy in enumerate(_drawn(report)):
        known = [each for each in policy.periods if each.value is not None]
        middle = [each.start + (each.end - each.start) / 2 for each in known]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(middle, [each.value for each in known], color=colour, label=policy.name, linewidth=1.4)
        if number == 0:
            low, high = [each.low for each in known], [each.high for each in known]
            axes.fill_between(middle, low, high, color=colour, alpha=0.15, linewidth=0)
    for loss in report.losses:
        if loss.policy == report.policies[0].name:
            axes.axvspan(loss.start, loss.end, color="#d1495b", alpha=0.35 if loss.missed else 0.12, linewidth=0)
    if report.bar is not None:
        axes.axhline(report.bar, color="#555555", linewidth=0.8, linestyle="--")
    axes.set_ylabel(report.metric)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _drawn(report: BacktestReport) -> Sequence[PolicyReport]:
    """Without training all policies have the same predictions."""
    return report.policies if report.trained else report.policies[:1]


def _lanes(report: BacktestReport) -> list[tuple[str, list[Any], list[Any], str]]:
    """A label, the instants of false and of other alarms or retrainings, and the marker."""
    lanes = []
    several = len({each.policy for each in report.triggers}) > 1
    for trigger in report.triggers:
        mine = [each for each in report.alarms if (each.policy, each.trigger) == (trigger.policy, trigger.trigger)]
        name = f"{trigger.policy}: {trigger.trigger}" if several else trigger.trigger
        false = [each.at for each in mine if each.followed is False]
        lanes.append((name, false, [each.at for each in mine if each.followed is not False], "|"))
    for policy in report.policies:
        lanes.append((f"{policy.name}: retrained", [], [each.at for each in policy.jobs], "o"))  # noqa: PERF401
    return lanes


def _draw_lanes(axes: Any, report: BacktestReport, lanes: Sequence[tuple[str, list[Any], list[Any], str]]) -> None:
    for height, (_, false, others, marker) in enumerate(lanes):
        size = 10 if marker == "|" else 4
        axes.plot(others, [height] * len(others), marker, color="#1f6f8b", markersize=size, linestyle="none")
        axes.plot(false, [height] * len(false), marker, color="#d1495b", markersize=size, linestyle="none")
    axes.set_yticks(range(len(lanes)), [name for name, _, _, _ in lanes])
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_xlim(report.since, report.until)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
