"""The catalogue: known types, errors that help, plug-ins, and the JSON Schema."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError, WrapValidator

from triggers.base import Trigger
from triggers.catalog import BUILT_IN, parse_trigger, trigger_class, trigger_json_schema, trigger_types


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_type_is_a_trigger_with_its_name_as_a_literal(name: str) -> None:
    kind = trigger_class(name)
    assert issubclass(kind, Trigger)
    assert kind.model_json_schema()["properties"]["type"]["const"] == name


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"type": "crom", "schedule": "@daily"}, "'crom' is not a type of trigger; did you mean 'cron'?"),
        ({"type": "Performance"}, "did you mean 'performance'?"),
        (
            {"type": "xyzzy"},
            "choose one of cron, interval, volume, performance, estimated_performance, worth, drift, file, all, any",
        ),
        ({"schedule": "@daily"}, "a trigger needs a type; choose one of cron"),
        ("weekly", "'weekly' is not a trigger; write a mapping, as {type: interval, every: 7d}"),
        (None, "None is not a trigger"),
    ],
)
def test_a_value_that_is_no_trigger_is_told_plainly(value: object, told: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_trigger(value)
    assert told in str(caught.value)


def test_problems_with_settings_are_told_at_their_place_within_the_whole() -> None:
    class Model(BaseModel):
        triggers: dict[str, Annotated[Trigger, WrapValidator(lambda value, handler: parse_trigger(value))]]

    written = {
        "a": {"type": "drift", "reference": {"window": "soon"}, "wndow": "7d"},
        "b": {"type": "nothing"},
        "c": {"type": "interval", "every": "7d"},
    }
    with pytest.raises(ValidationError) as caught:
        Model(triggers=written)
    assert {error["loc"] for error in caught.value.errors()} == {
        ("triggers", "a", "reference", "window"),
        ("triggers", "a", "wndow"),
        ("triggers", "b"),
    }
    assert Model(triggers={"c": written["c"]}).triggers["c"].type == "interval"


def schema() -> dict[str, Any]:
    filled: dict[str, Any] = {"anyOf": ["whatever stood here"]}
    trigger_json_schema(filled)
    return filled


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ({"type": "cron", "schedule": "0 2 * * 0"}, True),
        ({"type": "drift", "window": "7d", "reference": {"window": "28d"}, "false_alarms": "1 per 90d"}, True),
        ({"type": "performance", "metric": "accuracy", "below": 0.8, "window": "7d"}, True),
        ({"type": "any", "of": ["a", "b"], "at_least": 2, "action": "notify"}, True),
        ({"type": "cron"}, False),
        ({"schedule": "0 2 * * 0"}, False),
        ({"type": "cron", "schedule": "0 2 * * 0", "tz": "UTC"}, False),
        ({"type": "performance", "metric": "acuracy", "below": 0.8}, False),
        ({"type": "interval", "every": 7}, False),
        ({"type": "any", "of": ["a"], "action": "explode"}, False),
    ],
)
def test_the_schema_tells_triggers_from_what_is_none(value: object, valid: bool) -> None:
    checker = jsonschema.Draft202012Validator(schema())
    assert checker.is_valid(value) is valid


def test_the_schema_stands_on_its_own_with_one_alternative_for_each_type() -> None:
    filled = schema()
    assert "$ref" not in json.dumps(filled)
    assert [each["properties"]["type"]["const"] for each in filled["oneOf"]] == list(trigger_types())


PLUGIN = """
from typing import Annotated, Any, Literal
from pydantic import Field
from triggers.base import Trigger
from triggers.verdict import Outcome, Verdict

class MoonTrigger(Trigger):
    type: Literal["moon"] = Field(default="moon", description="Which kind of trigger this is.")
    phase: str = Field(description="The phase.")
    def evaluate(self, evidence: Any, now: Any) -> Verdict:
        return Verdict(Outcome.QUIET, f"No {self.phase} moon.")

class NoTrigger: ...
"""


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], str]:
    """Runs code in a fresh interpreter that has a package with plug-ins installed, and returns what it printed."""
    (tmp_path / "lunar.py").write_text(PLUGIN)
    installed = tmp_path / "lunar-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lunar\nVersion: 1.0\n")
    points = "moon = lunar:MoonTrigger\nbroken = lunar:Absent\nstone = lunar:NoTrigger\ncron = lunar:MoonTrigger\n"
    (installed / "entry_points.txt").write_text(f"[retraind.triggers]\n{points}")

    def run(code: str) -> str:
        setup = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom triggers.catalog import *\n"
        done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


def test_another_package_brings_a_trigger_by_an_entry_point(python: Callable[[str], str]) -> None:
    code = "trigger = parse_trigger({'type': 'moon', 'phase': 'full'}); print(trigger.evaluate(None, None).sentence)"
    assert python(code) == "No full moon."
    assert python("print(trigger_types()[-3:])") == "('broken', 'moon', 'stone')"


def test_a_plug_in_cannot_take_a_built_in_name(python: Callable[[str], str]) -> None:
    assert python("print(trigger_class('cron').__name__)") == "CronTrigger"


@pytest.mark.parametrize(
    ("name", "told"), [("broken", "cannot be imported"), ("stone", "is not a subclass of triggers.base.Trigger")]
)
def test_a_plug_in_that_does_not_work_is_named_and_harms_no_other(
    python: Callable[[str], str], name: str, told: str
) -> None:
    code = f"try:\n    parse_trigger({{'type': {name!r}}})\nexcept ValueError as error:\n    print(error)\n"
    answer = python(code + "print(parse_trigger({'type': 'interval', 'every': '7d'}).type)")
    assert f"the trigger {name!r} (lunar:" in answer
    assert told in answer
    assert answer.endswith("interval")
