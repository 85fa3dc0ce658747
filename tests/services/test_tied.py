"""A process that is tied to its starter ends when that dies, however it dies."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from retraind.tied import Tied

STARTER = """
import sys
from retraind.tied import Tied

child = "import sys, time; sys.stdout.write('up'); sys.stdout.flush(); time.sleep(600)"
tied = Tied.start([sys.executable, "-c", child], output=sys.stderr.buffer, umask=0o077)
print(tied._process.pid, flush=True)
sys.stdin.read()
"""
FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
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
            every.append(Tied.start([sys.executable, "-c", program], output=output, umask=0o027))
        return every[-1]

    yield start
    for tied in every:
        tied.close()


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
    tied = started(FAMILY)
    until(lambda: "up" in (tmp_path / "output").read_text(), tied)
    assert tied.exit_code is None
    (process,) = [child for child in psutil.Process().children() if FAMILY in child.cmdline()]
    (grandchild,) = process.children()
    tied.close()
    assert tied.exit_code == 137
    _, alive = psutil.wait_procs([grandchild], timeout=10)
    assert alive == []


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
