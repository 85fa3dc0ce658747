"""The verbs to begin with: demo, init, check, schema."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption, JsonOption


class Template(StrEnum):
    """What the new project trains with."""

    SKLEARN = "sklearn"  # a scikit-learn estimator, no code of your own
    PYTORCH = "pytorch"  # a function that trains a PyTorch module
    KERAS = "keras"  # a function that trains a Keras model
    TENSORFLOW = "tensorflow"  # a function that trains with plain TensorFlow
    COMMAND = "command"  # any program


def demo(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Where to keep it; by default a temporary folder.")
    ] = None,
) -> None:
    """A year of real data in a minute, through the real system."""
    from daemon.demo.play import play

    raise typer.Exit(play(directory))


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The project's folder; it names the model.")
    ] = Path(),
    *,
    template: Annotated[
        Template, typer.Option("--template", "-t", help="What the project trains with.")
    ] = Template.SKLEARN,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="PATH", show_default=False, help="The interpreter to train in."),
    ] = None,
) -> None:
    """Write a small project that works, with sample data."""
    from daemon.project import create

    made = create(directory, str(template), python)
    for path in made.files:
        output.say(f"wrote {path}")
    output.say()
    output.say(f"model {made.model!r}, with {made.rows:,} rows of sample data. Next:")
    for step in made.next_steps:
        output.say(f"  {step}")


def check(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Is the configuration sound, and all it names reachable?"""
    from daemon.checks import check_all
    from daemon.cli.render_check import show_findings
    from daemon.cli.session import load_settings

    report = check_all(load_settings(config))
    if as_json:
        output.show_json(report)
    else:
        show_findings(report)
    if not report.sound:
        raise typer.Exit(1)


def schema() -> None:
    """The JSON Schema of the configuration file, for editors."""
    from retraind.config.schema import json_schema

    output.say(json.dumps(json_schema(), indent=2, ensure_ascii=False))
