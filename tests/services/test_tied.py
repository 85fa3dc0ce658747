"""A process that is tied to its starter ends when that dies, however it dies."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from retraind import tied
from retraind.guarded import ASK, KILL, Guarded
from retraind.tied import Tied

STARTER = """
import sys
from retraind.tied import start

child = "import sys, time; sys.stdout.write('up'); sys.stdout.flush(); time.sleep(600)"
tied = start([sys.executable, "-c", child], grace_seconds=5, output=sys.stderr.buffer, umask=0o077)
print(tied._process.pid, flush=True)
sys.stdin.read()
"""
FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
ENDS = """
import os, signal
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], Tied]]:
    every: list[Tied] = []

    def start(program: str) -> Tied:
        with (tmp_path / "output").open("ab") as output:
            begun = tied.start([sys.executable, "-c", program], grace_seconds=0.2, output=output, umask=0o027)
        assert isinstance(begun, Tied)
        every.append(begun)
        return begun

    yield start
    for begun in every:
        begun.close()


def until(arrived: Callable[[], bool], tied: Tied) -> None:
    while not arrived():
        assert not tied.ended_within(0.02)


def test_it_is_killed_with_its_starter() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        assert starter.stderr is not None
        child = psutil.Process(int(starter.stdout.readline()))
        assert starter.stderr.read(2) == b"up"
        starter.kill()
        assert child.wait(10) is None or not child.is_running()


def test_its_end_is_told_as_a_shell_tells_it(started: Callable[[str], Tied]) -> None:
    killed, left = started(ENDS), started("raise SystemExit(3)")
    assert killed.ended_within(20)
    assert left.ended_within(20)
    assert (killed.exit_code, left.exit_code) == (143, 3)


def test_one_let_go_of_is_killed_with_all_that_it_started(started: Callable[[str], Tied], tmp_path: Path) -> None:
    begun = started(FAMILY)
    until(lambda: "up" in (tmp_path / "output").read_text(), begun)
    assert begun.exit_code is None
    (process,) = [child for child in psutil.Process().children() if FAMILY in child.cmdline()]
    (grandchild,) = process.children()
    begun.close()
    assert begun.exit_code == 137
    _, alive = psutil.wait_procs([grandchild], timeout=10)
    assert alive == []


@pytest.mark.parametrize(("program", "order", "code"), [(FAMILY, ASK, 143), (DEAF, ASK, 137), (FAMILY, KILL, 137)])
def test_it_is_asked_to_end_and_killed_after_its_grace(
    started: Callable[[str], Tied], tmp_path: Path, program: str, order: bytes, code: int
) -> None:
    begun = started(program)
    until(lambda: "up" in (tmp_path / "output").read_text(), begun)
    begun.end(order)
    begun.end(order)
    assert begun.exit_code == code


def test_in_a_thread_it_is_started_under_a_guard_which_outlives_the_thread(tmp_path: Path) -> None:
    begun: list[Tied | Guarded] = []

    def start() -> None:
        with (tmp_path / "output").open("ab") as output:
            begun.append(tied.start(["sleep", "600"], grace_seconds=1, output=output))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert isinstance(begun[0], Guarded)
    assert not begun[0].ended_within(0.2)
    begun[0].close()


def test_it_makes_files_as_it_was_told(started: Callable[[str], Tied], tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert started(f"open({str(made)!r}, 'w').close()").ended_within(20)
    assert made.stat().st_mode & 0o777 == 0o640


def test_its_starters_supervision_is_not_inherited(
    started: Callable[[str], Tied], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    assert started("import os; print(os.environ.get('NOTIFY_SOCKET'))").ended_within(20)
    assert (tmp_path / "output").read_text().strip() == "None"
