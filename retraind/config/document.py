"""The configuration file as plain values, each with its line and column.

Called by `retraind.config.loading`. Reads YAML as people mean it: only `true` and `false` are
booleans (so the key `on` stays a word), `22:00` and `2024-01-31` stay text, and a key written
twice is a mistake. Only plain data is read; no tag can make anything else.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from retraind.config.environment import Variable, expand
from retraind.config.syntax import sentence_of

Location = tuple[str | int, ...]
Key = str | int | float | bool | None

_MOST_VALUES = 100_000  # aliases of aliases would otherwise fill the memory, or the day, from a dozen lines
_MOST_DIGITS = 1000  # of a whole number; Python reads longer ones, written as 0x, and cannot print them
_TAG = "tag:yaml.org,2002:"
_UNTYPED = frozenset({"params"})  # below these the keys belong to the user's own code, and keep their type


@dataclass(frozen=True)
class Mark:
    """A place in the file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Problem:
    """One thing to mend. `location` is the path of keys to it; empty for the file as a whole."""

    location: Location
    mark: Mark
    message: str


@dataclass
class Document:
    """What the file says. `keys` and `values` are where each location's key and value stand; list items have no key."""

    value: Any = None
    keys: dict[Location, Mark] = field(default_factory=dict)
    values: dict[Location, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    variables: list[tuple[Location, Variable]] = field(default_factory=list)

    def mark_of(self, location: Location) -> Mark:
        """Where `location` stands; where it is not in the file, the nearest section around it."""
        for length in range(len(location), 0, -1):
            mark = self.keys.get(location[:length]) or self.values.get(location[:length])
            if mark is not None:
                return mark
        return Mark(1, 1)


class SyntaxProblem(Exception):
    """The text is no YAML, or holds more than one document. `mark` says where; the message is one sentence."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mark = mark


class _Loader(yaml.SafeLoader):
    """Reads only what `_resolve` lists."""


_Loader.yaml_implicit_resolvers = {}


def _resolve(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(_TAG + kind, re.compile(rf"^(?:{pattern})$"), list(first))


# YAML 1.2's core schema: 1.1 reads `on` as true, 22:00 as 1320 and 010 as 8.
_resolve("null", "~|null|Null|NULL|", "~nN")
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_resolve(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)
_resolve("merge", "<<", "<")
_Loader.yaml_implicit_resolvers[""] = [(_TAG + "null", re.compile("^$"))]


def parse(text: str, environ: Mapping[str, str], directory: Path) -> Document:
    """The document that `text` writes, with `${NAME}` expanded; problems that leave the rest readable stand in it.

    Raises SyntaxProblem for text that is not one YAML document.
    """
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        document = Document()
        if root is not None:
            document.value = _Reader(document, environ, directory).read(root, ())
    except yaml.YAMLError as error:
        line, column, sentence = sentence_of(error, text)
        raise SyntaxProblem(Mark(line, column), sentence) from None
    except RecursionError:
        raise SyntaxProblem(Mark(1, 1), "brackets are nested too deeply; a configuration needs ten levels") from None
    finally:
        if loader is not None:
            loader.dispose()
    return document


class _Reader:
    """Turns YAML nodes into plain values and notes where each stood."""

    def __init__(self, document: Document, environ: Mapping[str, str], directory: Path) -> None:
        self._document = document
        self._environ = environ
        self._directory = directory
        self._open: set[int] = set()
        self._count = 0
        self._told: set[tuple[Mark, str]] = set()

    def read(self, node: yaml.Node, location: Location) -> Any:
        self._count_one(node)
        if id(node) in self._open:
            raise SyntaxProblem(_mark(node), "an alias contains itself; write the section out where it is needed")
        self._document.values[location] = _mark(node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, location)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*location, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, location)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[Key, Any]:
        result: dict[Key, Any] = {}
        seen: dict[Key, Mark] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                continue
            key = self._key(key_node, location)
            place = (*location, _step(key))
            if key in seen:
                lines = f"lines {seen[key].line} and {_mark(key_node).line}"
                self._problem(place, key_node, f"the key {key!r} is written twice, on {lines}; keep one of them")
                continue
            seen[key] = _mark(key_node)
            self._document.keys[place] = seen[key]
            result[key] = self.read(value_node, place)
        for key, value_node in self._merged(node, location):
            if key not in result:
                result[key] = self.read(value_node, (*location, _step(key)))
        return result

    def _merged(self, node: yaml.MappingNode, location: Location) -> Iterator[tuple[Key, yaml.Node]]:
        """What `<<: *anchor` brings in, the nearest first; keys written out stand before it."""
        for key_node, value_node in node.value:
            if key_node.tag != _TAG + "merge":
                continue
            sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for source in sources:
                if not isinstance(source, yaml.MappingNode):
                    self._problem(location, key_node, "<< takes in another section; write <<: *NAME of an anchor &NAME")
                    continue
                if id(source) in self._open:
                    raise SyntaxProblem(_mark(source), "an alias contains itself; write the section out where needed")
                self._open.add(id(source))
                for inner, inner_value in source.value:
                    self._count_one(source)
                    if inner.tag != _TAG + "merge":
                        yield self._key(inner, location), inner_value
                yield from self._merged(source, location)
                self._open.discard(id(source))

    def _count_one(self, node: yaml.Node) -> None:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise SyntaxProblem(_mark(node), f"aliases make more than {_MOST_VALUES} values; write fewer of them")

    def _key(self, node: yaml.Node, location: Location) -> Key:
        if not isinstance(node, yaml.ScalarNode):
            raise SyntaxProblem(
                _mark(node), "a key is one word or text; put quotes around a value that begins with { or ["
            )
        if _UNTYPED.intersection(location):
            value = self._typed(node, location)
            return value if isinstance(value, str | int | float | bool) else None
        return self._sound_text(node.value, node, location)

    def _scalar(self, node: yaml.Node, location: Location) -> Any:
        value = self._typed(node, location)
        if not isinstance(value, str):
            return value
        expansion = expand(value, self._environ, self._directory)
        for problem in expansion.problems:
            self._problem(location, node, problem)
        self._document.variables += [(location, variable) for variable in expansion.variables]
        return self._sound_text(expansion.text, node, location)

    def _typed(self, node: yaml.Node, location: Location) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return _boolean(text)
            if kind == "int":
                return _whole(text)
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            long = len(text) > _MOST_DIGITS
            fault = f"has more than {_MOST_DIGITS} digits" if long else f"is not the {kind} that it is marked as"
            self._problem(location, node, f"{text[:40]!r} {fault}; mend or quote it")
            return None
        if kind not in {"str", "merge"}:
            self._problem(location, node, f"the tag {node.tag!r} has no meaning here; remove it")
        return text

    def _sound_text(self, text: str, node: yaml.Node, location: Location) -> str:
        sound = text.encode("utf-8", "replace").decode().replace("\0", "?")
        if sound != text:
            self._problem(location, node, "the text holds a character that is none (NUL or half a pair); remove it")
        return sound

    def _problem(self, location: Location, node: yaml.Node, message: str) -> None:
        # An anchor's section is read once per alias, and is wrong only once.
        mark = _mark(node)
        if (mark, message) not in self._told:
            self._told.add((mark, message))
            self._document.problems.append(Problem(location, mark, message))


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _step(key: Key) -> str | int:
    return key if isinstance(key, str | int) else str(key)


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(text)
    return int(text, 0 if text[:2] in {"0x", "0o"} else 10)


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"
