"""The audit log equals the ledger: in order, whole lines only, whatever was torn, rotated, cut or changed."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from templates import empty_ledger

from retraind.audit import AuditLog, verify
from retraind.errors import AuditUnwritable
from retraind.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.open(empty_ledger(tmp_path / "ledger.db"))
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "audit.jsonl"


@pytest.fixture
def audit(ledger, path):
    return AuditLog(path, ledger, rotate_bytes=10**9)


def happen(ledger: Ledger, count: int = 1) -> None:
    for number in range(count):
        with ledger.write("daemon:tëst") as transaction:
            transaction.event("daemon.started", data={"number": number, "text": "ä\n€"})


def seqs(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_bytes().splitlines()]


def test_each_event_becomes_one_line_with_every_documented_field(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert seqs(path) == [1, 2, 3]
    fields = {"schema", "seq", "time", "event", "model", "job", "actor", "data", "prev", "hash"}
    assert all(set(line) == fields for line in lines)
    assert lines[1]["prev"] == lines[0]["hash"]
    assert lines[0]["time"].endswith("Z")
    assert verify(path, ledger).holds


def test_projecting_again_writes_nothing(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    before = path.read_bytes()
    assert audit.project() == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [1, 10, 100])
def test_a_torn_line_is_completed_so_that_no_reader_sees_it_vanish(ledger, audit, path, kept):
    happen(ledger, 1)
    audit.project()
    whole = path.read_bytes()
    happen(ledger, 1)
    reference = AuditLog(path.with_name("reference.jsonl"), ledger, rotate_bytes=10**9)
    reference.project()
    full = path.with_name("reference.jsonl").read_bytes()
    path.write_bytes(full[: len(whole) + kept])
    assert audit.project() == []
    assert path.read_bytes() == full


def test_what_a_crash_wrote_without_noting_it_is_not_written_twice(ledger, audit, path):
    happen(ledger, 2)
    audit.project()
    note = path.with_name(".audit.jsonl.position")
    early = note.read_bytes()
    with ledger.write("daemon") as transaction:
        for number in range(2499):
            transaction.event("daemon.started", data={"number": number})
    happen(ledger, 1)
    audit.project()
    note.write_bytes(early)
    assert audit.project() == []
    assert seqs(path) == list(range(1, 2503))


def test_bytes_that_are_no_event_are_cut_and_said_so(ledger, audit, path):
    happen(ledger, 2)
    audit.project()
    with path.open("ab") as file:
        file.write(b"\0\0\0garbage")
    happen(ledger, 1)
    assert len(audit.project()) == 1
    assert verify(path, ledger).holds


@pytest.mark.parametrize("note", [None, b"", b"{nonsense"])
def test_a_lost_note_of_the_position_is_made_up_from_the_file(ledger, audit, path, note):
    happen(ledger, 3)
    audit.project()
    position = path.with_name(".audit.jsonl.position")
    position.unlink() if note is None else position.write_bytes(note)
    happen(ledger, 2)
    audit.project()
    assert seqs(path) == [1, 2, 3, 4, 5]


def test_a_segment_that_is_full_is_closed_and_the_chain_goes_on(ledger, path):
    audit = AuditLog(path, ledger, rotate_bytes=1500)
    for _ in range(20):
        happen(ledger)
        audit.project()
    report = verify(path, ledger)
    assert report.holds
    assert len(report.segments) > 3
    assert report.lines == 20


def test_rotation_by_rename_and_create_keeps_every_event_once(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    path.rename(path.with_name("audit.jsonl.1"))
    happen(ledger, 2)
    audit.project()
    with gzip.open(path.with_name("audit.jsonl.2.gz"), "wb") as file:
        file.write(path.with_name("audit.jsonl.1").read_bytes())
    path.with_name("audit.jsonl.1").unlink()
    path.rename(path.with_name("audit.jsonl.1"))
    path.touch()
    happen(ledger, 2)
    audit.project()
    assert seqs(path) == [6, 7]
    report = verify(path, ledger)
    assert report.holds, report.problems
    assert report.lines == 7


def test_a_deleted_log_is_noticed(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    path.unlink()
    assert verify(path, ledger).problems == ["audit.jsonl: there is no line, and the ledger holds 3 events"]


def test_older_segments_that_were_thrown_away_are_a_note_not_a_problem(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    path.unlink()
    happen(ledger, 1)
    audit.project()
    report = verify(path, ledger)
    assert report.holds
    assert report.notes == ["events 1 to 3 are in no segment here; the ledger's chain covers them"]


def _change(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"number":1', b'"number":9'), *lines[2:]]


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (_change, "event 2 was changed"),
        (lambda lines: [lines[0], *lines[2:]], "lines are missing"),
        (lambda lines: lines[:-1], "the tail is cut"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], "a line is doubled"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "follows"),
        (lambda lines: [*lines, b"not json\n"], "is not an audit line"),
        (lambda lines: [*lines, b"\xff\xfe\n"], "is not an audit line"),
    ],
)
def test_tampering_with_the_file_shows(ledger, audit, path, tamper, expected):
    happen(ledger, 4)
    audit.project()
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    report = verify(path, ledger)
    assert any(expected in problem for problem in report.problems), report.problems


def test_tampering_with_the_ledger_shows(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    with ledger.write("daemon") as transaction:
        transaction.connection.exec_driver_sql("UPDATE events SET actor = 'somebody' WHERE seq = 2")
    assert any("ledger: event 2" in problem for problem in verify(path, ledger).problems)


def test_a_log_that_cannot_be_written_loses_nothing(ledger, audit, path):
    happen(ledger, 1)
    path.parent.mkdir()
    path.mkdir()
    with pytest.raises(AuditUnwritable, match="cannot be written"):
        audit.project()
    path.rmdir()
    audit.project()
    assert seqs(path) == [1]


def test_the_lag_is_the_number_of_events_not_written(ledger, audit):
    happen(ledger, 2)
    assert audit.lag() == 2
    audit.project()
    happen(ledger, 3)
    assert audit.lag() == 3


def test_processes_that_commit_at_once_write_every_event_once_and_in_order(ledger, path, tmp_path):
    program = f"""
from pathlib import Path
from retraind.audit import AuditLog
from retraind.ledger import Ledger
ledger = Ledger.open("sqlite:///{tmp_path}/ledger.db")
ledger.after_commit = AuditLog(Path({str(path)!r}), ledger, 3000).project
for number in range(20):
    with ledger.write("worker") as transaction:
        transaction.event("daemon.started", data={{"number": number}})
"""
    started = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in started] == [b"", b"", b""]
    report = verify(path, ledger)
    assert report.holds, report.problems
    assert report.lines == 60


def test_a_reader_that_follows_never_sees_half_a_line_end(ledger, audit, path):
    happen(ledger, 1)
    audit.project()
    with path.open("rb") as reader:
        first = reader.read()
        happen(ledger, 1)
        audit.project()
        assert (first + reader.read()).endswith(b"\n")
    assert path.stat().st_size == len(path.read_bytes())
