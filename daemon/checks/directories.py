"""Are the directories that retraind writes to writable? Shared by every check that names one."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon.checks.finding import Finding, Level, either, ok, problem, split, warning
from retraind.config.settings import Settings
from retraind.privacy import writable_by_all


def check(settings: Settings) -> Iterator[Finding]:
    """The state directory and the audit log's, and that nobody else can write to what is kept."""
    for sentence in writable_by_all(settings):
        yield split("state", Level.PROBLEM, sentence)
    yield from _readable(settings)
    yield from either(unwritable("state", settings.state), "state", f"{settings.state} is writable")
    log = settings.audit.path
    if log.is_dir():
        yield problem("audit.path", f"{log} is a directory", f"name a file in it, as {log / 'audit.jsonl'}")
    elif log.exists() and not os.access(log, os.W_OK):
        yield problem("audit.path", f"{log} is not writable for this user", "mend its permissions")
    else:
        yield from either(unwritable("audit.path", log.parent), "audit.path", f"{log} is writable")


def _readable(settings: Settings) -> Iterator[Finding]:
    """What an earlier umask left for everybody to read, in a state directory that everybody may enter."""
    state = settings.state
    if not state.is_dir() or not state.stat().st_mode & stat.S_IXOTH:
        return
    open_ones = [path.name for path in sorted(state.iterdir()) if _readable_by_all(path)]
    if open_ones:
        listed = ", ".join(open_ones[:5]) + (", ..." if len(open_ones) > 5 else "")
        yield warning("state", f"every user can read {listed} in {state}", f"run `chmod -R go-rwx {state}`")


def _readable_by_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:  # it was removed meanwhile
        return False


def unwritable(what: str, directory: Path) -> Iterator[Finding]:
    """A problem, where files cannot be made in `directory`, or the directory itself cannot. Leaves nothing behind."""
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        yield problem(what, f"{directory} cannot be made, because {place} is a file", "name another directory")
        return
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        yield problem(
            what,
            f"nothing can be written to {place}: {error.strerror or error}",
            "mend its permissions, or name another directory",
        )


def free(what: str, directory: Path) -> Finding:
    """That `directory` can be used."""
    return ok(what, f"{directory} is writable")
