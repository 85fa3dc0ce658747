"""The JSON Schema says yes to what loads and no to what is wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sample_files import DESIGN, LEAST, write

from retraind.config.document import parse
from retraind.config.outline import settings_below
from retraind.config.schema import json_schema
from retraind.config.settings import Settings


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def is_valid(schema: dict[str, Any], text: str) -> bool:
    # Variables are left in place, as an editor sees them.
    value = parse(text.replace("${", "$${"), {}, Path("/")).value
    return Draft202012Validator(schema).is_valid(value)


def test_it_is_a_schema_of_the_dialect_it_names(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("text", [DESIGN, LEAST])
def test_a_good_file_is_valid(schema: dict[str, Any], text: str) -> None:
    assert is_valid(schema, text)


@pytest.mark.parametrize(
    "written",
    [
        "ledger: '${LEDGER}'",
        "lease: {length: '${LENGTH:-40s}', heartbeat: 5s}",
        "workers: {concurrency: '${N}'}",
        "audit: {required: '${REQUIRED}', rotate: '${SIZE}'}",
        "monitor: {files: '${FILES}'}",
        "alerts: [{url: '${URL}', on: ['${WHAT}']}]",
    ],
)
def test_a_variable_may_stand_for_any_value(schema: dict[str, Any], written: str) -> None:
    assert is_valid(schema, f"{LEAST}{written}\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("every: 7d", "evry: 7d"),
        ("every: 7d", "every: 7 days"),
        ("type: interval", "type: intervall"),
        ("type: interval, ", ""),
        ("stale:", "'the stale':"),
        ("approval: manual", "approval: semi"),
        ("min_rows: 5000", "min_rows: many"),
        ("{rolling: 30d}", "{}"),
        ("metric: accuracy, at_least: 0.85", "metric: acuracy, at_least: 0.85"),
        ("metric: accuracy, at_least: 0.85", "metric: accuracy"),
        ("{sklearn:", "{sklern:"),
        ("source: predictions", "source: predictons"),
        ("source: predictions", "source: {timestamp: t}"),
        ("{directory: models/production}", "{directroy: models/production}"),
        ("on: [failed,", "on: [fialed,"),
        ("alerts:", "alert:"),
        ("      url: sqlite:///monitoring.db", "      "),
    ],
)
def test_a_wrong_file_is_not_valid(schema: dict[str, Any], old: str, new: str) -> None:
    assert old in DESIGN
    assert not is_valid(schema, DESIGN.replace(old, new))


def test_check_jsonschema_agrees(schema: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(tmp_path / "schema.json")]
    good = subprocess.run([*command, str(write(tmp_path, DESIGN))], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout
    wrong = write(tmp_path, DESIGN.replace("cooldown", "coldown"))
    bad = subprocess.run([*command, str(wrong)], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "coldown" in bad.stdout


def test_every_setting_has_a_description() -> None:
    bare = [path for path, _, field in settings_below(Settings) if not (field.description or "").endswith(".")]
    assert bare == []


def test_every_property_of_the_schema_has_a_description_and_a_title(schema: dict[str, Any]) -> None:
    assert _bare_properties(schema, "") == []


def _bare_properties(node: Any, place: str) -> list[str]:
    if isinstance(node, list):
        return [found for index, item in enumerate(node) for found in _bare_properties(item, f"{place}[{index}]")]
    if not isinstance(node, dict):
        return []
    properties = node.get("properties", {})
    found = [f"{place}.{name}" for name, inner in properties.items() if not _is_told(inner)]
    return found + [inner for key, value in node.items() for inner in _bare_properties(value, f"{place}.{key}")]


def _is_told(node: dict[str, Any]) -> bool:
    return "title" in node and ("description" in node or "$ref" in node)  # a section's own text says it
