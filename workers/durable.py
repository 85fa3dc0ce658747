"""Files that are there whole or not at all, also after a crash: every stage and target writes through here.

Written beside the place they go to, flushed to the disk, renamed, and the directory flushed too: a
rename is only on the disk when the directory is.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from retraind import faults
from retraind.privacy import publish
from workers.temporaries import beside, discard, leaving

_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST})


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; when the block ends well it takes the place of `path`, and when it does not it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        yield temporary
        _flush_all(temporary)
        with faults.around("durable.replace"):
            temporary.replace(path)
        flush(path.parent)
    finally:
        discard(temporary)


@contextmanager
def making_once(path: Path) -> Iterator[Path]:
    """A path to make a directory at; when the block ends well it becomes `path`, once for all.

    A directory that stands there by then stays, and this one is removed: whoever was first is right,
    and one who comes late (a worker stopped past its lease) changes nothing that others have read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        yield temporary
        _flush_all(temporary)
        _rename_unless_taken(temporary, path)
        flush(path.parent)
    finally:
        discard(temporary)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` (JSON-able, no NaN) to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, allow_nan=False, indent=2, sort_keys=True) + "\n")


def copy_directory(source: Path, target: Path, added: Mapping[str, str]) -> None:
    """Makes `target`, if there is none, a copy of the directory `source` (links are followed) and the files in
    `added`: their names, and what they say. Its modes are what the user's umask gives, so that services can read it."""
    with making_once(target) as temporary:
        shutil.copytree(source, temporary, ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in added.items():
            (temporary / name).write_text(text)
        publish(temporary)


def point(link: Path, target: str) -> None:
    """Makes the symbolic link `link` point to `target`, in one step: a reader sees the old target or the new one."""
    temporary = beside(link)
    try:
        temporary.symlink_to(target)
        with faults.around("durable.link"):
            temporary.replace(link)
        flush(link.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Brings a file or a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Removes a file, a link or a whole directory, in one step; one that does not exist is no error.

    A directory leaves its place before it is emptied: half of a model must never be found where one stood.
    """
    with faults.around("durable.remove"):
        if path.is_dir() and not path.is_symlink():
            place = leaving(path)
            with suppress(FileNotFoundError):  # another removed it meanwhile
                path.rename(place)
                discard(place)
        else:
            path.unlink(missing_ok=True)


def clear(path: Path) -> None:
    """Removes the same where it stands: what may be found by halves, in a place where nobody looks for temporaries."""
    with faults.around("durable.clear"):
        while path.is_dir() and not path.is_symlink():
            with suppress(FileNotFoundError):  # another removes it meanwhile
                shutil.rmtree(path)
        path.unlink(missing_ok=True)


def _flush_all(made: Path) -> None:
    for written in [made, *made.rglob("*")]:
        flush(written)


def _rename_unless_taken(made: Path, path: Path) -> None:
    try:
        with faults.around("durable.once"):
            made.rename(path)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
