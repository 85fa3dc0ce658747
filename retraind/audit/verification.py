"""Proves the audit log's chain, its segments and the ledger against each other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from retraind.audit.segments import parse, raw_lines, segments
from retraind.ledger import Ledger, tables
from retraind.ledger.chain import GENESIS, canonical, digest, record_of

_MOST_PROBLEMS = 50


@dataclass
class Report:
    """What was proved. The log holds when `problems` is empty; `notes` tell what is unusual and allowed."""

    lines: int = 0
    segments: list[str] = field(default_factory=list)
    first_seq: int | None = None
    last_seq: int = 0
    ledger_seq: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.problems

    def blame(self, sentence: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(sentence)


def verify(path: Path, ledger: Ledger) -> Report:
    """Walks the ledger's chain and every line of every segment beside it.

    Tamper-evident, not tamper-proof: who can rewrite the log and the ledger both can rewrite history.
    """
    report = Report()
    expected = _ledger_hashes(ledger, report)
    prev: str | None = None
    for where, line in _lines(path, report):
        prev = _check_line(report, where, line, prev, expected)
    _check_ends(report, path)
    return report


def _ledger_hashes(ledger: Ledger, report: Report) -> dict[int, str]:
    """seq to hash of every event in the ledger, the chain and the head checked on the way."""
    hashes: dict[int, str] = {}
    prev, last = GENESIS, 0
    with ledger.read() as connection:
        head = connection.execute(select(tables.chain)).one()
        rows = connection.execution_options(yield_per=1000).execute(select(tables.events).order_by(tables.events.c.seq))
        for row in rows:
            event = dict(row._mapping)
            if event["seq"] != last + 1:
                report.blame(f"ledger: event {last + 1} is missing before {event['seq']}")
            if event["prev"] != prev or digest(record_of(event)) != event["hash"]:
                report.blame(f"ledger: event {event['seq']} ({event['event']}) was changed: its hash does not fit")
            prev, last = event["hash"], event["seq"]
            hashes[last] = prev
    if (head.seq, head.hash) != (last, prev):
        report.blame(f"ledger: its head says event {head.seq}, its last event is {last}")
    report.ledger_seq = max(head.seq, last)
    return hashes


def _lines(path: Path, report: Report) -> Iterator[tuple[str, bytes]]:
    for segment in segments(path):
        report.segments.append(segment.name)
        try:
            for number, line in enumerate(raw_lines(segment), 1):
                yield f"{segment.name}:{number}", line
        except (OSError, EOFError) as error:
            report.blame(f"{segment.name}: cannot be read: {error}")


def _check_line(report: Report, where: str, line: bytes, prev: str | None, expected: dict[int, str]) -> str | None:
    """Checks one line and returns the hash that the next must name as `prev`."""
    record = parse(line)
    if record is None:
        report.blame(f"{where}: is not an audit line")
        return prev
    stated = str(record.pop("hash", ""))
    report.lines += 1
    for sentence in _faults(record, stated, line, prev, report, expected):
        report.blame(f"{where}: {sentence}")
    report.first_seq = record["seq"] if report.first_seq is None else report.first_seq
    report.last_seq = max(report.last_seq, record["seq"])
    return stated


def _faults(
    record: dict[str, Any], stated: str, line: bytes, prev: str | None, report: Report, expected: dict[int, str]
) -> Iterator[str]:
    seq = record["seq"]
    if report.first_seq is not None and seq != report.last_seq + 1:
        fault = "a line is doubled" if seq <= report.last_seq else "lines are missing"
        yield f"event {seq} follows {report.last_seq}: {fault}"
    elif prev is not None and record.get("prev") != prev:
        yield f"event {seq} does not continue the chain"
    if digest(record) != stated or canonical({**record, "hash": stated}).encode() != line:
        yield f"event {seq} was changed: its hash does not fit"
    elif seq not in expected:
        yield f"event {seq} is not in the ledger"
    elif expected[seq] != stated:
        yield f"event {seq} differs from the ledger's"


def _check_ends(report: Report, path: Path) -> None:
    if report.ledger_seq and not report.lines:
        report.blame(f"{path.name}: there is no line, and the ledger holds {report.ledger_seq} events")
    elif report.last_seq < report.ledger_seq:
        report.blame(
            f"{path.name}: ends at event {report.last_seq}, the ledger at {report.ledger_seq}: the tail is cut"
        )
    if report.first_seq is not None and report.first_seq > 1:
        report.notes.append(
            f"events 1 to {report.first_seq - 1} are in no segment here; the ledger's chain covers them"
        )
