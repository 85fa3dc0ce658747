"""Which events the audit log's files hold, and which of its closed files have been kept long enough.

The leading daemon asks before it prunes. Nothing here looks at the current file as something to remove.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from retraind import faults
from retraind.audit.segments import first_seq, is_ours, lines, parse, segments
from retraind.clock import parse_rfc3339


def count_standing(path: Path, events: Sequence[tuple[int, str]]) -> int:
    """How many of the events (seq, hash), from the first on, stand in the log's files just so.

    They are in order and without a gap. A file that cannot be read ends the count.
    """
    standing = 0
    try:
        for seq, digest in _found(path, events[0][0]):
            if standing == len(events) or (seq, digest) != events[standing]:
                break
            standing += 1
    except OSError:  # rotated just now, or damaged: another time
        return standing
    return standing


def outdated(path: Path, before: datetime) -> list[Path]:
    """The closed files that hold nothing younger than `before`, oldest first.

    Only files that retraind closed, and only from the log's beginning on, so that none is ever missing
    between two others. What somebody else rotated away is for them to remove.
    """
    found = []
    for segment in segments(path):
        if segment == path or not is_ours(path, segment) or not _is_older(segment, before):
            break
        found.append(segment)
    return found


def remove(segment: Path) -> None:
    """Removes a closed file; one that is gone is no error. Raises OSError where it cannot be removed."""
    with faults.around("retention.segment"):
        segment.unlink(missing_ok=True)


def _found(path: Path, start: int) -> Iterator[tuple[int, str]]:
    """The (seq, hash) of every line from event `start` on."""
    files = segments(path)
    beginnings = [first_seq(segment) or 0 for segment in files]
    for number, segment in enumerate(files):
        if number + 1 < len(files) and beginnings[number + 1] <= start:
            continue  # it ends before
        for line in lines(segment):
            record = parse(line) if line.endswith(b"\n") else None
            if record is not None and record["seq"] >= start:
                yield record["seq"], str(record.get("hash"))


def _is_older(segment: Path, before: datetime) -> bool:
    """True when every line is older than `before`; a line that is no event is of no age."""
    try:
        for line in lines(segment):
            record = parse(line)
            if record is not None and parse_rfc3339(str(record.get("time"))) >= before:
                return False
    except (OSError, ValueError):  # damaged: a person may want to see it
        return False
    return True
