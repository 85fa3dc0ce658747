"""Audit events per second: each in a transaction of its own, brought to the file and the disk after its commit.

Timed is what the log does then (lock, find what is new, write, fsync, note the position), not the commit. The
bare baseline appends a line as long to a file and fsyncs it, in turns with ours, event by event: a disk has its moods.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from retraind.audit import AuditLog
from retraind.ledger import Ledger

ROUNDS = 7
EVENTS = 200  # a round
BURST = 1000
LEAST = 0.5


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        ledger = Ledger.open(f"sqlite:///{directory / 'ledger.db'}")
        log = AuditLog(directory / "audit.jsonl", ledger, 2**30)
        ours, theirs, bursts = [], [], []
        for _ in range(ROUNDS + 1):
            mine, base = _one_by_one(ledger, log, directory / "bare.jsonl")
            ours.append(mine)
            theirs.append(base)
            bursts.append(_burst(ledger, log))
        ledger.close()
    mine, base = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return [
        Figure("audit events, one by one", mine, "/s"),
        Figure("bare fsynced appends", base, "/s"),
        Figure("audit events / bare fsynced appends", mine / base, "x", at_least=LEAST),
        Figure(f"audit events, {BURST} at a time", statistics.median(bursts[1:]), "/s"),
    ]


def _tell(ledger: Ledger, count: int) -> None:
    with ledger.write("daemon") as transaction:
        for number in range(count):
            data = {"trigger": "landing", "sentence": "1 new file: a.csv, 8 bytes in all.", "numbers": {"new": number}}
            transaction.event("trigger.fired", model="delays", data=data)


def _one_by_one(ledger: Ledger, log: AuditLog, bare: Path) -> tuple[float, float]:
    """Per second, ours and of bare appends."""
    mine = base = 0.0
    file = os.open(bare, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(EVENTS):
        _tell(ledger, 1)
        size = log.path.stat().st_size if log.path.exists() else 0
        start = time.perf_counter()
        log.project()
        mine += time.perf_counter() - start
        line = b"x" * (log.path.stat().st_size - size)
        start = time.perf_counter()
        os.write(file, line)
        os.fsync(file)
        base += time.perf_counter() - start
    os.close(file)
    return EVENTS / mine, EVENTS / base


def _burst(ledger: Ledger, log: AuditLog) -> float:
    """Per second."""
    _tell(ledger, BURST)
    start = time.perf_counter()
    log.project()
    return BURST / (time.perf_counter() - start)
