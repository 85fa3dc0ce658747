"""Whoever rotates the log, however, and whatever dies in between: every event stands once, in order, and is proved."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from templates import empty_ledger

from retraind.audit import AuditLog, verify
from retraind.audit.keeping import count_standing, outdated
from retraind.audit.log import line_of
from retraind.audit.segments import first_seq, segments
from retraind.ledger import Ledger, trail

LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
HUGE = 10**9

WRITER = """
import sys
from pathlib import Path
from retraind.audit import AuditLog
from retraind.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
ledger.after_commit = AuditLog(Path(sys.argv[2]), ledger, int(sys.argv[3])).project
sys.stdout.write("ready\\n")
sys.stdout.flush()
for number in range(int(sys.argv[4])):
    if number % int(sys.argv[5]) == 0:
        sys.stdin.readline()
    with ledger.write("worker") as transaction:
        transaction.event("daemon.started", data={"number": number, "text": "x" * 300})
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return empty_ledger(tmp_path / "ledger.db")


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger.open(url)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "audit.jsonl"


@pytest.fixture
def audit(ledger: Ledger, path: Path) -> AuditLog:
    return AuditLog(path, ledger, rotate_bytes=HUGE)


def happen(ledger: Ledger, count: int = 1) -> None:
    with ledger.write("daemon") as transaction:
        for number in range(count):
            transaction.event("daemon.started", data={"number": number})


def numbers(ledger: Ledger, path: Path) -> list[int]:
    """The seqs of all lines of all files, in turn; the log must hold."""
    report = verify(path, ledger)
    assert report.holds, report.problems
    return [
        json.loads(line)["seq"]
        for segment in segments(path)
        for line in segment.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


def rotate_by_rename(path: Path) -> None:
    _shift(path)
    path.rename(path.with_name("audit.jsonl.1"))
    path.touch()


def rotate_by_copy(path: Path) -> None:
    """As logrotate does it: in pieces, while others write."""
    _shift(path)
    with path.open("rb") as source, path.with_name("audit.jsonl.1").open("wb") as copy:
        while piece := source.read(4096):
            copy.write(piece)
    time.sleep(0.002)  # in which writers go on
    os.truncate(path, 0)


def _shift(path: Path) -> None:
    """audit.jsonl.1 becomes .2, and so on."""
    kept = sorted(path.parent.glob("audit.jsonl.[0-9]*"), key=lambda each: -int(each.suffix[1:]))
    for each in kept:
        each.rename(each.with_suffix(f".{int(each.suffix[1:]) + 1}"))


def test_what_was_written_between_the_copy_and_the_cut_is_written_again(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    shutil.copy(path, path.with_name("audit.jsonl.1"))
    happen(ledger, 2)
    audit.project()
    os.truncate(path, 0)
    assert audit.project() == ["events 4 to 5 were lost when somebody rotated the log, and were written again"]
    happen(ledger)
    assert audit.project() == []
    assert numbers(ledger, path) == [1, 2, 3, 4, 5, 6]


def test_also_when_others_wrote_into_the_cut_file_before_it_was_noticed(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    shutil.copy(path, path.with_name("audit.jsonl.1"))
    happen(ledger, 2)
    audit.project()
    happen(ledger, 2)
    with ledger.read() as connection:
        late = b"".join(line_of(event) for event in trail.beyond(connection, 5))
    path.write_bytes(late)  # appended to a file that was cut a moment before
    assert len(audit.project()) == 1
    assert numbers(ledger, path) == [1, 2, 3, 4, 5, 6, 7]
    assert [segment.name for segment in segments(path)] == ["audit.jsonl.1", "audit-000000000005.jsonl", "audit.jsonl"]
    assert audit.project() == []


def test_half_a_line_at_the_end_of_a_copy_is_no_fault_where_the_whole_follows(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    copy = path.with_name("audit.jsonl.1")
    copy.write_bytes(path.read_bytes()[:-40])
    os.truncate(path, 0)
    audit.project()
    assert numbers(ledger, path) == [1, 2, 3]
    copy.write_bytes(copy.read_bytes() + b"?")
    assert verify(path, ledger).problems == ["audit.jsonl.1:3: is not an audit line"]


def test_a_file_that_is_cut_without_a_copy_goes_on_and_says_so(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    os.truncate(path, 0)
    assert "lines up to 3 are gone" in audit.project()[0]
    happen(ledger)
    audit.project()
    assert numbers(ledger, path) == [4]


@pytest.mark.parametrize("created", [True, False])
def test_a_kill_between_closing_a_segment_and_noting_it_doubles_no_line(ledger, path, created):
    audit = AuditLog(path, ledger, rotate_bytes=HUGE)
    happen(ledger, 2)
    audit.project()
    note = path.with_name(".audit.jsonl.position").read_bytes()
    happen(ledger, 3)
    AuditLog(path, ledger, rotate_bytes=1).project()
    assert path.read_bytes() == b""
    path.with_name(".audit.jsonl.position").write_bytes(note)
    if not created:
        path.unlink()
    happen(ledger)
    assert audit.project() == []
    assert numbers(ledger, path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_lost_note_beside_an_empty_file_doubles_no_line(ledger, audit, path, compressed):
    happen(ledger, 3)
    audit.project()
    rotate_by_rename(path)
    if compressed:
        subprocess.run(["gzip", path.with_name("audit.jsonl.1")], check=True)
    path.with_name(".audit.jsonl.position").unlink()
    happen(ledger)
    audit.project()
    report = verify(path, ledger)
    assert (report.holds, report.lines) == (True, 4)


@pytest.mark.parametrize("at", [20, -20, None])
def test_a_compressed_file_that_is_damaged_is_told_and_what_it_held_is_written_again(ledger, audit, path, at):
    happen(ledger, 300)
    audit.project()
    packed = bytearray(gzip.compress(path.read_bytes()))
    path.unlink()
    if at is None:
        del packed[-20:]
    else:
        packed[at] ^= 255
    closed = path.with_name("audit-000000000300.jsonl.gz")
    closed.write_bytes(packed)
    path.with_name(".audit.jsonl.position").unlink()
    assert audit.project() == []
    assert count_standing(path, [(1, "")]) == 0
    assert outdated(path, datetime(2000, 1, 1, tzinfo=UTC)) == []
    problems = verify(path, ledger).problems
    assert not [problem for problem in problems if "missing" in problem]
    if first_seq(closed) is not None:  # its beginning can be read
        assert any(problem.startswith(f"{closed.name}: cannot be read: ") for problem in problems)


@pytest.mark.parametrize("seq", ["2147483648", "9223372036854775808", "99999999999999999999", "0", "-1"])
def test_a_number_that_no_event_has_is_no_audit_line(ledger, audit, path, seq):
    happen(ledger, 2)
    audit.project()
    with path.open("a") as file:
        file.write(f'{{"seq": {seq}}}\n')
    assert verify(path, ledger).problems == ["audit.jsonl:3: is not an audit line"]
    path.with_name(".audit.jsonl.position").unlink()
    happen(ledger)
    (repaired,) = audit.project()
    assert repaired.endswith(" bytes that are no event were cut from the log's end")
    assert numbers(ledger, path) == [1, 2, 3]


def test_a_time_off_the_calendar_keeps_a_closed_file(path):
    path.parent.mkdir()
    closed = path.with_name("audit-000000000001.jsonl")
    closed.write_text('{"seq": 1, "time": "0001-01-01T00:00:00+14:00"}\n')
    assert outdated(path, datetime(2026, 1, 1, tzinfo=UTC)) == []


def test_a_file_that_is_being_compressed_counts_once(ledger, audit, path):
    happen(ledger, 3)
    audit.project()
    rotate_by_rename(path)
    path.with_name("audit.jsonl.1.gz").write_bytes(b"\x1f\x8b half of it")
    happen(ledger)
    audit.project()
    assert numbers(ledger, path) == [1, 2, 3, 4]


@pytest.mark.parametrize("rotate", [rotate_by_rename, rotate_by_copy])
def test_writers_that_write_meanwhile_lose_nothing(url, ledger, path, rotate: Callable[[Path], None]):
    happen(ledger)
    AuditLog(path, ledger, HUGE).project()
    writers = [start(url, path, HUGE, events=60) for _ in range(2)]
    for _ in range(8):
        time.sleep(0.05)
        rotate(path)
        verify_live(path, ledger)
    finish(writers)
    AuditLog(path, ledger, HUGE).project()
    assert numbers(ledger, path) == list(range(1, 122))


def test_a_log_that_rotates_by_size_holds_at_every_moment(url, ledger, path):
    happen(ledger)
    AuditLog(path, ledger, 4000).project()
    writers = [start(url, path, 4000, events=40) for _ in range(2)]
    while any(writer.poll() is None for writer in writers):
        verify_live(path, ledger)
    finish(writers)
    assert numbers(ledger, path) == list(range(1, 82))
    assert len(segments(path)) > 5


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed; the same is done by hand above")
@pytest.mark.parametrize("how", ["create", "nocreate", "create\n compress\n delaycompress", "copytruncate"])
def test_logrotate_itself_loses_nothing(url, ledger, path, tmp_path, how):
    happen(ledger)
    AuditLog(path, ledger, HUGE).project()
    path.parent.chmod(0o700)
    rules = tmp_path / "rules"
    rules.write_text(f"{path} {{\n rotate 100\n missingok\n {how}\n}}\n")
    rules.chmod(0o600)
    writer = start(url, path, HUGE, events=200, at_once=40)
    for number in range(5):
        if number:
            go_on(writer)
        while not path.exists() or path.stat().st_size == 0:
            time.sleep(0.01)
        command = [str(LOGROTATE), "--force", "--state", str(tmp_path / "status"), str(rules)]
        subprocess.run(command, check=True, capture_output=True)
        verify_live(path, ledger)
    finish([writer])
    AuditLog(path, ledger, HUGE).project()
    report = verify(path, ledger)
    assert report.holds, report.problems
    assert report.lines == 201
    assert len(report.segments) > 3


def start(url: str, path: Path, rotate_bytes: int, events: int, at_once: int | None = None) -> "subprocess.Popen[str]":
    """A process that writes so many events, and waits to be told to `go_on` after each `at_once`; None: it does not."""
    command = [sys.executable, "-c", WRITER, url, str(path), str(rotate_bytes), str(events), str(at_once or events)]
    pipe = subprocess.PIPE
    writer = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    go_on(writer)
    return writer


def go_on(writer: "subprocess.Popen[str]") -> None:
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()


def finish(writers: list["subprocess.Popen[str]"]) -> None:
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")


def verify_live(path: Path, ledger: Ledger) -> None:
    """A proof beside writers. Between the cut and the next write lines are missing, but none is wrong."""
    report = verify(path, ledger)
    wrong = [each for each in report.problems if "missing" not in each and "cut" not in each and "no line" not in each]
    assert wrong == []
