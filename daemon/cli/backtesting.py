"""The verbs that replay the past: backtest, tune."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption, JsonOption, ModelArgument
from daemon.cli.session import known_model, load_settings
from retraind.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta

    from daemon.backtest.run import Wishes

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="DATE", help="From when on; by default from when a training window is full."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="Until when; by default the last row.")
]
MetricOption = Annotated[
    str | None,
    typer.Option("--metric", metavar="NAME", help="What is judged by; by default a trigger's or gate's metric."),
]
LossOption = Annotated[
    float | None,
    typer.Option("--loss", metavar="MARGIN", min=0, help="How much worse than recorded at the beginning is a loss."),
]
FinestOption = Annotated[
    str | None,
    typer.Option("--finest", metavar="DURATION", help="The shortest time between looks; by default 1500 in the whole."),
]


def backtest(  # noqa: PLR0913 - each is an option
    model: ModelArgument,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare", metavar="NAMES", help="Policies: never, weekly, 14d, fixed, oracle, other.yaml; with commas."
        ),
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Really retrain at each firing.")] = False,
    metric: MetricOption = None,
    loss: LossOption = None,
    finest: FinestOption = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with a picture, too.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay history: when would it have fired, and was it right?"""
    settings = load_settings(config)
    known_model(settings, model)
    wishes = _wishes(since, until, metric, loss, finest)
    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigurationError(
            f"--html: there is no directory {html.absolute().parent} to write {html.name} to; make it"
        )
    from dataclasses import replace

    from daemon.backtest.progress import Progress
    from daemon.backtest.run import backtest as run

    names = tuple(each.strip() for each in (compare or "").split(",") if each.strip())
    report = run(settings, model, replace(wishes, compare=names, train=train), Progress())
    if html is not None:
        from daemon.backtest.page import write

        write(report, html)
    if as_json:
        output.show_json(report)
    else:
        from daemon.cli.render_backtest import show_backtest

        show_backtest(report, html)


def tune(  # noqa: PLR0913 - as above
    model: ModelArgument,
    *,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            "--false-alarms", metavar="RATE", help="The budget, as '1 per 90d'; by default each trigger's own."
        ),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    metric: MetricOption = None,
    loss: LossOption = None,
    finest: FinestOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose thresholds that would have kept a budget of false alarms."""
    settings = load_settings(config)
    known_model(settings, model)
    wishes = _wishes(since, until, metric, loss, finest)
    from daemon.backtest.progress import Progress
    from daemon.backtest.tune import tune as run
    from triggers.quantities import Rate

    try:
        budget = None if false_alarms is None else Rate.parse(false_alarms)
    except ValueError as error:
        raise ConfigurationError(f"--false-alarms: {error}") from None
    report = run(settings, model, wishes, budget, Progress())
    if as_json:
        output.show_json(report)
    else:
        from daemon.cli.render_backtest import show_tuning

        show_tuning(report)


def _wishes(
    since: str | None, until: str | None, metric: str | None, loss: float | None, finest: str | None
) -> "Wishes":
    """Raises ConfigurationError for text that is no instant or no duration."""
    from daemon.backtest.run import Wishes

    return Wishes(
        since=_instant("--since", since),
        until=_instant("--until", until),
        metric=metric,
        margin=loss,
        finest=_duration("--finest", finest),
    )


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{option} {text!r} is no date; write one as 2026-01-31, or an instant as 2026-01-31T14:00Z"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _duration(option: str, text: str | None) -> "timedelta | None":
    from triggers.quantities import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from None
