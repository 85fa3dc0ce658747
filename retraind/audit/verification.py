"""Proves the audit log's chain, its segments and the ledger against each other."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retraind.audit.log import line_of
from retraind.audit.proof import LedgerChain
from retraind.audit.segments import last_whole_line, lines, parse, segments
from retraind.ledger import Ledger, trail
from retraind.ledger.chain import GENESIS, canonical, digest

_MOST_PROBLEMS = 50
_ATTEMPTS = 5  # at a log that is rotated, or a ledger that is pruned, while it is walked
_CATCH_UP_SECONDS = 2.0  # what was committed just now may take so long to be written
_POLL_SECONDS = 0.05


@dataclass
class Report:
    """What was proved. The log holds when `problems` is empty; `notes` tell what is unusual and allowed.

    `proved_from` is the first event that is proved, be it by the log's lines or by the ledger's rows;
    None: there is none. `anchor_seq` is the newest event that was pruned from the ledger; 0: none was.
    """

    lines: int = 0
    segments: list[str] = field(default_factory=list)
    first_seq: int | None = None
    last_seq: int = 0
    ledger_seq: int = 0
    anchor_seq: int = 0
    proved_from: int | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.problems

    def blame(self, sentence: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(sentence)


def verify(path: Path, ledger: Ledger) -> Report:
    """Walks the ledger's chain and every line of every segment beside it, also while both grow.

    Where events were pruned from the ledger its chain begins at their last one's hash, which proves
    the lines before it too. Tamper-evident, not tamper-proof: who can rewrite the log and the ledger
    both can rewrite history.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        listed = _listing(path)
        chain = LedgerChain(ledger)
        report = _Walk(path, chain).report()
        disturbed = _listing(path) != listed or chain.moved()
        if report.holds or not disturbed or attempt == _ATTEMPTS:
            break
    return report


def _listing(path: Path) -> list[tuple[str, int]]:
    """The files that a log consists of, to see whether it was rotated meanwhile."""
    found = []
    for each in path.parent.glob(f"{path.stem}*"):
        try:
            found.append((each.name, each.stat().st_ino))
        except OSError:  # renamed between the two calls: it shows at the next listing
            continue
    return sorted(found)


class _Walk:
    """One walk along all lines. Each is held against the line before it and against the ledger."""

    def __init__(self, path: Path, chain: LedgerChain) -> None:
        self.path = path
        self.chain = chain
        self.told = Report(ledger_seq=chain.head, anchor_seq=chain.anchor)
        self._prev: str | None = None  # what the next line must name
        self._torn: tuple[str, bytes] | None = None  # where half a line stands, and it

    def report(self) -> Report:
        self._await_writers()
        for segment in segments(self.path):
            self.told.segments.append(segment.name)
            try:
                for number, line in enumerate(lines(segment), 1):
                    self._take(f"{segment.name}:{number}", line)
            except OSError as error:
                self.told.blame(f"{segment.name}: cannot be read: {error}")
        self._end_torn(self._next_line())
        self._check_ends()
        for problem in self.chain.problems:
            self.told.blame(problem)
        return self.told

    def _await_writers(self) -> None:
        """An event committed just now may not be written yet: that is no cut tail."""
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while time.monotonic() < deadline and 0 < _last_seq(self.path) < self.chain.head:
            time.sleep(_POLL_SECONDS)

    def _take(self, where: str, line: bytes) -> None:
        """Half a line is right where its event follows in whole: a copy was made while it was written."""
        self._end_torn(line)
        if line.endswith(b"\n"):
            self._check(where, line.removesuffix(b"\n"))
        else:
            self._torn = where, line

    def _end_torn(self, following: bytes) -> None:
        if self._torn is not None and not following.startswith(self._torn[1]):
            self.told.blame(f"{self._torn[0]}: is not an audit line")
        self._torn = None

    def _next_line(self) -> bytes:
        """The line that is to be written next; empty where there is none."""
        with self.chain.ledger.read() as connection:
            following = trail.beyond(connection, self.told.last_seq, limit=1)
        return line_of(following[0]) if following else b""

    def _check(self, where: str, line: bytes) -> None:
        record = parse(line)
        if record is None:
            self.told.blame(f"{where}: is not an audit line")
            return
        stated = str(record.pop("hash", ""))
        self.told.lines += 1
        for sentence in self._faults(record, stated, line):
            self.told.blame(f"{where}: {sentence}")
        if self.told.first_seq is None:
            self.told.first_seq = record["seq"]
        self.told.last_seq = max(self.told.last_seq, record["seq"])
        self._prev = stated

    def _faults(self, record: dict[str, Any], stated: str, line: bytes) -> Iterator[str]:
        seq = record["seq"]
        if self.told.first_seq is not None and seq != self.told.last_seq + 1:
            fault = "a line is doubled" if seq <= self.told.last_seq else "lines are missing"
            yield f"event {seq} follows {self.told.last_seq}: {fault}"
        elif self._prev is not None and record.get("prev") != self._prev:
            yield f"event {seq} does not continue the chain"
        elif seq == 1 and record.get("prev") != GENESIS:
            yield "event 1 does not begin the chain"
        expected = self._expected(seq)
        if not _is_as_hashed(record, stated, line):
            yield f"event {seq} was changed: its hash does not fit"
        elif expected is None and seq >= self.chain.anchor:
            yield f"event {seq} is not in the ledger"
        elif expected not in {None, stated}:
            yield f"event {seq} differs from the ledger's"

    def _expected(self, seq: int) -> str | None:
        """The ledger's hash of the event; None: it was pruned, or never was."""
        if seq > self.chain.head:  # committed since the walk began
            self.chain.read_on()
        return self.chain.hashes.get(seq)

    def _check_ends(self) -> None:
        told, anchor = self.told, self.told.anchor_seq
        if told.ledger_seq and not told.lines:
            told.blame(f"{self.path.name}: there is no line, and the ledger holds {told.ledger_seq} events")
        elif told.last_seq < told.ledger_seq:
            told.blame(
                f"{self.path.name}: ends at event {told.last_seq}, the ledger at {told.ledger_seq}: the tail is cut"
            )
        first = told.first_seq or told.ledger_seq + 1
        if told.ledger_seq:
            told.proved_from = min(first, anchor + 1)
        if told.lines and first > 1:
            told.notes.append(_where_is(first, anchor))


def _where_is(first: int, anchor: int) -> str:
    """What became of the events before the log's first line."""
    if anchor == 0:
        return f"events 1 to {first - 1} are in no segment here; the ledger's chain covers them"
    if first <= anchor + 1:
        return f"events 1 to {first - 1} are in no segment here, nor in the ledger any more: they are not proved"
    return (
        f"events {anchor + 1} to {first - 1} are in no segment here; the ledger's chain covers them; "
        f"those before are in neither any more, and not proved"
    )


def _last_seq(path: Path) -> int:
    """The newest event in the current file; 0 where there is none."""
    try:
        return last_whole_line(path)[0]
    except OSError:
        return 0


def _is_as_hashed(record: dict[str, Any], stated: str, line: bytes) -> bool:
    try:
        return digest(record) == stated and canonical({**record, "hash": stated}).encode() == line
    except (ValueError, RecursionError):  # NaN, half a character, no end of brackets: no line of ours holds such
        return False
