"""docs/configuration.md says every setting, with its default and its meaning; its example is a good file."""

import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sample_files import write

from retraind.config.document import parse
from retraind.config.loading import load
from retraind.config.outline import settings_below
from retraind.config.schema import json_schema
from retraind.config.settings import Settings

DOCS = Path(__file__).parents[2] / "docs/configuration.md"
ENVIRON = {"DB_PASSWORD": "x", "SLACK_URL": "slack://a/b/c", "ONCALL_URL": "json://h"}


def row(path: str, field: FieldInfo) -> str:
    """The row of the tables that says this setting."""
    return f"| `{path.removeprefix('models.NAME.')}` | {default(field)} | {field.description} |"


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.default
    if value is None or isinstance(value, BaseModel) or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{value}`"


def rows() -> dict[str, str]:
    return {path: row(path, field) for path, _, field in settings_below(Settings)}


@pytest.mark.parametrize("path", rows())
def test_every_setting_stands_in_the_documentation(path: str) -> None:
    assert rows()[path] in DOCS.read_text().splitlines()


def test_the_documentation_has_no_setting_that_is_none() -> None:
    written = re.findall(r"^\| `([^`]+)` \| .* \| .* \|$", DOCS.read_text(), re.MULTILINE)
    assert sorted(written) == sorted({path.removeprefix("models.NAME.") for path in rows()})


def examples() -> list[str]:
    return re.findall(r"```yaml\n(models:.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.mark.parametrize("index", range(len(examples())))
def test_the_examples_load_and_fit_the_schema(tmp_path: Path, index: int) -> None:
    text = examples()[index]
    load(write(tmp_path, text), ENVIRON)
    Draft202012Validator(json_schema()).validate(parse(text.replace("${", "$${"), {}, tmp_path).value)


def test_there_is_a_complete_example() -> None:
    used = "\n".join(examples())
    for section in ("predictions", "triggers", "policy", "training", "deploy", "alerts", "ledger", "broker", "mlflow"):
        assert f"{section}:" in used
