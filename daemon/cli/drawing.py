"""The verb that draws: report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption, JsonOption, ModelArgument
from daemon.cli.session import Session, session
from retraind.errors import ConfigurationError

if TYPE_CHECKING:
    from daemon.reports.looks import PictureReport
    from retraind.ledger.looks import Look

_FORMATS = ("svg", "png", "html")


def report(
    model: ModelArgument,
    trigger: Annotated[str | None, typer.Argument(metavar="TRIGGER", help="Only this trigger's verdict.")] = None,
    *,
    look: Annotated[int | None, typer.Option(metavar="N", help="This look, as `retraind looks` lists it.")] = None,
    job: Annotated[str | None, typer.Option(metavar="JOB", help="The looks that led to this job.")] = None,
    output_directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write the files.")
    ] = Path("pictures"),
    formats: Annotated[str, typer.Option("--format", metavar="LIST", help="Which files to write.")] = ",".join(
        _FORMATS
    ),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw verdicts: by default the newest one of each drift and performance trigger."""
    kinds = _kinds(formats)
    if sum(each is not None for each in (trigger, look, job)) > 1:
        raise ConfigurationError("write TRIGGER, --look or --job, one of the three")
    with session(config) as opened:
        chosen = _chosen(opened, opened.known(model), trigger, look, job)
    reports = [_drawn(looks, output_directory, kinds) for looks in chosen]
    if as_json:
        output.show_json(reports)
        return
    for each in reports:
        output.heading(f"{each.outcome}: {each.trigger} of {each.model}, look {each.look}")
        output.say(f"  {each.sentence}")
        for file in each.files:
            output.say(f"  {file}")


def _kinds(written: str) -> list[str]:
    """The formats, in the order in which they are told. Raises ConfigurationError naming one that does not exist."""
    asked = [each.strip() for each in written.split(",") if each.strip()]
    unknown = [each for each in asked if each not in _FORMATS]
    if unknown or not asked:
        told = repr(unknown[0]) if unknown else "nothing"
        raise ConfigurationError(f"--format: {told} is no format; write some of {', '.join(_FORMATS)}, with commas")
    return [each for each in _FORMATS if each in asked]


def _chosen(
    opened: Session, model: str, trigger: str | None, look: int | None, job: str | None
) -> "Sequence[list[Look]]":
    from daemon.reports.looks import newest_drawn, one_drawn

    if look is not None:
        return [one_drawn(opened.ledger, model, look)]
    if job is None:
        return newest_drawn(opened.settings, opened.ledger, model, trigger)
    from daemon.reports.jobs import causes

    found = opened.job(job)
    if found.model != model:
        raise ConfigurationError(f"job {found.id} is of model {found.model!r}, not of {model!r}")
    with opened.ledger.read() as connection:
        ids = [cause.look for cause in causes(connection, found) if cause.look is not None and cause.can_be_drawn]
    if not ids:
        raise ConfigurationError(
            f"nothing that led to job {found.id} can be drawn: it was a person, a trigger without figures, or a look "
            "that is no longer kept (retention.looks)"
        )
    return [one_drawn(opened.ledger, model, each) for each in ids]


def _drawn(looks: "list[Look]", directory: Path, kinds: list[str]) -> "PictureReport":
    from daemon.pictures.files import write_pictures
    from daemon.pictures.story import Story
    from daemon.reports.looks import PictureReport

    last = looks[-1]
    files = write_pictures(Story(looks), directory, kinds)
    picture = last.picture or {}
    return PictureReport(
        look=last.id,
        model=last.model,
        trigger=last.trigger,
        at=last.at,
        outcome=last.outcome,
        sentence=last.sentence,
        columns=[column["name"] for column in picture.get("columns", [])],
        left_out=picture.get("left_out", 0),
        files=[str(file) for file in files],
    )
