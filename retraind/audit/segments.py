"""The files an audit log consists of: the current one and those rotated away, by us or by logrotate."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_MOST_SEQ = 2**31 - 1  # that PostgreSQL has room for in the ledger, and can be asked for


def closed_name(path: Path, last_seq: int) -> Path:
    """Where the current file goes when it is closed after `last_seq`."""
    return path.with_name(f"{path.stem}-{last_seq:012d}{path.suffix}")


def segments(path: Path) -> list[Path]:
    """Every segment that has a line, oldest first: by the seq of its first readable line.

    A file that is being compressed is one segment: itself, until it is gone.
    """
    found = []
    candidates = {each for each in path.parent.glob(f"{path.stem}*") if each.is_file() and _is_segment(path, each)}
    for candidate in candidates:
        if candidate.suffix != ".gz" or candidate.with_suffix("") not in candidates:
            first = first_seq(candidate)
            if first is not None:
                found.append((first, candidate != path, candidate.name, candidate))
    return [candidate for *_, candidate in sorted(found)]


def _is_segment(path: Path, candidate: Path) -> bool:
    name = candidate.name.removesuffix(".gz")
    ours = name.startswith(f"{path.stem}-") and name.endswith(path.suffix)
    return name == path.name or ours or name.startswith((f"{path.name}.", f"{path.name}-"))


def is_ours(path: Path, segment: Path) -> bool:
    """True of a segment that was closed by retraind, be it compressed since; what others rotated away is theirs."""
    name = segment.name.removesuffix(".gz")
    return re.fullmatch(rf"{re.escape(path.stem)}-\d{{12}}{re.escape(path.suffix)}", name) is not None


def lines(segment: Path) -> Iterator[bytes]:
    """The segment's lines with their newline; a torn last line comes too, without one.

    Raises OSError, also behind the last line that can be read of a compressed file that is damaged.
    """
    opener = gzip.open if segment.suffix == ".gz" else open
    try:
        with opener(segment, "rb") as file:
            yield from file
    except (EOFError, zlib.error) as error:
        raise gzip.BadGzipFile(str(error)) from error


def raw_lines(segment: Path) -> Iterator[bytes]:
    """The segment's lines without their newline; a torn last line comes too."""
    return (line.removesuffix(b"\n") for line in lines(segment))


def parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is not one (torn, foreign, broken UTF-8)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    seq = record.get("seq") if isinstance(record, dict) else None
    return record if type(seq) is int and 0 < seq <= _MOST_SEQ else None  # true is no number


def first_seq(segment: Path) -> int | None:
    """The seq of the first readable line; None where there is none."""
    try:
        return next((record["seq"] for line in lines(segment) if (record := parse(line))), None)
    except OSError:
        return None


def last_rotated_seq(path: Path) -> int:
    """The seq that ends the newest segment but the current one; 0 where there is none."""
    rotated = [segment for segment in segments(path) if segment != path]
    if not rotated:
        return 0
    if rotated[-1].suffix != ".gz":
        return last_whole_line(rotated[-1])[0]
    last = 0
    with suppress(OSError):  # damaged: what was behind is written again
        for line in lines(rotated[-1]):
            record = parse(line)
            last = max(last, record["seq"]) if record is not None else last
    return last


def last_whole_line(source: Path | int, block_bytes: int = 65_536) -> tuple[int, int]:
    """The seq of the last whole readable line of a file (or descriptor), and the offset just behind it.

    (0, 0) where there is none.
    """
    with open(source, "rb", closefd=not isinstance(source, int)) as file:  # takes a descriptor too
        end = file.seek(0, 2)
        start, tail = end, b""
        while start > 0:
            step = min(block_bytes, start)
            start -= step
            file.seek(start)
            tail = file.read(step) + tail
            found = _last_record(tail, whole_from_start=start == 0)
            if found is not None:
                seq, offset = found
                return seq, start + offset
    return 0, 0


def _last_record(tail: bytes, *, whole_from_start: bool) -> tuple[int, int] | None:
    """(seq, offset behind the line) of the last whole readable line in `tail`."""
    end = tail.rfind(b"\n")
    while end >= 0:
        begin = tail.rfind(b"\n", 0, end)
        if begin < 0 and not whole_from_start:
            return None  # the line begins in a block not read yet
        record = parse(tail[begin + 1 : end])
        if record is not None:
            return record["seq"], end + 1
        end = begin
    return None
