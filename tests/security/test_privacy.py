"""What retraind keeps is its user's alone, and nothing that everybody could write to is trusted."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retraind.config.loading import load
from retraind.errors import ConfigurationError
from retraind.locks import PidLock
from retraind.opening import open_ledger
from retraind.privacy import keep_private, make_public_directory, publish, users_umask, writable_by_all

CONFIGURATION = """
models:
  delays:
    predictions: {url: "sqlite:///monitoring.db", columns: {features: [distance]}}
    training: {trainer: {command: ["true"]}}
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "retraind.yaml").write_text(CONFIGURATION)
    return tmp_path


def retraind(project: Path, *verb: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli", *verb],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        umask=0o000,  # the most careless there is
    )


def test_a_command_makes_its_state_private_whatever_the_umask(project: Path) -> None:
    assert retraind(project, "pause", "delays").returncode == 0
    made = {path.name: mode(path) for path in (project / "state", *(project / "state").rglob("*"))}
    assert {"state", "ledger.db", "audit.jsonl", ".audit.jsonl.position"} <= set(made)
    assert {name: oct(found) for name, found in made.items() if found & 0o077} == {}


def test_files_with_explicit_modes_need_no_umask(project: Path) -> None:
    os.umask(0)
    settings = load(project / "retraind.yaml", {})
    ledger, _ = open_ledger(settings)
    with ledger.write("user:ann") as transaction:
        transaction.event("daemon.stopped", data={"daemon": "none"})
    ledger.close()
    lock = PidLock(settings.state / "up.lock", "a test runs")
    lock.acquire()
    lock.release()
    for name in ("audit.jsonl", ".audit.jsonl.position", "up.lock"):
        assert mode(settings.state / name) == 0o600


@pytest.mark.parametrize(
    "place",
    [
        "retraind.yaml",
        "state",
        "state/ledger.db",
        "state/ledger.db-wal",
        "state/mlflow.db",
        "state/audit.jsonl",
        "state/.audit.jsonl.position",
        "state/up.lock",
        "state/jobs",
    ],
)
def test_what_everybody_can_write_to_is_refused_with_its_mode_and_its_mend(project: Path, place: str) -> None:
    settings = load(project / "retraind.yaml", {})
    path = project / place
    path.parent.mkdir(exist_ok=True)
    if path.suffix or "." in path.name:
        path.touch()
    else:
        path.mkdir(exist_ok=True)
    assert list(writable_by_all(settings)) == []
    path.chmod(path.stat().st_mode | stat.S_IWOTH)
    with pytest.raises(ConfigurationError) as refused:
        open_ledger(settings)
    sentence = str(refused.value)
    assert f"{path} can be written by every user (mode {mode(path):04o})" in sentence
    assert f"chmod o-w {path}" in sentence


def test_a_sticky_state_directory_is_refused_too_and_one_below_it_is_not(project: Path) -> None:
    # Whoever can make files beside the ledger can make its journal, which SQLite replays.
    (project / "shared").mkdir()
    (project / "shared").chmod(0o1777)
    (project / "retraind.yaml").write_text(CONFIGURATION + "state: shared\n")
    assert any("mode 1777" in each for each in writable_by_all(load(project / "retraind.yaml", {})))
    (project / "retraind.yaml").write_text(CONFIGURATION + "state: shared/retraind\n")
    assert list(writable_by_all(load(project / "retraind.yaml", {}))) == []


@pytest.mark.parametrize("verb", [["up"], ["run"], ["worker"], ["status"]])
def test_no_verb_starts_on_a_state_directory_that_everybody_can_write_to(project: Path, verb: list[str]) -> None:
    (project / "state").mkdir()
    (project / "state").chmod(0o777)
    begun = time.monotonic()
    answer = retraind(project, *verb)
    assert answer.returncode == 2, answer.stderr
    assert f"chmod o-w {project / 'state'}" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert time.monotonic() - begun < 30
    assert list((project / "state").iterdir()) == []  # nothing was made in it


def test_check_tells_what_everybody_can_write_to_and_read(project: Path) -> None:
    (project / "state").mkdir()
    (project / "state" / "ledger.db").touch(0o644)
    (project / "state").chmod(0o755)
    answer = retraind(project, "check")
    assert f"every user can read ledger.db in {project / 'state'}" in answer.stdout
    (project / "state").chmod(0o777)
    answer = retraind(project, "check")
    assert answer.returncode == 1
    assert "can be written by every user (mode 0777)" in answer.stdout


def test_the_user_s_umask_is_remembered_and_taken_for_what_is_made_for_others(tmp_path: Path) -> None:
    os.umask(0o027)
    keep_private()
    keep_private()
    assert users_umask() == 0o027
    target = tmp_path / "models" / "production"
    make_public_directory(target)
    (target / "model").mkdir()
    (target / "model" / "weights").write_text("1")
    (target / "model" / "run").write_text("#!/bin/sh")
    (target / "model" / "run").chmod(0o700)
    (target / "model" / "elsewhere").symlink_to("/etc/hostname")
    before = mode(Path("/etc/hostname"))
    assert mode(target / "model" / "weights") == 0o600
    publish(target / "model")
    assert [mode(path) for path in (tmp_path / "models", target, target / "model")] == [0o750] * 3
    assert mode(target / "model" / "weights") == 0o640
    assert mode(target / "model" / "run") == 0o750
    assert mode(Path("/etc/hostname")) == before
