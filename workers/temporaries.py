"""Temporary files and directories: each is named after the process that makes it, so that another can tell what a kill
has left behind from what is being made, and remove it.

A name reads `.NAME.HOST:PID@MARK.HEX.tmp`; the mark is `retraind.identity`'s. What a living process
makes is never touched. Of a process that cannot be seen from here (another host's, another
container's) that is taken to be so until nothing has changed for an hour.

What is to go is `.NAME.leaving.HEX.tmp`, and anybody's to remove: one that failed to may live for months.
"""

import os
import re
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retraind import faults, identity

UNSEEN_SECONDS = 3600.0
_LEAVING = "leaving"
_NAME = re.compile(r"\..+?\.(?:(?P<maker>[^/]+:\d+(?:@[0-9a-f]+\.\d+)?|leaving)\.)?[0-9a-f]{32}\.tmp")


def beside(path: Path) -> Path:
    """A new temporary's path, in the directory of `path`. Nothing is made."""
    return _beside(path, _maker())


def leaving(path: Path) -> Path:
    """Where to rename to what stands at `path` and is to go: whoever sweeps next removes it. Nothing is done."""
    return _beside(path, _LEAVING)


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory among the system's temporary files that goes when the block ends, and is where `tempfile` makes its
    own meanwhile: MLflow and others clean up only what they live to."""
    before = tempfile.tempdir
    folder = beside(Path(tempfile.gettempdir(), "retraind"))
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        discard(folder)


def sweep(directory: Path) -> int:
    """Removes the temporaries in `directory` (not below it) that no living process makes. Returns how many."""
    swept = 0
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return 0
    for entry in entries:
        found = _NAME.fullmatch(entry.name)
        if found is not None and _is_left(found["maker"], entry):
            discard(Path(entry.path))
            swept += 1
    return swept


def discard(path: Path) -> None:
    """Removes a temporary, a file, a link or a directory with all in it, also while another does the same.

    What cannot be removed now is left to the next sweep. Raises OSError where it is no directory.
    """
    try:
        with faults.around("durable.discard"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    finally:
        if os.path.lexists(path) and not _is_leaving(path):
            with suppress(OSError), faults.around("durable.leave"):
                path.rename(leaving(path))


def _beside(path: Path, maker: str) -> Path:
    return path.with_name(f".{path.name}.{maker}.{uuid.uuid4().hex}.tmp")


def _maker() -> str:
    return identity.marked(f"process:{socket.gethostname()}:{os.getpid()}").removeprefix("process:")


def _is_leaving(path: Path) -> bool:
    found = _NAME.fullmatch(path.name)
    return found is not None and found["maker"] == _LEAVING


def _is_left(maker: str | None, entry: "os.DirEntry[str]") -> bool:
    if maker == _LEAVING:
        return True
    if maker is not None:
        owner = f"process:{maker}"
        if identity.is_gone(owner):
            return True
        if identity.is_alive(owner):
            return False
    try:
        changed = entry.stat(follow_symlinks=False).st_mtime
    except OSError:  # it went meanwhile
        return False
    return time.time() - changed > UNSEEN_SECONDS
