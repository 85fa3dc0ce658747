"""The command as such: help, version, exit codes, and errors as sentences."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli.app import app
from daemon.cli.command import Root

HEAVY = (
    *("mlflow", "pandas", "sklearn", "scipy.stats", "numpy", "pyarrow"),
    *("celery", "kombu", "redis", "apprise", "matplotlib"),
)
LOADED = """
import atexit, json, sys
names = json.loads(sys.argv.pop(1))
atexit.register(lambda: open("loaded", "w").write(json.dumps([n for n in names if n in sys.modules])))
from daemon.cli import main
main()
"""


def loaded_by(folder: Path, *arguments: str) -> list[str]:
    """The heavy modules that a call imported."""
    call = [sys.executable, "-c", LOADED, json.dumps(HEAVY), *arguments]
    done = subprocess.run(call, capture_output=True, text=True, cwd=folder, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads((folder / "loaded").read_text())
    return found


def test_help_imports_nothing_heavy(tmp_path):
    assert loaded_by(tmp_path, "--help") == []


def test_status_imports_nothing_heavy(project):
    project.deployed()
    assert loaded_by(project.folder, "status") == []


def test_looks_are_listed_without_anything_heavy_though_they_can_be_drawn(project):
    assert loaded_by(project.folder, "looks", "delays") == []


def test_help_appears_at_once(retraind):
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert retraind("--help").code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Processor time, which a busy machine hardly changes; on an idle one it is the time on the wall: 0.11 s.
    assert min(seconds() for _ in range(3)) < 0.4


def test_every_verb_stands_in_one_group_of_the_help(retraind):
    from typer.main import get_command

    verbs = set(get_command(app).commands)
    grouped = [name for _, names in Root.groups for name in names]
    assert sorted(grouped) == sorted(verbs)
    shown = retraind("--help").out
    assert all(f"  {verb} " in shown for verb in verbs)


def test_without_a_verb_the_help_is_shown_and_the_call_was_wrong(retraind):
    answer = retraind()
    assert answer.code == 2
    assert "Usage: retraind" in answer.out + answer.err


def test_the_version_is_told(retraind):
    from importlib.metadata import version

    answer = retraind("--version")
    assert (answer.code, answer.out) == (0, f"retraind {version('retraind')}\n")


def test_a_misspelt_verb_is_a_wrong_call_and_the_nearest_is_offered(retraind):
    answer = retraind("statsu")
    assert answer.code == 2
    assert "Did you mean 'status'?" in answer.err


def test_an_unknown_option_is_a_wrong_call(retraind):
    answer = retraind("status", "--jsno")
    assert answer.code == 2
    assert "No such option: --jsno" in answer.err


def test_no_configuration_is_a_wrong_call_and_the_mend_is_told(retraind, tmp_path):
    answer = retraind("status")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"retraind: there is no configuration file {tmp_path}/retraind.yaml; write one with `retraind init`, "
        "or name yours with --config or RETRAIND_CONFIG\n"
    )


@pytest.mark.parametrize("verb", ["status", "check", "up", "run", "worker", "healthcheck", "jobs"])
def test_every_verb_refuses_a_broken_configuration(retraind, tmp_path, verb):
    (tmp_path / "retraind.yaml").write_text("models:\n  delays: {predictions: [\n")
    answer = retraind(verb)
    assert (answer.code, answer.out) == (2, "")
    assert "retraind.yaml:3" in answer.err
    assert "Traceback" not in answer.err


def test_the_configuration_is_named_before_the_verb_after_it_or_by_the_environment(project, tmp_path):
    elsewhere = tmp_path / "elsewhere.yaml"
    (tmp_path / "retraind.yaml").rename(elsewhere)
    assert project("status").code == 2
    assert project("status", "--config", str(elsewhere)).code == 0
    assert project("status", "-c", str(elsewhere)).code == 0
    assert project("--config", str(elsewhere), "status").code == 0
    assert project("status", env={"RETRAIND_CONFIG": str(elsewhere)}).code == 0
    assert project("--config", "missing.yaml", "status", "-c", str(elsewhere)).code == 0
    assert project("status", "-c", "missing.yaml", env={"RETRAIND_CONFIG": str(elsewhere)}).code == 2


def test_a_ledger_in_a_place_that_is_no_directory_is_a_sentence(project):
    project.configure(text=(project.folder / "retraind.yaml").read_text() + "state: monitoring.db/state\n")
    answer = project("status")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("retraind: the ledger's directory")
    assert "Traceback" not in answer.err


def test_debug_shows_where_an_error_arose(retraind):
    assert "Traceback" in retraind("status", "--debug").err
    assert "Traceback" in retraind("--debug", "status").err
    assert retraind("--debug", "status").code == 2


def test_a_surprise_is_a_sentence_too(project, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("daemon.reports.status.trail.head", broken)
    answer = project("status")
    assert answer.code == 1
    assert "ZeroDivisionError: by zero" in answer.err
    assert "--debug" in answer.err
    assert "Traceback" not in answer.err


def test_a_password_in_an_error_is_hidden(project):
    project.configure(
        text=(project.folder / "retraind.yaml").read_text()
        + "ledger: postgresql+psycopg://me:hunter2hunter@127.0.0.1:1/none\n"
    )
    answer = project("status")
    assert answer.code == 1
    assert "does not answer" in answer.err
    assert "hunter2hunter" not in answer.err


def test_a_reader_that_has_seen_enough_is_no_error(project):
    for _ in range(3):
        project.closed("failed")
    shell = f"set -o pipefail; {sys.executable} -m daemon.cli jobs --limit 1000 | true"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=project.folder, check=False)
    assert done.stderr == ""


def test_ctrl_c_ends_quietly_with_130(project):
    process = project.start("audit", "tail", "--follow")
    assert process.stdout is not None
    project.job()
    assert "job.requested" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
