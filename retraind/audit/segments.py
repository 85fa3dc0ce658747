"""The files an audit log consists of: the current one and those rotated away, by us or by logrotate."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def closed_name(path: Path, last_seq: int) -> Path:
    """Where the current file goes when it is closed after `last_seq`."""
    return path.with_name(f"{path.stem}-{last_seq:012d}{path.suffix}")


def segments(path: Path) -> list[Path]:
    """Every segment that has a line, oldest first: by the seq of its first readable line."""
    found = []
    for candidate in path.parent.glob(f"{path.stem}*"):
        if candidate.is_file() and _is_segment(path, candidate):
            first = first_seq(candidate)
            if first is not None:
                found.append((first, candidate != path, candidate.name, candidate))
    return [candidate for *_, candidate in sorted(found)]


def _is_segment(path: Path, candidate: Path) -> bool:
    name = candidate.name.removesuffix(".gz")
    ours = name.startswith(f"{path.stem}-") and name.endswith(path.suffix)
    return name == path.name or ours or name.startswith((f"{path.name}.", f"{path.name}-"))


def raw_lines(segment: Path) -> Iterator[bytes]:
    """The segment's lines without their newline; a torn last line comes too."""
    opener = gzip.open if segment.suffix == ".gz" else open
    with opener(segment, "rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")


def parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is not one (torn, foreign, broken UTF-8)."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("seq"), int) else None


def first_seq(segment: Path) -> int | None:
    """The seq of the first readable line; None where there is none."""
    try:
        return next((record["seq"] for line in raw_lines(segment) if (record := parse(line))), None)
    except (OSError, EOFError):
        return None


def last_whole_line(path: Path, block_bytes: int = 65_536) -> tuple[int, int]:
    """The seq of the file's last whole readable line and the offset just behind it; (0, 0) where there is none."""
    with path.open("rb") as file:
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
