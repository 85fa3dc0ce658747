"""What every part of the configuration file is, and how parts refuse what does not fit together."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Discriminator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Place = tuple[str | int, ...]


class Section(BaseModel):
    """A mapping in the file: unknown keys are refused, and nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=False,
    )


def refuse(problems: Iterable[tuple[Place, str]]) -> None:
    """Raise one ValidationError with every (place, sentence) of `problems`; do nothing if there are none.

    For validators that find several things at once: a place is relative to what is being validated.
    """
    details = [
        # Sentences hold values of the user's, so they are handed over as context and never as a template.
        InitErrorDetails(
            type=PydanticCustomError("refused", "{sentence}", {"sentence": sentence}), loc=place, input=None
        )
        for place, sentence in problems
    ]
    if details:
        raise ValidationError.from_exception_data("configuration", details)


def exactly_one(*keys: str) -> dict[str, Any]:
    """What a JSON Schema adds to say that exactly one of `keys` is there."""
    return {"oneOf": [{"required": [key]} for key in keys]}


def one_of(names: Iterable[str]) -> dict[str, Any]:
    """What a JSON Schema adds to list the texts that a setting takes."""
    return {"enum": sorted(names)}


def by_key(kinds: Mapping[str, str], expected: str, plain: Mapping[str, str] | None = None) -> Discriminator:
    """Tell the kinds of a section apart by the key that is present, so that errors speak of the kind meant.

    `kinds` gives the tag for a key, `plain` the tag for a value written as a bare text. `expected`
    says what to write where no kind can be told.
    """

    def tag_of(value: Any) -> str | None:
        if isinstance(value, Mapping):
            found = {tag for key, tag in kinds.items() if key in value}
            return found.pop() if len(found) == 1 else None
        if isinstance(value, str):
            return (plain or {}).get(value)
        return next((tag for key, tag in kinds.items() if hasattr(value, key)), None)

    return Discriminator(
        tag_of,
        custom_error_type="kind",
        custom_error_message="{expected}",
        custom_error_context={"expected": expected, "keys": " ".join(kinds), "plain": " ".join(plain or {})},
    )
