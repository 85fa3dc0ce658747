"""Is the program of a command there, and a script that it is given? For trainers and deploy targets alike."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.checks.finding import Finding, ok, problem, warning
from retraind.config.deploy import CommandTarget
from retraind.config.settings import Settings
from retraind.config.training import CommandTrainer

_SHORTEST_SECRET = 6  # characters; a shorter one is found in innocent words
_SCRIPTS = (".py", ".sh", ".R", ".jl", ".pl", ".rb", ".js")


def check_secrets(settings: Settings) -> Iterator[Finding]:
    """A warning for each command with a secret among its arguments: whoever lists the machine's processes reads it."""
    hidden = [secret for secret in settings.secrets if len(secret) >= _SHORTEST_SECRET]
    for what, command in _commands(settings):
        if any(secret in word for word in command for secret in hidden):
            yield warning(
                what,
                "an argument holds a secret, which every user of the machine can read with ps while the command runs",
                "let the program take it from its environment, which is the worker's",
            )


def _commands(settings: Settings) -> Iterator[tuple[str, Sequence[str]]]:
    for name, model in settings.models.items():
        trainer = model.training.trainer
        if isinstance(trainer, CommandTrainer):
            yield f"models.{name}.training.trainer.command", trainer.command
            yield f"models.{name}.training.trainer.predict", trainer.predict or ()
        for number, target in enumerate(model.deploy):
            if isinstance(target, CommandTarget):
                yield f"models.{name}.deploy[{number}].command", target.command


def check_command(what: str, command: Sequence[str], directory: Path) -> Iterator[Finding]:
    """The program is looked up as the worker will: on the PATH, or from `directory` where it has a slash."""
    program = command[0]
    found = shutil.which(str(directory / program) if "/" in program else program)
    if found is None:
        where = f"in {directory}" if "/" in program else "on the PATH"
        mend = "write its whole path" if "/" not in program else "correct the path, and see that it is executable"
        yield problem(what, f"there is no program {program!r} {where}", mend)
        return
    missing = [word for word in command[1:] if word.endswith(_SCRIPTS) and not (directory / word).is_file()]
    for word in missing:
        yield problem(what, f"there is no file {word!r} in {directory}", "correct its path")
    if not missing:
        yield ok(what, f"{found} is there")
