"""Takes secrets out of what children have printed: a library's error often repeats the URL that it was given."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from retraind import faults
from retraind.redaction import redact_values

_BLOCK_BYTES = 2**20  # and the rest of the line


def hide(log: Path, secrets: Sequence[str]) -> None:
    """Rewrites the log, where it has any of `secrets` or another password in it.

    Called when nobody writes to it any more. What is no text stays as it is.
    """
    with log.open("r+b") as file:
        if all(said == hidden for said, hidden in _blocks(file, secrets)):
            return
        with TemporaryFile(dir=log.parent) as clean, faults.around("child.hide"):
            for _, hidden in _blocks(file, secrets):
                clean.write(hidden)
            clean.seek(0)
            file.seek(0)
            shutil.copyfileobj(clean, file)
            file.truncate()


def _blocks(file: IO[bytes], secrets: Sequence[str]) -> Iterator[tuple[bytes, bytes]]:
    """Whole lines, as they are and without secrets."""
    file.seek(0)
    while lines := file.readlines(_BLOCK_BYTES):
        said = b"".join(lines)
        hidden = redact_values(said.decode(errors="surrogateescape"), secrets)
        yield said, hidden.encode(errors="surrogateescape")
