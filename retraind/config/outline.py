"""What the models say of a place in the file: which section stands there, and which settings it has.

Called to name known keys beside an unknown one, and by the test that every setting is documented.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from retraind.config.document import Location
from triggers.base import Trigger
from triggers.catalog import trigger_class


@dataclass(frozen=True)
class Spot:
    """A place in the file. `location` is its path of keys; `section` is the model of what stands there, None if that is
    no section."""

    location: Location
    section: type[BaseModel] | None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that the section knows, as the file writes them."""
        return tuple(key for key, _ in fields_of(self.section)) if self.section is not None else ()


def fields_of(section: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Each setting of `section` under the key that the file writes."""
    for name, field in section.model_fields.items():
        yield field.alias or name, field


def locate(place: tuple[str | int, ...], data: Any, root: type[BaseModel]) -> Spot:
    """The spot in the file that pydantic's `place` means; `data` is what the file says.

    Steps that are pydantic's own, such as the tags of a union, are no keys and are left out.
    """
    kind: Any = root
    location: Location = ()
    for step in place:
        if step == "[key]":  # pydantic's way to say that a key is wrong, and not its value
            break
        kind = _concrete(kind, data)
        member = _member(kind, step)
        if member is not None:
            kind = member
        elif _is_written(data, step):
            kind, data = _below(kind, step), data[step]
            location = (*location, step)
        elif _is_section(kind):
            kind, data = _below(kind, step), None
            location = (*location, step)
    kind = _concrete(kind, data)
    return Spot(location, kind if _is_section(kind) else None)


def settings_below(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting in and below `section`: its path (`NAME` for a name of the user's), its key, and its field.

    A setting of the kinds of a union comes once for each kind. Triggers are left to their own room.
    """
    for key, field in fields_of(section):
        path = f"{prefix}{key}"
        yield path, key, field
        for kind, suffix in _sections_in(field.annotation):
            yield from settings_below(kind, f"{path}{suffix}.")


def _sections_in(kind: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    kind = _unwrapped(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not issubclass(kind, Trigger):
            yield kind, suffix
        return
    inner = {dict: ".NAME", tuple: "[]"}.get(get_origin(kind) or kind, "")
    for argument in get_args(kind):
        yield from _sections_in(argument, suffix + inner)


def _unwrapped(kind: Any) -> Any:
    return _unwrapped(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def _concrete(kind: Any, data: Any) -> Any:
    """`kind` without annotations and None, and a trigger as the class that its type names."""
    kind = _unwrapped(kind)
    if get_origin(kind) in (Union, UnionType):
        others = [member for member in get_args(kind) if member is not type(None)]
        if isinstance(data, dict) and not any(_tags(member) for member in others):
            sections = [member for member in others if _is_section(_unwrapped(member))]
            others = sections if len(sections) == 1 else others
        return _concrete(others[0], data) if len(others) == 1 else kind
    if kind is Trigger and isinstance(data, dict):
        try:
            return trigger_class(str(data.get("type")))
        except ValueError:
            return kind
    return kind


def _member(kind: Any, step: str | int) -> Any:
    """The member of the union `kind` that `step` selects, by its tag or by its class's name. None: no such."""
    if get_origin(kind) not in (Union, UnionType):
        return None
    for member in get_args(kind):
        if step in {*_tags(member), getattr(_unwrapped(member), "__name__", "")}:
            return member
    return None


def _tags(member: Any) -> set[str]:
    return {extra.tag for extra in getattr(member, "__metadata__", ()) if isinstance(extra, Tag)}


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_written(data: Any, step: str | int) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data)


def _below(kind: Any, step: str | int) -> Any:
    if _is_section(kind):
        return next((field.annotation for key, field in fields_of(kind) if key == step), None)
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin is dict:
        return arguments[1]
    return arguments[0] if origin in (tuple, list) else None
