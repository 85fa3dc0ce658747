"""Whose files are whose: what retraind keeps is its own user's alone, what it deploys is as that user's umask says.

`keep_private` is called once at the start of every process that reads a configuration, before it makes
a file. `refuse_writable` is asked before anything is opened: who can write to a ledger, an audit log or
a configuration can decide what runs here.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from retraind.errors import ConfigurationError

if TYPE_CHECKING:
    from retraind.config.settings import Settings

PRIVATE_UMASK = 0o077
PRIVATE_FILE = 0o600  # of files that are opened by descriptor
_SQLITE = "sqlite:///"
_users_umask: list[int] = []


def keep_private() -> None:
    """Makes every file that this process, or a child that is not told otherwise, makes from now on 0600 or 0700."""
    before = os.umask(PRIVATE_UMASK)
    if not _users_umask:
        _users_umask.append(before)


def users_umask() -> int:
    """The umask that this process was started with: what is made for others to read goes by it."""
    if _users_umask:
        return _users_umask[0]
    now = os.umask(PRIVATE_UMASK)
    os.umask(now)
    return now


def make_public_directory(path: Path) -> None:
    """Makes the directory and those above it that are missing, with the modes that the user's umask gives."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        place.chmod(0o777 & ~users_umask())


def publish(tree: Path) -> None:
    """Gives a file, or a directory with all in it, the modes that the user's umask would have given it.

    Links are left alone: what they point to may be somebody else's.
    """
    open_to = 0o777 & ~users_umask()
    for place in (tree, *tree.rglob("*")):
        if place.is_symlink():
            continue
        runs = place.is_dir() or place.stat().st_mode & stat.S_IXUSR
        place.chmod(open_to if runs else open_to & 0o666)


def refuse_writable(settings: "Settings") -> None:
    """Raises ConfigurationError where everybody could write to the configuration or to what is kept."""
    for sentence in writable_by_all(settings):
        raise ConfigurationError(sentence)


def writable_by_all(settings: "Settings") -> Iterator[str]:
    """A sentence with its mend for the configuration file and each thing of ours that everybody can write to."""
    for what, path in _ours(settings):
        try:
            mode = path.stat().st_mode
        except OSError:  # it is not there yet, or its own opening tells why it cannot be used
            continue
        if mode & stat.S_IWOTH and (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            yield (
                f"{what} {path} can be written by every user (mode {stat.S_IMODE(mode):04o}), "
                f"who could so decide what runs here; run `chmod o-w {path}`, or name another place"
            )


def _ours(settings: "Settings") -> Iterator[tuple[str, Path]]:
    state, log = settings.state, settings.audit.path
    yield "the configuration file", settings.source_path
    yield "the state directory", state
    for name in ("jobs", "targets", "artifacts", "broker"):
        yield "the directory", state / name
    for what, url in (("the ledger", settings.ledger_url), ("MLflow's database", settings.mlflow_url)):
        if url.startswith(_SQLITE):
            file = Path(url.removeprefix(_SQLITE).partition("?")[0])
            yield f"the directory of {what}", file.parent
            for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
                yield f"{what}'s file" if suffix else what, Path(f"{file}{suffix}")
    yield "the audit log's directory", log.parent
    yield "the audit log", log
    for lock in (log.with_name(f".{log.name}.position"), state / "up.lock", state / "mlflow.lock"):
        yield "the file", lock
