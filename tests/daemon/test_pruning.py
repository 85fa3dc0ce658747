"""The leader prunes ledger and closed audit files, a bounded amount at a time, and what is left is proved."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from clocks import SetClock
from sqlalchemy import func, select
from templates import empty_ledger

from daemon import pruning
from daemon.pruning import Pruner
from retraind.audit import AuditLog, verify
from retraind.audit.segments import segments
from retraind.audit.verification import Report
from retraind.config.loading import load
from retraind.config.policy import Breaker
from retraind.errors import LeaseLost
from retraind.ledger import Ledger, jobs, receivers, retention, tables
from retraind.states import JobState

CONFIGURATION = """
models:
  delays:
    predictions: {url: "sqlite:///monitoring.db"}
    training: {trainer: {sklearn: sklearn.linear_model.LogisticRegression}}
audit: {rotate: 1500B}
retention: {jobs: 10d, looks: 10d, events: 20d, audit: 40d, every: 1h}
"""


class Scene:
    """A ledger with one ended job a day, its audit log, and the pruner."""

    def __init__(self, folder: Path) -> None:
        (folder / "retraind.yaml").write_text(CONFIGURATION)
        self.clock = SetClock()
        self.settings = load(folder / "retraind.yaml", os.environ)
        self.path = self.settings.audit.path
        self.ledger = Ledger.open(self.settings.ledger_url, self.clock)
        self.audit = AuditLog(self.path, self.ledger, self.settings.audit.rotate)
        self.ledger.after_commit = lambda: self.audit.project() and None
        self.pruner = Pruner(self.settings, self.ledger, self.audit, lambda transaction: None)

    def days(self, number: int) -> None:
        for _ in range(number):
            self.clock.move(days=1)
            with self.ledger.write("daemon") as transaction:
                job = jobs.request(transaction, "delays", reason="r")
                assert job is not None
                found = jobs.get(transaction.connection, job)
                assert found is not None
                jobs.close(transaction, found, JobState.CANCELLED, Breaker())

    def prune(self) -> None:
        self.clock.move(hours=2)
        self.pruner.pass_once()

    def seqs(self) -> list[int]:
        with self.ledger.read() as connection:
            return list(connection.execute(select(tables.events.c.seq).order_by(tables.events.c.seq)).scalars())

    def told(self, what: str) -> list[int]:
        """The counts of `what` in the events that tell of pruning."""
        with self.ledger.read() as connection:
            query = select(tables.events.c.data).where(tables.events.c.event == "retention.pruned")
            found = connection.execute(query.order_by(tables.events.c.seq)).scalars()
            return [data[what] for data in found if what in data]

    def count(self, table) -> int:
        with self.ledger.read() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()

    def proof(self) -> Report:
        report = verify(self.path, self.ledger)
        assert report.holds, report.problems
        return report


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    empty_ledger(tmp_path / "state" / "ledger.db")
    made = Scene(tmp_path)
    yield made
    made.ledger.close()


def test_jobs_and_events_go_after_their_time_and_the_log_is_still_proved(scene):
    scene.days(30)
    scene.prune()
    assert scene.count(tables.jobs) == 10
    assert scene.seqs()[0] == 21  # two events a day
    assert (scene.told("jobs"), scene.told("events"), scene.told("through")) == ([20], [20], [20])
    report = scene.proof()
    assert (report.anchor_seq, report.first_seq, report.proved_from) == (20, 1, 1)


def test_nothing_is_looked_for_until_the_next_round(scene):
    scene.days(30)
    scene.prune()
    scene.days(1)
    scene.clock.move(days=-1, minutes=30)
    before = scene.seqs()
    scene.pruner.pass_once()
    assert scene.seqs() == before


def test_closed_files_go_when_all_in_them_is_older_and_the_proof_begins_later(scene):
    scene.days(70)
    scene.prune()
    removed = scene.told("segments")
    assert len(removed) == 1
    assert removed[0] > 1
    first = json.loads(segments(scene.path)[0].read_text().splitlines()[0])
    report = scene.proof()
    assert report.proved_from == report.first_seq == first["seq"] > 1
    assert report.notes == [
        f"events 1 to {first['seq'] - 1} are in no segment here, nor in the ledger any more: they are not proved"
    ]
    youngest = json.loads(segments(scene.path)[0].read_text().splitlines()[-1])
    assert youngest["time"] >= f"{scene.clock.now() - timedelta(days=40):%Y-%m-%dT%H:%M:%S}"


def test_the_current_file_and_what_others_rotated_away_stay_however_old(scene):
    scene.days(3)
    theirs = scene.path.with_name("audit.jsonl.1")
    segments(scene.path)[0].rename(theirs)
    scene.days(3)
    scene.clock.move(days=1000)
    before = [segment.name for segment in segments(scene.path)]
    scene.prune()
    assert [segment.name for segment in segments(scene.path)][
        : len(before)
    ] == before  # none between two others is missing
    theirs.unlink()
    scene.prune()
    scene.clock.move(hours=2)
    scene.prune()
    assert scene.path.exists()
    assert [segment.name for segment in segments(scene.path)] != before[1:]
    scene.proof()


def test_an_event_that_is_not_in_the_audit_log_stays(scene):
    scene.days(5)
    scene.ledger.after_commit = lambda: None
    written = scene.audit.written()
    scene.days(30)
    scene.prune()
    assert scene.seqs()[0] == written + 1
    scene.audit.project()
    scene.prune()
    assert scene.seqs()[0] > written + 1
    scene.audit.project()
    scene.proof()


def test_an_event_whose_line_was_changed_or_thrown_away_stays_until_the_files_would_have_gone(scene):
    scene.days(30)
    segments(scene.path)[0].unlink()
    scene.prune()
    assert scene.seqs()[0] == 1
    scene.days(20)
    scene.prune()
    assert scene.seqs()[0] > 1


def test_an_event_that_a_receiver_was_not_told_of_stays(scene):
    with scene.ledger.write("daemon") as transaction:
        receivers.register(transaction, "somebody")
    scene.days(30)
    scene.prune()
    assert scene.seqs()[0] == 1


def test_counts_of_a_model_that_is_configured_no_longer_go_and_those_of_others_stay(scene):
    for model in ("delays", "gone"):
        (scene.settings.profiles / model / "a.buckets").mkdir(parents=True)
        (scene.settings.profiles / model / "a.buckets" / "listing").write_text("{}")
    scene.prune()
    assert [path.name for path in scene.settings.profiles.iterdir()] == ["delays"]
    assert (scene.settings.profiles / "delays" / "a.buckets" / "listing").exists()


def test_a_pass_is_bounded_and_the_round_goes_on_with_the_next(scene, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(pruning, "MOST_TRANSACTIONS", 3)
    scene.days(30)
    scene.clock.move(hours=2)
    jobs_left = []
    for _ in range(4):
        scene.pruner.pass_once()
        jobs_left.append(scene.count(tables.jobs))
    assert jobs_left == [24, 18, 12, 10]
    for _ in range(9):
        scene.pruner.pass_once()
    assert scene.seqs()[0] == 21
    scene.proof()


def test_a_daemon_that_leads_no_more_prunes_nothing(scene):
    def refuse(_transaction) -> None:
        raise LeaseLost("another leads")

    scene.days(30)
    scene.pruner.guard = refuse
    with pytest.raises(LeaseLost):
        scene.prune()
    assert scene.count(tables.jobs) == 30
    assert scene.seqs()[0] == 1


def test_events_taken_from_the_ledger_without_a_word_show(scene):
    scene.days(5)
    with scene.ledger.write("daemon") as transaction:
        digest = transaction.connection.execute(select(tables.events.c.hash).where(tables.events.c.seq == 4)).scalar()
        transaction.connection.execute(tables.events.delete().where(tables.events.c.seq <= 4))
        transaction.connection.execute(tables.chain.update().values(pruned_seq=4, pruned_hash=digest))
    assert verify(scene.path, scene.ledger).problems == [
        "ledger: its events up to 4 are gone, and none tells that they were pruned"
    ]


@pytest.mark.parametrize("line", [1, 19, 20])
def test_a_changed_line_from_before_the_anchor_shows(scene, line):
    scene.days(30)
    scene.prune()
    for segment in segments(scene.path):
        records = segment.read_text()
        if f'"seq":{line},' in records:
            rows = [
                row.replace('"actor":"daemon"', '"actor":"nobody"') if f'"seq":{line},' in row else row
                for row in records.splitlines()
            ]
            segment.write_text("\n".join(rows) + "\n")
    assert any(f"event {line} was changed" in problem for problem in verify(scene.path, scene.ledger).problems)


ROUNDS = """
import os, sys
sys.path[:0] = {paths!r}
from datetime import datetime
from pathlib import Path
from test_pruning import Scene, retention

retention.BATCH = 2
for line in sys.stdin:
    folder, now = line.split()
    child = os.fork()
    if child == 0:
        scene = Scene(Path(folder))
        scene.clock.instant = datetime.fromisoformat(now)
        scene.pruner.pass_once()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Rounds:
    """Rounds of pruning under faults, each in a process of its own: forked from one that imports what it takes once."""

    def __init__(self, faults: Path) -> None:
        self.faults = faults
        for name in ("armed", "struck"):
            (faults / name).mkdir(parents=True)
        paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
        self._process = subprocess.Popen(
            [sys.executable, "-c", ROUNDS.format(paths=paths)],
            env=os.environ | {"RETRAIND_FAULTS": str(faults)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, scene: Scene, folder: Path) -> int:
        """The exit code of a round on the project in `folder`, at the scene's instant."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder} {scene.clock.now().isoformat()}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def points(self, scene: Scene, folder: Path) -> list[str]:
        """The fault points that a round on a copy of the project passes."""
        copy = folder.parent / f"{folder.name}-copy"
        shutil.copytree(folder, copy)
        passed = self.faults / "passed"
        passed.touch()
        assert self.run(scene, copy) == 0
        points = sorted({line.split()[1] for line in passed.read_text().splitlines()})
        passed.unlink()
        return points

    def disarm(self) -> None:
        for armed in (self.faults / "armed").iterdir():
            armed.unlink()

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rounds]:
    made = Rounds(tmp_path_factory.mktemp("faults"))
    yield made
    made.close()


def test_a_daemon_killed_anywhere_in_a_round_leaves_what_the_next_round_finishes(scene, rounds, tmp_path):
    scene.days(70)
    scene.clock.move(hours=2)
    points = rounds.points(scene, tmp_path)
    assert any("prun" in point or "_did_something" in point for point in points)
    assert any("retention.segment" in point for point in points)
    killed = 0
    for point in points:
        (rounds.faults / "armed" / point).write_text("kill")
        killed += rounds.run(scene, tmp_path) == -signal.SIGKILL
        scene.audit.project()
        scene.proof()
    assert killed > 5
    rounds.disarm()
    assert rounds.run(scene, tmp_path) == 0
    scene.audit.project()
    report = scene.proof()
    assert scene.count(tables.jobs) == 10
    assert report.anchor_seq >= 100
