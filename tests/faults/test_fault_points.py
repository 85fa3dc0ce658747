"""No transaction and no outside effect without a fault point on either side, and points that do what they say."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from retraind import faults

ROOT = Path(__file__).parents[2]
PACKAGES = ("daemon", "retraind", "workers")

# Calls that change what another process, or this one after a crash, finds: by attribute or function name.
EFFECTS = frozenset(
    {
        "symlink_to",
        "rmtree",
        "unlink",
        "ftruncate",
        "truncate",
        "pwrite",
        "send_task",
        "Popen",
        "notify",
        "upgrade",
        "SqlAlchemyStore",
        "download_artifacts",
    }
)
# Effects of these functions need no point, for the reason given.
EXEMPT = {
    "daemon/project.py": "writes a new project before anything runs in it",
    "daemon/pictures": "draws for a person, who asks again; each file is there whole or not at all",
    "daemon/demo": "the demo's own stage, not the system",
    "daemon/backtest": "a replay in a directory of its own; nothing is to be found again",
    "daemon/templates": "is copied into the user's project",
    "workers/runner": "runs in the user's interpreter; it is killed as a whole (`child.watch`)",
    "retraind/guard.py": "is the guard of a child; it is killed as a whole",
    "retraind/guarded.py:start": "every caller that runs a stage's child stands within `child.start`",
    "retraind/guarded.py:end": "an order to a guard, which acts on the end of its starter alike",
    "retraind/tied.py": "starts again what `retraind up` keeps; nothing is to be found again",
    "retraind/embedded_broker.py": "the broker holds nothing that the ledger does not know",
    "retraind/locks.py": "a lock names its holder for people; the lock itself falls with the process",
    "retraind/faults.py": "is the mechanism",
    "workers/durable.py:point": "removes a temporary of its own; the link is swapped within `durable.link`",
}


def python_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def is_effect(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if not isinstance(function, ast.Attribute):
        return name in EFFECTS
    if name in {"rename", "replace", "write"} and getattr(function.value, "id", "") == "os":
        return True
    if name in {"rename", "replace"}:  # of a path: one argument; of a text two, of an instant keywords
        return len(call.args) == 1 and not call.keywords
    if name == "notify":  # a receiver of alerts is given a message; a condition variable nothing
        return bool(call.keywords)
    return name in EFFECTS


def is_around(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and ast.unparse(call.func) == "faults.around"


def bare_effects(path: Path) -> Iterator[str]:
    """`FILE:FUNCTION CALL` of every effect that does not stand within `faults.around`."""
    name = path.relative_to(ROOT).as_posix()

    def walk(node: ast.AST, function: str, *, covered: bool) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef):
            function = node.name
        inside = covered or (isinstance(node, ast.With) and any(is_around(item) for item in node.items))
        if isinstance(node, ast.Call) and is_effect(node) and not inside:
            yield f"{name}:{function} {ast.unparse(node)}"
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function, covered=inside)

    yield from walk(ast.parse(path.read_text()), "", covered=False)


def exempt(effect: str) -> bool:
    place = effect.partition(" ")[0]
    return any(place == known or place.startswith((f"{known}/", f"{known}:")) for known in EXEMPT)


def test_every_outside_effect_stands_between_two_points() -> None:
    bare = [effect for path in python_files() for effect in bare_effects(path) if not exempt(effect)]
    assert bare == []


def test_every_exemption_is_still_needed() -> None:
    found = {effect.partition(" ")[0] for path in python_files() for effect in bare_effects(path)}
    idle = [known for known in EXEMPT if not any(f"{place}:".startswith((f"{known}:", f"{known}/")) for place in found)]
    assert idle == []


def test_an_effect_without_a_point_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    written = tmp_path / "new.py"
    written.write_text(
        "def swap(link, path):\n    with faults.around('a'):\n        link.unlink()\n    path.replace(link)\n"
    )
    assert list(bare_effects(written)) == ["new.py:swap path.replace(link)"]


def test_every_transaction_is_opened_by_the_ledger_which_puts_points_around_it() -> None:
    opened = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in python_files()
        for line in path.read_text().splitlines()
        if ".begin()" in line and "migrations" not in path.parts
    }
    assert {entry.partition(":")[0] for entry in opened} <= {"retraind/ledger/engine.py", "retraind/ledger/schema.py"}
    users = {str(path.relative_to(ROOT)) for path in python_files() if "write=True) as" in path.read_text()}
    assert users - {"retraind/ledger/migrations/env.py"} == {"retraind/ledger/ledger.py"}
    source = (ROOT / "retraind/ledger/ledger.py").read_text()
    assert [source.count(f'faults.point(f"{{where}}.{side}")') for side in ("before", "in", "after")] == [1, 1, 1]


def test_every_call_of_the_registry_stands_between_two_points() -> None:
    """All go through one client, which is handed out with points around its methods."""
    calls = (ROOT / "workers/registry.py").read_text()
    assert calls.count("MlflowClient(") == 1
    assert 'faults.around_calls(client, "mlflow")' in calls
    others = [path for path in python_files() if "MlflowClient(" in path.read_text() and path.name != "registry.py"]
    assert [path for path in others if "runner" not in path.parts] == []


def test_points_are_empty_calls_unless_they_are_armed() -> None:
    assert os.environ.get(faults.VARIABLE) is None
    assert faults.point is faults._off
    assert faults.around("a") is faults.around("b")
    client = object()
    assert faults.around_calls(client, "mlflow") is client


def strike(tmp_path: Path, code: str) -> "subprocess.Popen[str]":
    """A process with points on, whose plan is `tmp_path`, that runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from retraind import faults\n{code}"],
        env={**os.environ, faults.VARIABLE: str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    for name in ("armed", "struck"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("fault", "number"), [("kill", signal.SIGKILL), ("terminate", signal.SIGTERM)], ids=["kill", "terminate"]
)
def test_a_fault_ends_the_process_at_its_point(plan: Path, fault: str, number: int) -> None:
    (plan / "armed" / "here").write_text(fault)
    process = strike(plan, "print('before', flush=True); faults.point('here'); print('after')")
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (-number, "before\n")
    assert not list((plan / "armed").iterdir())
    assert [entry.name.partition("~")[0] for entry in (plan / "struck").iterdir()] == ["here"]


@pytest.mark.parametrize("fault", ["kill-parent", "terminate-parent"])
def test_a_fault_of_the_parent_spares_who_armed_it(plan: Path, fault: str) -> None:
    (plan / "armed" / "here").write_text(fault)
    (plan / "keeper").write_text(str(os.getpid()))
    ended = strike(plan, "faults.point('here')").wait(timeout=30)
    assert ended == -(signal.SIGKILL if fault == "kill-parent" else signal.SIGTERM)


def test_a_stopped_process_goes_on_when_it_is_told_to(plan: Path) -> None:
    (plan / "armed" / "here").write_text("stop")
    process = strike(plan, "faults.point('here'); print('after')")
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=30)[0] == "after\n"


@pytest.mark.parametrize(("fault", "error"), [("fail", "ConnectionResetError"), ("full", "OSError")])
def test_a_fault_breaks_the_effect_off(plan: Path, fault: str, error: str) -> None:
    (plan / "armed" / "a.after").write_text(fault)
    process = strike(plan, "with faults.around('a'):\n    print('done')")
    said, complaint = process.communicate(timeout=30)
    assert said == "done\n"
    assert f"{error}: [Errno" in complaint


def test_a_held_process_waits_until_it_is_let_go(plan: Path) -> None:
    (plan / "armed" / "here").write_text("hold")
    process = strike(plan, "faults.point('here'); print('after')")
    deadline = time.monotonic() + 30
    while not (struck := list((plan / "struck").iterdir())):
        assert time.monotonic() < deadline
    assert process.poll() is None
    struck[0].unlink()
    assert process.communicate(timeout=30)[0] == "after\n"


def test_a_fault_strikes_once_and_is_told_by_its_whole_place(plan: Path) -> None:
    (plan / "passed").touch()
    (plan / "armed" / "stage.train>durable.link.before").write_text("fail")
    code = """
for _ in range(2):
    try:
        with faults.around('stage.train'):
            with faults.around('durable.link'):
                print('linked')
    except ConnectionError:
        print('broken')
"""
    said, _ = strike(plan, code).communicate(timeout=30)
    assert said == "broken\nlinked\n"
    passed = [line.partition(" ")[2] for line in (plan / "passed").read_text().splitlines()]
    assert passed[-4:] == [
        "stage.train.before",
        "stage.train>durable.link.before",
        "stage.train>durable.link.after",
        "stage.train.after",
    ]


def test_a_transaction_has_a_point_before_within_and_after_it(plan: Path) -> None:
    (plan / "passed").touch()
    code = f"""
from retraind.ledger import Ledger
ledger = Ledger.open("sqlite:///{plan}/ledger.db")
def act():
    with ledger.write("tester") as transaction:
        transaction.event("model.paused", model="m", data={{}})
act()
"""
    _, complaint = strike(plan, code).communicate(timeout=60)
    assert complaint == ""
    passed = [line.partition(" ")[2] for line in (plan / "passed").read_text().splitlines()]
    assert passed == [
        "ledger.migrate.before",
        "ledger.migrate.after",
        *(f"ledger.__main__.act.{side}" for side in ("before", "in", "after")),
    ]


def test_a_stepped_clock_tells_another_hour_and_the_same_durations(plan: Path) -> None:
    (plan / "clock").write_text("-3600")
    code = """
from datetime import UTC, datetime
from retraind.clock import SystemClock
print(round((datetime.now(UTC) - SystemClock().now()).total_seconds()))
"""
    assert strike(plan, code).communicate(timeout=30)[0] == "3600\n"
