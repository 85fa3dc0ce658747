"""One plain sentence for each thing the models refuse: what was expected, and what to write instead.

Called by `retraind.config.loading` with pydantic's error details.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from retraind.config.outline import Spot, fields_of
from retraind.nearest import did_you_mean, nearest


@dataclass(frozen=True)
class Refusal:
    """What was refused: the value as the file has it, pydantic's context, where it stands and in which section."""

    value: Any
    context: Mapping[str, Any]
    spot: Spot
    around: Spot


def sentence_for(error: ErrorDetails, spot: Spot, around: Spot) -> str:
    """What is wrong at `spot`, whose section is `around`, and what to write instead; without a full stop."""
    say = _SENTENCES.get(error["type"])
    if say is not None:
        return say(Refusal(error["input"], error.get("ctx", {}), spot, around))
    return f"{shown(error['input'])} does not fit ({error['msg']}); docs/configuration.md says what this setting takes"


def shown(value: Any) -> str:
    """`value` as the file would write it, cut short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}..."


def _fixed(sentence: str) -> Callable[[Refusal], str]:
    return lambda refusal: f"{shown(refusal.value)} {sentence}"


def _itself(refusal: Refusal) -> str:
    return str(refusal.context.get("error", refusal.context.get("sentence")))


def _missing(refusal: Refusal) -> str:
    key = refusal.spot.location[-1] if refusal.spot.location else ""
    if refusal.around.section is None or key not in refusal.around.keys:
        return "an entry is missing; write as many as the setting takes"
    description = next(field.description for name, field in fields_of(refusal.around.section) if name == key) or ""
    return f"this key is missing; add it ({description.replace('`', '').rstrip('.')})"


def _unknown(refusal: Refusal) -> str:
    name, known = str(refusal.spot.location[-1]), refusal.around.keys
    mend = f"the keys known here are {', '.join(known)}" if known else "remove it"
    return f"unknown key{did_you_mean(name, known)}; {mend}"


def _no_section(refusal: Refusal) -> str:
    keys = f", with keys out of {', '.join(refusal.spot.keys)}" if refusal.spot.keys else ""
    return f"{shown(refusal.value)} stands where a section belongs; write KEY: VALUE lines below it{keys}"


def _not_text(refusal: Refusal) -> str:
    value = shown(refusal.value)
    if isinstance(refusal.value, int | float):
        return f'{value} is not read as text; put it in quotes, as "{value}"'
    return f"{value} stands where a text belongs; write one" + (", or leave the key out" if value == "nothing" else "")


def _bound(refusal: Refusal) -> str:
    words = {"ge": "small; write {:g} or more", "gt": "small; write more than {:g}"}
    words |= {"le": "large; write {:g} or less", "lt": "large; write less than {:g}"}
    name, bound = next((name, bound) for name, bound in refusal.context.items() if name in words)
    return f"{shown(refusal.value)} is too {words[name].format(bound)}"


def _choice(refusal: Refusal) -> str:
    options = re.findall(r"'([^']*)'", str(refusal.context.get("expected", "")))
    hint = did_you_mean(refusal.value, options) if isinstance(refusal.value, str) else ""
    mend = f"write one of {', '.join(options)}" if len(options) > 1 else f"write {options[0]}, or leave the key out"
    return f"{shown(refusal.value)} is not known here{hint}; {mend}"


def _too_short(refusal: Refusal) -> str:
    return f"too few entries; write at least {refusal.context.get('min_length', 1)}, or leave the key out"


def _too_long(refusal: Refusal) -> str:
    return f"too many entries; write at most {refusal.context['max_length']}"


def _empty_text(_refusal: Refusal) -> str:
    return "the text is empty; write one, or leave the key out"


def _which_kind(refusal: Refusal) -> str:
    value, expected = refusal.value, refusal.context["expected"]
    keys = str(refusal.context["keys"]).split()
    if not isinstance(value, Mapping):
        known = str(refusal.context["plain"]).split()
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        return f"{shown(value)} is not known here{hint}; {expected}"
    together = [key for key in keys if key in value]
    if together:
        return f"{' and '.join(together)} exclude each other; keep one: {expected}"
    guesses = ((name, nearest(str(name), keys)) for name in value)
    found = next((f"the key {name!r} is unknown (did you mean {near!r}?)" for name, near in guesses if near), None)
    return f"{found or 'no key says which kind this is'}; {expected}"


_LIST = _fixed("is not a list; write [A, B], or one entry a line, each after a dash")
_WHOLE = _fixed("is not a whole number; write digits only, as 5000")
_NUMBER = _fixed("is not a number; write one, as 0.85")
_MOMENT = _fixed("is not a point in time; write one, as 2024-01-31T12:00:00Z")
_BOOLEAN = _fixed("is neither true nor false; write one of the two")

_SENTENCES: Mapping[str, Callable[[Refusal], str]] = {
    **dict.fromkeys(("value_error", "assertion_error", "refused"), _itself),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), _no_section),
    **dict.fromkeys(("greater_than_equal", "greater_than", "less_than_equal", "less_than"), _bound),
    **dict.fromkeys(("literal_error", "enum"), _choice),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _BOOLEAN),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _MOMENT),
    "missing": _missing,
    "extra_forbidden": _unknown,
    "string_type": _not_text,
    "path_type": _fixed("is not a path; write one, as data/latest.csv"),
    "too_short": _too_short,
    "too_long": _too_long,
    "string_too_short": _empty_text,
    "string_pattern_mismatch": _fixed("is no name; use letters, digits, _ . and - only"),
    "kind": _which_kind,
}
