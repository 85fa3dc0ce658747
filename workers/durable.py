"""Files that are there whole or not at all, also after a crash: every stage and target writes through here.

Written beside the place they go to, flushed to the disk, renamed, and the directory flushed too: a
rename is only on the disk when the directory is.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retraind import faults
from retraind.privacy import publish


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; when the block ends well it takes the place of `path`, and when it does not it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        for written in [temporary, *temporary.rglob("*")]:
            flush(written)
        with faults.around("durable.replace"):
            temporary.replace(path)
        flush(path.parent)
    finally:
        remove(temporary)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` (JSON-able, no NaN) to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, allow_nan=False, indent=2, sort_keys=True) + "\n")


def copy_directory(source: Path, target: Path, added: Mapping[str, str]) -> None:
    """Makes `target`, which does not exist, a copy of the directory `source` (links are followed) and the files in
    `added`: their names, and what they say. Its modes are what the user's umask gives, so that services can read it."""
    with replacing(target) as temporary:
        shutil.copytree(source, temporary)
        for name, text in added.items():
            (temporary / name).write_text(text)
        publish(temporary)


def point(link: Path, target: str) -> None:
    """Makes the symbolic link `link` point to `target`, in one step: a reader sees the old target or the new one."""
    temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex}.tmp")
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
    """Removes a file, a link or a whole directory; one that does not exist is no error."""
    with faults.around("durable.remove"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
