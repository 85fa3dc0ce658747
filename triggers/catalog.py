"""Every type of trigger there is, by the name that `type:` takes in the configuration.

Called by the configuration models (to read a trigger and to describe all of them in the JSON
Schema). Adding a built-in trigger is one line in `BUILT_IN`; other packages add theirs through the
entry point group `retraind.triggers`. A class is imported when its name is first used.
"""

import difflib
import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from triggers.base import Trigger

ENTRY_POINT_GROUP = "retraind.triggers"

BUILT_IN: Mapping[str, str] = {
    "cron": "triggers.cron:CronTrigger",
    "interval": "triggers.interval:IntervalTrigger",
    "volume": "triggers.volume:VolumeTrigger",
    "performance": "triggers.performance:PerformanceTrigger",
    "estimated_performance": "triggers.estimated_performance:EstimatedPerformanceTrigger",
    "worth": "triggers.worth:WorthTrigger",
    "drift": "triggers.drift:DriftTrigger",
    "file": "triggers.file:FileTrigger",
    "all": "triggers.combination:AllTrigger",
    "any": "triggers.combination:AnyTrigger",
}


def trigger_types() -> tuple[str, ...]:
    """Every known type name: the built-in ones first, then those of other packages, sorted."""
    return (*BUILT_IN, *sorted(_plugins()))


@cache
def trigger_class(name: str) -> type[Trigger]:
    """The class of the type `name`. Raises ValueError for an unknown type and for a plug-in that is no trigger."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        built_in: type[Trigger] = getattr(importlib.import_module(module), attribute)
        return built_in
    plugin = _plugins().get(name)
    if plugin is None:
        raise ValueError(f"{name!r} is not a type of trigger; {_advice(name)}")
    return _load_plugin(plugin)


def parse_trigger(value: object) -> Trigger:
    """The trigger that `value` describes: a mapping with the key `type`, or a trigger already built.

    Raises ValueError for a value without a known type, and pydantic's ValidationError, with
    locations inside `value`, for settings that are wrong.
    """
    if isinstance(value, Trigger):
        return value
    if not isinstance(value, Mapping):
        # pydantic reports a ValueError at its place in the file, and lets a TypeError through
        raise ValueError(f"{value!r} is not a trigger; write a mapping, as {{type: interval, every: 7d}}")  # noqa: TRY004
    name = value.get("type")
    if name is None:
        raise ValueError(f"a trigger needs a type; {_advice('')}")
    return trigger_class(str(name)).model_validate(dict(value))


def trigger_json_schema(schema: dict[str, Any]) -> None:
    """Fill `schema`, in place, with one alternative for each known type, told apart by `type`."""
    schema.clear()
    schema["oneOf"] = [_alternative(trigger_class(name)) for name in trigger_types()]
    schema["discriminator"] = {"propertyName": "type"}
    schema["description"] = "A trigger; `type` says which kind."


def _alternative(kind: type[Trigger]) -> dict[str, Any]:
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inline(schema, definitions)
    inlined["required"] = ["type", *(key for key in inlined.get("required", ()) if key != "type")]
    return inlined


def _inline(node: Any, definitions: Mapping[str, Any]) -> Any:
    """`node` with each reference replaced by what it refers to: a part of a schema cannot carry `$defs` of its own."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    reference = node.pop("$ref", None)
    if reference is not None:
        node = {**definitions[reference.rpartition("/")[2]], **node}
    return {key: _inline(item, definitions) for key, item in node.items()}


def _advice(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), trigger_types(), n=1)
    listing = f"choose one of {', '.join(trigger_types())}"
    return f"did you mean {near[0]!r}? Otherwise {listing}" if near else listing


@cache
def _plugins() -> Mapping[str, EntryPoint]:
    """Entry points by name. A built-in name stays built-in."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in BUILT_IN}


def _load_plugin(point: EntryPoint) -> type[Trigger]:
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the trigger {point.name!r} ({point.value}) cannot be imported: {error}") from error
    if isinstance(loaded, type) and issubclass(loaded, Trigger):
        return loaded
    raise ValueError(f"the trigger {point.name!r} ({point.value}) is not a subclass of triggers.base.Trigger")
