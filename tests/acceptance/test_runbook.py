"""docs/runbook.md, done as it says: a backup beside a running system, its restoring, and the move to PostgreSQL."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from system import System

pytestmark = [pytest.mark.timeout(400), pytest.mark.soak]
MakeSystem = Callable[..., System]


def retrained(system: System, times: int) -> None:
    assert system.run("trigger", "delays", "--force").returncode == 0
    system.wait_for("model.deployed", times)


def stop(up: "subprocess.Popen[bytes]") -> None:
    up.terminate()
    assert up.wait(60) == 0


def proved(system: System) -> bool:
    return system.run("audit", "verify").returncode == 0


def shown(system: System) -> str:
    return (system.folder / "models/production/current").resolve().name


def put_back(system: System, backup: Path) -> None:
    """Steps 2 and 3 of restoring."""
    state, aside = system.folder / "state", system.folder / "aside"
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (state / name).unlink(missing_ok=True)
    shutil.copy(backup, state / "ledger.db")
    aside.mkdir()
    for log in [*state.glob("audit*.jsonl*"), state / ".audit.jsonl.position"]:
        log.rename(aside / log.name)


def test_a_backup_made_beside_a_running_system_brings_it_back_to_that_moment(make_system: MakeSystem) -> None:
    system = make_system()
    up = system.start("up")
    system.wait_for("model.deployed")
    backup = system.folder / "backup.db"
    refused = system.run("ledger", "copy", f"sqlite:///{backup}")
    assert refused.returncode == 1
    assert "write --running for a backup" in refused.stderr
    assert not backup.exists()
    assert system.run("ledger", "copy", "--running", f"sqlite:///{backup}").returncode == 0
    retrained(system, 2)
    system.wait("the second version", lambda: shown(system) == "2")
    stop(up)

    put_back(system, backup)
    up = system.start("up")
    system.wait("the first version again", lambda: shown(system) == "1", 60)
    assert [event["data"]["version"] for event in system.events("model.deployed")] == ["1"]
    retrained(system, 2)
    system.wait("the third version", lambda: shown(system) == "3")
    assert proved(system)


def test_a_stopped_system_moves_to_postgres_and_goes_on(make_system: MakeSystem, postgres_url: str) -> None:
    system = make_system()
    up = system.start("up")
    system.wait_for("model.deployed")
    stop(up)
    copied = system.run("ledger", "copy", postgres_url)
    assert copied.returncode == 0, copied.stderr
    system.configuration["ledger"] = postgres_url
    system.write()
    (system.folder / "state" / "ledger.db").unlink()  # nothing reads it any more
    assert proved(system)
    system.start("up")
    retrained(system, 2)
    system.wait("the second version", lambda: shown(system) == "2")
    assert proved(system)
    assert not (system.folder / "state" / "ledger.db").exists()
