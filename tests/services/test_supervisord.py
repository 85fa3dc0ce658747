"""deploy/supervisord.conf, run by the real supervisord: daemon and worker come up, come back, and go down in order."""

import getpass
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from supervisor.childutils import getRPCInterface

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
CONFIGURATION = """
models:
  fraud:
    predictions: {{url: "sqlite:///predictions.db", columns: {{features: [amount]}}}}
    triggers: {{weekly: {{type: cron, schedule: "0 2 * * 0"}}}}
    training: {{trainer: {{sklearn: sklearn.linear_model.LogisticRegression}}}}
state: {state}
broker: {broker}
lease: {{length: 10s, heartbeat: 1s}}
workers: {{grace: 2s}}
"""


@dataclass
class Supervisor:
    """A supervisord on the shipped file, its places replaced by the test's own."""

    directory: Path
    socket: Path
    process: "subprocess.Popen[bytes]"

    def info(self, program: str) -> dict[str, Any]:
        """Raises OSError while supervisord does not listen yet."""
        interface = getRPCInterface({"SUPERVISOR_SERVER_URL": f"unix://{self.socket}"}).supervisor
        return dict(interface.getProcessInfo(program))

    def runs(self, program: str, *, but: int = 0) -> bool:
        try:
            info = self.info(program)
        except OSError:
            return False
        return info["statename"] == "RUNNING" and info["pid"] != but

    def is_healthy(self, kind: str, pid: int) -> bool:
        command = [PROGRAMS / "retraind", "healthcheck", "--kind", kind, "--config", self.directory / "retraind.yaml"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.returncode == 0 and f"{kind} (pid {pid}) is alive" in result.stdout

    def log(self) -> str:
        return (self.directory / "log" / "supervisord.log").read_text()

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(f"{log.name}:\n{log.read_text()}" for log in (self.directory / "log").iterdir())
                pytest.fail(f"{what}: not within {seconds:.0f} seconds\n{logs}")
            time.sleep(0.2)


def configuration_files(directory: Path, socket_directory: Path, broker: str) -> Path:
    for name in ("state", "log"):
        (directory / name).mkdir()
    (directory / "retraind.yaml").write_text(CONFIGURATION.format(state=directory / "state", broker=broker))
    with sqlite3.connect(directory / "predictions.db") as store:
        store.execute("CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER, amount REAL)")
    text = (ROOT / "deploy" / "supervisord.conf").read_text()
    for place, replacement in {
        "/opt/retraind/.venv/bin": PROGRAMS,
        "/etc/retraind": directory,
        "/var/lib/retraind": directory / "state",
        "/var/log/retraind": directory / "log",
        "/run/retraind": socket_directory,
        "user=retraind": f"user={getpass.getuser()}",
    }.items():
        assert place in text, f"supervisord.conf no longer names {place}"
        text = text.replace(place, str(replacement))
    file = directory / "supervisord.conf"
    file.write_text(text)
    return file


@pytest.fixture
def supervisor(tmp_path: Path, valkey_url: str) -> Iterator[Supervisor]:
    sockets = Path(tempfile.mkdtemp(prefix="retraind-"))  # a socket's path has room for 100 characters only
    file = configuration_files(tmp_path, sockets, valkey_url)
    process = subprocess.Popen(
        [PROGRAMS / "supervisord", "--nodaemon", "--configuration", file],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield Supervisor(tmp_path, sockets / "supervisor.sock", process)
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(sockets)


def test_daemon_and_worker_come_up_come_back_when_killed_and_end_in_order(supervisor: Supervisor) -> None:
    kinds = {"retraind": "daemon", "retraind-worker": "worker"}
    for program, kind in kinds.items():
        supervisor.until(lambda program=program: supervisor.runs(program), f"{program} runs")
        pid = supervisor.info(program)["pid"]
        supervisor.until(lambda kind=kind, pid=pid: supervisor.is_healthy(kind, pid), f"the {kind} is alive")
    killed = {program: supervisor.info(program)["pid"] for program in kinds}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    for program, kind in kinds.items():
        supervisor.until(lambda program=program: supervisor.runs(program, but=killed[program]), f"{program} runs again")
        pid = supervisor.info(program)["pid"]
        supervisor.until(lambda kind=kind, pid=pid: supervisor.is_healthy(kind, pid), f"the new {kind} is alive")
    supervisor.process.terminate()
    assert supervisor.process.wait(40) == 0
    for program in kinds:
        assert f"WARN exited: {program} (terminated by SIGKILL; not expected)" in supervisor.log()
        assert f"INFO stopped: {program} (exit status 0)" in supervisor.log()
