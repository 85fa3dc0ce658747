"""Child process groups: output, budgets, and no orphan, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from retraind.errors import BudgetExceeded, Interrupted, TransientFailure, UnknownFailure
from workers.process import Command, Limits, failure, kill_leftover, run

# A grandchild in the group, and one that left it for a session of its own; both would sleep for a minute.
FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
members = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
with open(sys.argv[1] + ".part", "w") as file:
    file.write(" ".join(str(pid) for pid in [os.getpid(), *(member.pid for member in members)]))
os.rename(sys.argv[1] + ".part", sys.argv[1])
"""
FAMILY_THAT_WAITS = FAMILY + "time.sleep(60)\n"

WORKER = """
import sys
from pathlib import Path
from workers.process import Command, Limits, run
folder = Path(sys.argv[1])
command = Command("the training of m", [sys.executable, "-c", sys.argv[2], str(folder / "pids")],
                  folder / "train.log", folder / "group.json")
run(command, Limits(grace_seconds=0.3))
"""


def python(folder: Path, program: str, *arguments: str) -> Command:
    return Command(
        "the training of delays",
        [sys.executable, "-c", program, *arguments],
        folder / "logs" / "train.log",
        folder / "group.json",
    )


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def family(folder: Path) -> list[int]:
    assert eventually((folder / "pids").exists)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_output_of_both_streams_goes_to_the_log_and_nothing_is_on_standard_input(tmp_path: Path) -> None:
    program = "import sys; print('in:', repr(sys.stdin.read())); print('oops', file=sys.stderr)"
    finished = run(python(tmp_path, program), Limits())
    assert finished.exit_code == 0
    assert (tmp_path / "logs" / "train.log").read_text() == "in: ''\noops\n"
    assert finished.output == "in: ''\noops\n"


def test_a_second_run_appends_to_the_log_and_reports_only_its_own_output(tmp_path: Path) -> None:
    run(python(tmp_path, "print('first')"), Limits())
    finished = run(python(tmp_path, "print('second')"), Limits())
    assert finished.output == "second\n"
    assert (tmp_path / "logs" / "train.log").read_text() == "first\nsecond\n"


def test_an_exit_code_is_handed_back_and_reported_with_the_last_line(tmp_path: Path) -> None:
    command = python(tmp_path, "raise ValueError('column dep_delay is gone')")
    finished = run(command, Limits())
    assert finished.exit_code == 1
    assert str(failure(command, finished)) == (
        "The training of delays ended with exit code 1; its last line was: ValueError: column dep_delay is gone. "
        f"Its output is in {command.log}."
    )


def test_a_silent_failure_is_called_silent(tmp_path: Path) -> None:
    command = python(tmp_path, "import os; os._exit(3)")
    assert "ended with exit code 3; it printed nothing." in str(failure(command, run(command, Limits())))


def test_a_crash_of_the_program_itself_is_not_transient(tmp_path: Path) -> None:
    command = python(tmp_path, "import os; os.abort()")
    finished = run(command, Limits())
    assert finished.exit_code == 128 + signal.SIGABRT
    assert "SIGABRT" in str(failure(command, finished))


@pytest.mark.parametrize("program", ["import os; os.kill(os.getpid(), 9)", "import sys; sys.exit(137)"])
def test_a_death_from_outside_is_transient(tmp_path: Path, program: str) -> None:
    with pytest.raises(TransientFailure, match=r"killed from outside by SIGKILL.*memory"):
        run(python(tmp_path, program), Limits())


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    command = Command("the training of m", ["/no/such/program"], tmp_path / "log", tmp_path / "group.json")
    finished = run(command, Limits())
    assert "'/no/such/program' cannot be run: No such file or directory." in str(failure(command, finished))


def test_a_working_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    command = Command("the training of m", ["true"], tmp_path / "log", tmp_path / "g.json", directory=tmp_path / "gone")
    with pytest.raises(UnknownFailure, match=r"could not be started: .*gone"):
        run(command, Limits())


def test_the_time_budget_ends_the_whole_group_also_what_left_it(tmp_path: Path) -> None:
    command = python(tmp_path, FAMILY_THAT_WAITS, str(tmp_path / "pids"))
    with pytest.raises(BudgetExceeded, match=r"took longer than its time budget of 1\.5s and was killed"):
        run(command, Limits(seconds=1.5, grace_seconds=0.2))
    assert alive(family(tmp_path)) == []


def test_a_group_is_asked_before_it_is_killed(tmp_path: Path) -> None:
    program = "import signal, sys, time\nsignal.signal(15, lambda *_: (print('saved'), sys.exit(0)))\ntime.sleep(60)"
    with pytest.raises(BudgetExceeded, match="its last line was: saved"):
        run(python(tmp_path, program), Limits(seconds=0.6, grace_seconds=10))


def test_the_memory_budget_counts_the_whole_group(tmp_path: Path) -> None:
    hog = "import time; block = bytearray(60_000_000); time.sleep(60)"
    program = (
        f"import subprocess, sys, time\n"
        f"for _ in range(2): subprocess.Popen([sys.executable, '-c', {hog!r}], start_new_session=True)\n"
        f"time.sleep(60)"
    )
    with pytest.raises(
        BudgetExceeded, match=r"used 1\d\d.*MiB of memory, more than its budget of 100MiB, and was killed"
    ):
        run(python(tmp_path, program), Limits(seconds=30, resident_bytes=100 * 2**20))


def test_peak_memory_is_reported(tmp_path: Path) -> None:
    finished = run(python(tmp_path, "import time; block = bytearray(50_000_000); time.sleep(0.7)"), Limits())
    assert 50_000_000 < finished.peak_bytes < 150_000_000
    assert 0.7 < finished.seconds < 5


def test_a_reason_to_stop_ends_the_whole_group(tmp_path: Path) -> None:
    def once_the_family_is_there() -> str | None:
        return "cancelled by ann" if (tmp_path / "pids").exists() else None

    command = python(tmp_path, FAMILY_THAT_WAITS, str(tmp_path / "pids"))
    with pytest.raises(Interrupted, match="The training of delays was stopped: cancelled by ann"):
        run(command, Limits(grace_seconds=0.2), once_the_family_is_there)
    assert alive(family(tmp_path)) == []


def test_what_a_finished_command_leaves_running_is_ended(tmp_path: Path) -> None:
    finished = run(python(tmp_path, FAMILY, str(tmp_path / "pids")), Limits())
    assert finished.exit_code == 0
    assert alive(family(tmp_path)) == []
    assert not (tmp_path / "group.json").exists()


def start_worker(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder), FAMILY_THAT_WAITS])


def test_a_killed_worker_leaves_no_orphan(tmp_path: Path) -> None:
    worker = start_worker(tmp_path)
    pids = family(tmp_path)
    assert len(alive(pids)) == 3
    worker.kill()
    worker.wait()
    assert eventually(lambda: not alive(pids))


def test_what_survives_worker_and_guard_is_killed_by_the_next_worker(tmp_path: Path) -> None:
    worker = start_worker(tmp_path)
    pids = family(tmp_path)
    guard = psutil.Process(pids[0]).parent()
    assert guard is not None
    guard.suspend()  # it cannot see the worker die
    worker.kill()
    worker.wait()
    guard.kill()
    assert eventually(lambda: pids[0] not in alive(pids))  # the command itself dies with the guard
    assert alive(pids) == pids[1:]
    assert kill_leftover(tmp_path / "group.json") == 2
    assert eventually(lambda: not alive(pids))
    assert not (tmp_path / "group.json").exists()


def test_a_guard_that_does_not_answer_is_killed_with_its_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retraind.guarded.ANSWER_SECONDS", 0.2)

    def freeze_the_guard() -> str | None:
        if not (tmp_path / "pids").exists():
            return None
        os.kill(psutil.Process(family(tmp_path)[0]).ppid(), signal.SIGSTOP)
        return "cancelled"

    with pytest.raises(Interrupted):
        run(python(tmp_path, FAMILY_THAT_WAITS, str(tmp_path / "pids")), Limits(grace_seconds=0.1), freeze_the_guard)
    assert eventually(lambda: not alive(family(tmp_path)))


def test_a_leftover_record_never_kills_a_stranger(tmp_path: Path) -> None:
    record = tmp_path / "group.json"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        record.write_text(json.dumps({"token": "another", "host": os.uname().nodename, "worker": stranger.pid}))
        assert kill_leftover(record) == 0
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_record_that_says_nothing_kills_nothing(tmp_path: Path, content: str | None) -> None:
    record = tmp_path / "group.json"
    if content is not None:
        record.write_text(content)
    assert kill_leftover(record) == 0
    assert not record.exists()


def test_the_workers_supervision_is_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    command = python(tmp_path, "import os; print(os.environ.get('NOTIFY_SOCKET'))")
    assert run(command, Limits()).output == "None\n"
