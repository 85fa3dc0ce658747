"""How verbs are declared: their group in the help, the options that all share, and where errors become sentences."""

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from daemon.cli.output import tell_aside
from retraind.errors import ConfigurationError, RetraindError

Verb = TypeVar("Verb", bound=Callable[..., None])

FAILED = 1
WRONG = 2

_DEBUG = "debug"
_CONFIG = "retraind.config"  # keys of what typer lets a call carry along


def _note_debug(context: typer.Context, value: bool) -> None:  # noqa: FBT001  # typer calls it so
    context.meta[_DEBUG] = context.meta.get(_DEBUG) or value


def _config_of_call(context: typer.Context, value: Path | None) -> Path | None:
    """`--config` is taken before the verb and after it; the one after it counts."""
    if value is not None:
        context.meta[_CONFIG] = value
    found: Path | None = context.meta.get(_CONFIG)
    return found


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        callback=_config_of_call,
        show_default=False,
        help="The configuration file; by default what RETRAIND_CONFIG names, else ./retraind.yaml.",
    ),
]
DebugOption = Annotated[
    bool, typer.Option("--debug", callback=_note_debug, is_eager=True, help="Show where an error arose.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output, as docs/json.md describes it.")]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model of the configuration.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or enough of its end to be unique.")]


def version_option(value: bool) -> None:  # noqa: FBT001  # typer calls it so
    """Prints the version and ends, where `--version` is given."""
    if value:
        from importlib.metadata import version

        typer.echo(f"retraind {version('retraind')}")
        raise typer.Exit


class Root(TyperGroup):
    """The command as a whole. Its help lists verbs by group; its `invoke` is the boundary for every error."""

    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # the signature is typer's
        """Writes one section per group, as the design lists the verbs."""
        for title, names in self.groups:
            rows = [(f"{name:<11}", self.commands[name].get_short_help_str(limit=90)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb. What it raises on purpose becomes a sentence and an exit code, and so does a surprise."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has seen enough. What is still buffered must not fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except RetraindError as error:
            raise self._end(ctx, str(error), WRONG if isinstance(error, ConfigurationError) else FAILED) from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise self._end(ctx, f"{error.strerror or error}{where}", FAILED) from error
        except RuntimeError as error:
            if isinstance(error, typer.Exit | typer.Abort):
                raise
            raise self._surprise(ctx, error) from error
        except Exception as error:
            if type(error).__module__.startswith("typer."):
                raise  # a call that typer refuses: it shows its own usage line
            raise self._surprise(ctx, error) from error
        return result

    def _surprise(self, ctx: Any, error: Exception) -> typer.Exit:
        message = f"this should not have happened: {type(error).__name__}: {error}; --debug shows where, to report it"
        return self._end(ctx, message, FAILED)

    def _end(self, ctx: Any, message: str, code: int) -> typer.Exit:
        if ctx.meta.get(_DEBUG):
            tell_aside(traceback.format_exc().rstrip())
        tell_aside(f"retraind: {message}")
        return typer.Exit(code)


def debuggable(verb: Verb) -> Verb:
    """`verb` with the option `--debug`, which every verb has and none uses itself."""

    @functools.wraps(verb)
    def call(*arguments: Any, debug: bool, **options: Any) -> None:  # noqa: ARG001  # its callback has taken note
        verb(*arguments, **options)

    plain = inspect.signature(verb, eval_str=True)
    option = inspect.Parameter(_DEBUG, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DebugOption)
    call.__signature__ = plain.replace(parameters=[*plain.parameters.values(), option])  # type: ignore[attr-defined]
    call.__annotations__ = {**verb.__annotations__, _DEBUG: DebugOption}
    return call  # type: ignore[return-value]


def declare(app: typer.Typer, verbs: Iterable[Callable[..., None]]) -> None:
    """Adds functions to `app` as verbs of their own names."""
    for verb in verbs:
        app.command(verb.__name__.removesuffix("_").replace("_", "-"))(debuggable(verb))
