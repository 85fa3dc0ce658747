"""Audit events per second: each in a transaction of its own, brought to the file and the disk after its commit.

Timed is what the log does then (lock, find what is new, write, fsync, note the position), not the commit. The
bare baseline appends lines as long to a file and fsyncs each, in turns with ours.
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
            ours.append(_one_by_one(ledger, log))
            theirs.append(_appends(directory / "bare.jsonl", log.path))
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


def _one_by_one(ledger: Ledger, log: AuditLog) -> float:
    """Per second."""
    took = 0.0
    for _ in range(EVENTS):
        _tell(ledger, 1)
        start = time.perf_counter()
        log.project()
        took += time.perf_counter() - start
    return EVENTS / took


def _burst(ledger: Ledger, log: AuditLog) -> float:
    """Per second."""
    _tell(ledger, BURST)
    start = time.perf_counter()
    log.project()
    return BURST / (time.perf_counter() - start)


def _appends(path: Path, like: Path) -> float:
    """Per second, of lines as long as the last of `like`."""
    line = like.read_bytes().splitlines(keepends=True)[-1]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    start = time.perf_counter()
    for _ in range(EVENTS):
        os.write(file, line)
        os.fsync(file)
    took = time.perf_counter() - start
    os.close(file)
    return EVENTS / took
