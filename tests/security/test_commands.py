"""Commands run as they are written: no shell reads them, and no secret need stand in them."""

import ast
import json
import sys
from pathlib import Path

import pytest

from daemon.checks.programs import check_secrets
from retraind.config.loading import load
from workers.process import Command, Limits, run

ROOT = Path(__file__).parents[2]
SOURCES = [path for floor in ("triggers", "retraind", "daemon", "workers") for path in (ROOT / floor).rglob("*.py")]
# What hands a text to a shell, or runs a text as code.
SHELLS = {"system", "popen", "getoutput", "getstatusoutput", "spawnlp", "create_subprocess_shell", "eval", "exec"}
METACHARACTERS = ["$HOME", "`id`", "$(id)", "; touch planted", "| cat", "> planted", "*", "'", '"', "&&", "\\", "\n"]


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def name_of(call: ast.Call) -> str:
    """What is called; `model.eval()` is a method of that name, and no call of the function."""
    if isinstance(call.func, ast.Attribute):
        return "" if call.func.attr in {"eval", "exec"} else call.func.attr
    return getattr(call.func, "id", "")


def test_nothing_is_given_to_a_shell() -> None:
    assert len(SOURCES) > 150
    found = [
        f"{path}:{call.lineno}: {name_of(call)}" for path in SOURCES for call in calls(path) if name_of(call) in SHELLS
    ]
    shells = [
        f"{path}:{call.lineno}"
        for path in SOURCES
        for call in calls(path)
        for keyword in call.keywords
        if keyword.arg == "shell"
    ]
    assert found + shells == []


def test_yaml_is_read_as_plain_data_only() -> None:
    loads = [
        f"{path}:{call.lineno}" for path in SOURCES for call in calls(path) if ast.unparse(call.func) == "yaml.load"
    ]
    assert loads == []


def test_no_process_but_a_child_unpickles_or_loads_a_model() -> None:
    loading = ("pickle", "cloudpickle", "joblib", "skops", "mlflow.pyfunc", "mlflow.sklearn")
    found = []
    for path in SOURCES:
        # Programs of children, what `init` writes for the user, and the demo's own service, a process by itself.
        if {"runner", "templates"} & {*path.parts} or path.name == "serving.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}: {name}" for name in names if name.startswith(loading)]
    assert found == []


def test_metacharacters_arrive_as_they_are_written(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = f"import json, sys; open({str(told)!r}, 'w').write(json.dumps(sys.argv[1:]))"
    finished = run(
        Command("a test", [sys.executable, "-c", program, *METACHARACTERS], tmp_path / "log", tmp_path / "group.json"),
        Limits(seconds=60),
    )
    assert finished.exit_code == 0, finished.output
    assert json.loads(told.read_text()) == METACHARACTERS
    assert not (tmp_path / "planted").exists()


CONFIGURATION = """
models:
  delays:
    predictions: {url: "sqlite:///monitoring.db", columns: {features: [distance]}}
    training: {trainer: {command: [train, "--token=${TOKEN}"], predict: [predict]}}
    deploy: [{command: [push, --user, ann]}]
"""


@pytest.mark.parametrize("token", ["s3cret-T0ken", "plain"])
def test_check_warns_of_a_secret_in_an_argument(tmp_path: Path, token: str) -> None:
    (tmp_path / "retraind.yaml").write_text(CONFIGURATION)
    found = list(check_secrets(load(tmp_path / "retraind.yaml", {"TOKEN": token})))
    assert [finding.setting for finding in found] == ["models.delays.training.trainer.command"] * (token != "plain")
    assert all("T0ken" not in finding.sentence for finding in found)
