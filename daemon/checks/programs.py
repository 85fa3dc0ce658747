"""Is the program of a command there, and a script that it is given? For trainers and deploy targets alike."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.checks.finding import Finding, ok, problem

_SCRIPTS = (".py", ".sh", ".R", ".jl", ".pl", ".rb", ".js")


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
