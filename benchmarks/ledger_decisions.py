"""Decisions per second: looks that fire, each committed with its job, its firing, its look and its events.

The bare baseline commits one row at a time to SQLite with the ledger's own pragmas (WAL, synchronous=FULL)
on the same disk, in turns with ours.
"""

import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.project import model
from daemon import looking
from retraind.config.settings import Model, Settings
from retraind.ledger import Ledger, Transaction, leases, models
from retraind.ledger.leases import LEADER
from triggers.verdict import Outcome, Verdict

ROUNDS = 7
DECISIONS = 100  # a round, each of a model of its own: a model has one open job
LEAST = 0.3


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        ledger = Ledger.open(f"sqlite:///{directory / 'ledger.db'}")
        bare = _bare_table(directory / "bare.db")
        configured = _model(directory)
        ours, theirs = [], []
        for number in range(ROUNDS + 1):
            ours.append(_decisions(ledger, configured, number))
            theirs.append(_commits(bare))
        bare.close()
        ledger.close()
    mine, base = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return [
        Figure("ledger decisions", mine, "/s"),
        Figure("bare SQLite commits", base, "/s"),
        Figure("ledger decisions / bare SQLite commits", mine / base, "x", at_least=LEAST),
    ]


def _model(directory: Path) -> Model:
    triggers = {"landing": {"type": "file", "path": str(directory / "*.csv")}}
    settings = Settings.model_validate({"models": {"delays": model(triggers)}}, context={"directory": directory})
    return settings.models["delays"]


def _decisions(ledger: Ledger, configured: Model, number: int) -> float:
    """Per second."""
    names = [f"model-{number}-{each}" for each in range(DECISIONS)]
    with ledger.write("daemon") as transaction:
        token = leases.acquire(transaction, LEADER, f"daemon-{number}", configured.policy.approval_expires)
        for name in names:
            models.make_known(transaction, name)
        facts = models.facts(transaction.connection, names[0], (), transaction.now)  # a look has read them before
    assert token is not None

    def guard(transaction: Transaction) -> None:
        leases.renew(transaction, LEADER, token, configured.policy.approval_expires)

    trigger = configured.triggers["landing"]
    start = time.perf_counter()
    for name in names:
        numbers = {"new": 1, "changed": 0, "gone": 0, "files": ["a.csv"]}
        verdict = Verdict(Outcome.FIRED, "1 new file: a.csv, 8 bytes in all.", numbers, key=name)
        look = looking.Look(name, "landing", trigger, configured.policy, verdict, facts)
        _, job = looking.commit(ledger, look, configured, audit_unwritable=False, guard=guard)
        assert job is not None
    took = time.perf_counter() - start
    with ledger.write("daemon") as transaction:
        leases.release(transaction, LEADER, token)
    return DECISIONS / took


def _bare_table(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE decisions (id INTEGER PRIMARY KEY, said TEXT)")
    return connection


def _commits(connection: sqlite3.Connection) -> float:
    """Per second."""
    start = time.perf_counter()
    for number in range(DECISIONS):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO decisions (said) VALUES (?)", (f"decision {number}, of a length to be told",))
        connection.execute("COMMIT")
    return DECISIONS / (time.perf_counter() - start)
