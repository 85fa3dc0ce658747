"""docs/guarantees.md: a row for every crash point there is, none for one that there is not, and tests that exist."""

import ast
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "guarantees.md").read_text()
SIDES = (".before", ".in", ".after")


def documented() -> set[str]:
    table = DOCUMENT.partition("## Every crash point")[2]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    return {pattern for cell in cells for pattern in re.findall(r"`([^`]+)`", cell)}


def in_code() -> Iterator[str]:
    """The points of every transaction and of everything that stands within `faults.around`."""
    for package in ("retraind", "workers", "daemon"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield from _of_module(ast.parse(path.read_text()), module, "")


def _of_module(node: ast.AST, module: str, function: str) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        function = node.name
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        called = ast.unparse(node.func)
        if called == "faults.around" and module != "retraind.faults":
            yield _name(node.args[0])
        elif called == "faults.around_calls":
            yield f"{_name(node.args[1])}.any"
        elif called.endswith("ledger.write"):
            yield f"ledger.{module}.{function}"
    for child in ast.iter_child_nodes(node):
        yield from _of_module(child, module, function)


def _name(argument: ast.expr) -> str:
    return re.sub(r"\{.*?\}", "any", ast.unparse(argument).strip("f'\""))


def is_told(point: str) -> bool:
    return any(fnmatchcase(f"{point}.before", pattern) for pattern in documented())


def test_every_point_in_the_code_has_a_row() -> None:
    points = set(in_code())
    assert len(points) > 50
    assert sorted(point for point in points if not is_told(point)) == []


def test_every_row_is_of_points_that_exist() -> None:
    points = {f"{point}{side}" for point in in_code() for side in SIDES}
    idle = [pattern for pattern in documented() if not any(fnmatchcase(point, pattern) for point in points)]
    assert sorted(idle) == []


def test_every_point_that_a_run_has_passed_has_a_row() -> None:
    passed = {name.rpartition(">")[2] for name in json.loads((ROOT / "tests/chaos/points.json").read_text())}
    assert sorted(name for name in passed if not any(fnmatchcase(name, each) for each in documented())) == []


def test_the_tests_named_exist() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", DOCUMENT))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
