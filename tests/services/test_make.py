"""What make and .ci/run do before and around the tools: find a Python, do nothing twice, report failures."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that make reads, in a directory without an environment."""
    for name in ("Makefile", "pyproject.toml", "requirements", ".ci"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def run(*command: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | environment
    return subprocess.run(
        command, cwd=directory, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_python_that_is_missing_or_too_old_is_named_with_the_mend(checkout: Path) -> None:
    result = run("make", "demo", "PYTHON=no-such-python", directory=checkout)
    assert result.returncode != 0
    assert "no-such-python is no Python 3.11 or newer; install one, or name one: make demo PYTHON=" in result.stderr


def test_a_python_without_venv_is_named_with_the_mend(checkout: Path) -> None:
    python = program(checkout / "bin" / "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    result = run("make", "demo", f"PYTHON={python}", directory=checkout)
    assert result.returncode != 0
    assert "apt-get install python3-venv" in result.stderr


def test_a_newer_python_is_found_behind_an_old_one(checkout: Path) -> None:
    program(checkout / "bin" / "python3", "exit 1")
    program(checkout / "bin" / "python3.13", 'test "$1" = -c || echo "3.13 makes: $*"')
    path = f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"
    result = run("make", ".venv/bin/python", directory=checkout, PATH=path)
    assert "3.13 makes: -m venv --clear .venv" in result.stdout


def test_nothing_is_installed_again_until_a_lock_changes(checkout: Path) -> None:
    program(checkout / ".venv" / "bin" / "python", 'echo "python $*"')
    first = run("make", "test", directory=checkout)
    assert len(re.findall("pip .*install", first.stdout)) == 3
    assert "this takes about" in first.stdout
    second = run("make", "test", directory=checkout)
    assert second.stdout.splitlines() == ["python -m pytest -n 3 --dist worksteal --durations=40 -m not soak"]
    os.utime(checkout / "requirements" / "dev.lock", (2_000_000_000, 2_000_000_000))
    third = run("make", "test", directory=checkout)
    assert len(re.findall("pip .*install", third.stdout)) == 1


@pytest.mark.parametrize(("broken", "status"), [("none", 0), ("lint", 1), ("test", 1)])
def test_ci_runs_checks_and_tests_and_fails_when_either_does(checkout: Path, broken: str, status: int) -> None:
    program(checkout / "bin" / "make", f'echo "make $*"; test "$2" != {broken}')
    for tool in ("systemd-analyze", "logrotate"):
        program(checkout / "bin" / tool, "")
    path = f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"
    result = run("bash", ".ci/run", directory=checkout, PATH=path, CI="true")
    assert result.stdout.splitlines() == ["make --keep-going lint", "make --keep-going test"]
    assert result.returncode == status
