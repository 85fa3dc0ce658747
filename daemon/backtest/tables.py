"""A backtest's report as rows of text: for a terminal and for a page alike."""

from datetime import datetime

from daemon.backtest.report import BacktestReport
from triggers.wording import count, figure, percent

POLICIES = ("POLICY", "RETRAININGS", "DEPLOYED", "METRIC", "95 % INTERVAL", "GAIN", "TRAINING")
TRIGGERS = (
    "POLICY",
    "TRIGGER",
    "TYPE",
    "LOOKS",
    "ALARMS",
    "A MONTH",
    "LOSS FOLLOWED",
    "FALSE",
    "INSUFFICIENT",
    "ERRORS",
)
LOSSES = ("POLICY", "FROM", "TO", "WORST", "ALARMS")
ALARMS = ("POLICY", "WHEN", "TRIGGER", "RETRAINED", "LOSS FOLLOWED", "WHY")
JOBS = ("POLICY", "WHEN", "BY", "ROWS", "OUTCOME", "TRAINING")
_NOTHING = "-"


def summary(report: BacktestReport) -> str:
    """In a sentence, what was replayed and by what it is judged."""
    rows = f"{count(report.rows, 'row')}, {report.labelled:,} with labels"
    spanned = f"{day(report.since)} to {day(report.until)}"
    told = f"{report.model}, {spanned}: {rows}; judged by {report.metric}"
    if report.bar is None:
        return f"{told}."
    return f"{told}; a loss is beyond {figure(report.bar)} ({report.bar_because})."


def policies(report: BacktestReport) -> list[list[str]]:
    return [
        [
            each.name,
            str(each.retrainings),
            str(each.deployed),
            _NOTHING if each.value is None else f"{report.metric} {each.value:.4f}",
            _NOTHING if each.low is None or each.high is None else f"{each.low:.4f} to {each.high:.4f}",
            _NOTHING if each.gain is None else f"{100 * each.gain:.0f} %",
            _seconds(each.seconds, trained=report.trained),
        ]
        for each in report.policies
    ]


def triggers(report: BacktestReport) -> list[list[str]]:
    return [
        [
            each.policy,
            each.trigger,
            each.type,
            f"{each.looks:,}",
            str(each.alarms),
            f"{each.alarms_per_month:.2g}",
            _number(each.followed),
            _number(each.false),
            percent(each.insufficient / each.looks) if each.looks else _NOTHING,
            str(each.errors),
        ]
        for each in report.triggers
    ]


def losses(report: BacktestReport) -> list[list[str]]:
    return [
        [
            each.policy,
            day(each.start),
            day(each.end),
            figure(each.worst),
            ", ".join(each.alarms) or ("missed" if each.missed else _NOTHING),
        ]
        for each in report.losses
    ]


def alarms(report: BacktestReport) -> list[list[str]]:
    """Without the periods that only serve to be compared with."""
    return [
        [each.policy, minute(each.at), each.trigger, _yes(each.retrained), _yes(each.followed), each.sentence]
        for each in report.alarms
        if each.followed is not None or each.policy == report.policies[0].name
    ]


def jobs(report: BacktestReport) -> list[list[str]]:
    return [
        [
            policy.name,
            minute(each.at),
            ", ".join(each.triggers) or _NOTHING,
            f"{each.rows:,}",
            each.outcome.replace("_", " ") + (f": {each.because}" if each.because else ""),
            _seconds(each.seconds, trained=report.trained),
        ]
        for policy in report.policies
        for each in policy.jobs
    ]


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def minute(moment: datetime) -> str:
    """In UTC, as all instants here."""
    return f"{moment:%Y-%m-%d %H:%M}"


def _number(value: int | None) -> str:
    return _NOTHING if value is None else str(value)


def _yes(value: bool | None) -> str:  # noqa: FBT001 - a cell
    return _NOTHING if value is None else "yes" if value else "no"


def _seconds(value: float, *, trained: bool) -> str:
    return f"{value:.1f} s" if trained else _NOTHING
