"""`docs/triggers.md` names every trigger, every setting with its default and meaning, and every metric."""

import re
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from triggers.base import Trigger
from triggers.catalog import BUILT_IN, parse_trigger, trigger_class
from triggers.comparison import Comparison
from triggers.metrics import METRICS, Metric
from triggers.references import CurrentFile, Reference

DOCUMENT = (Path(__file__).parents[2] / "docs" / "triggers.md").read_text()
COMMON = set(Trigger.model_fields)
SECTIONS = {"reference": Reference, "current": CurrentFile}


def default_of(field: FieldInfo) -> str:
    """The default as a user would write it."""
    value = field.get_default()
    if field.is_required():
        return "required"
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(repr(item) for item in value)}]`".replace("'", '"')
    return f"`{value}`"


def rows(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The table's rows for the settings of a kind of its own, nested ones after the one they are nested in."""
    for name, field in kind.model_fields.items():
        if prefix or name not in COMMON:
            yield f"| `{prefix}{name}` | {default_of(field)} | {field.description} |"
            if not prefix and kind is trigger_class("drift") and name in SECTIONS:
                yield from rows(SECTIONS[name], f"{name}.")


def metric_row(metric: Metric) -> str:
    needs = {"classes": "prediction, actual", "scores": "score, actual", "errors": "prediction, actual"}[metric.needs]
    better = "higher" if metric.higher_is_better else "lower"
    return f"| `{metric.name}` | {metric.task} | {needs} | {better} | {metric.sentence} |"


def section(name: str) -> str:
    """The document's section on the trigger type `name`."""
    found = re.search(rf"^## `{name}`$(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/triggers.md has no section '## `{name}`'"
    return found[1]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_setting_is_documented_with_its_default_and_meaning(name: str) -> None:
    missing = [row for row in rows(trigger_class(name)) if row not in section(name)]
    assert missing == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_setting_is_documented_that_is_not_there(name: str) -> None:
    told = re.findall(r"^\| `([\w.]+)` \|", section(name), re.MULTILINE)
    there = {row.split("`")[1] for row in rows(trigger_class(name))} | set(METRICS if name == "performance" else ())
    assert [setting for setting in told if setting not in there] == []


@pytest.mark.parametrize("name", [name for name in Trigger.model_fields if name != "type"])
def test_the_settings_that_all_triggers_share_are_documented(name: str) -> None:
    field = Trigger.model_fields[name]
    assert f"| `{name}` | {default_of(field)} | {field.description} |" in DOCUMENT


@pytest.mark.parametrize("figure", [field.name for field in fields(Comparison) if field.name != "name"])
def test_every_figure_of_a_drift_verdict_is_documented(figure: str) -> None:
    assert f"`{figure}`" in section("drift")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_is_documented(metric: Metric) -> None:
    assert metric_row(metric) in section("performance")


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_section_shows_examples_that_are_valid_and_a_sentence(name: str) -> None:
    examples: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", section(name), re.DOTALL):
        examples |= yaml.safe_load(block)
    assert name in {parse_trigger(example).type for example in examples.values()}
    assert "> " in section(name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_setting_has_a_description_that_is_a_sentence(name: str) -> None:
    for kind in (trigger_class(name), *SECTIONS.values()):
        for setting, field in kind.model_fields.items():
            assert field.description, f"{kind.__name__}.{setting}"
            assert field.description.endswith("."), f"{kind.__name__}.{setting}"
