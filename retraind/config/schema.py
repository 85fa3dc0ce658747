"""The JSON Schema of the configuration file, for editors: what `retraind schema` prints."""

from typing import Any

from retraind.config.settings import Settings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {
    "title": "Variable",
    "description": "A value from the environment: `${NAME}` or `${NAME:-default}`.",
    "type": "string",
    "pattern": r"\$\{",
}
_OF_NAMES = ("properties", "patternProperties", "$defs")  # keywords that hold schemas by a name
_OF_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_OF_ONE = ("items", "additionalProperties")
_ABOUT = ("title", "description", "default", "examples")


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the file as the user writes it: every setting with its title, meaning and default.

    Wherever a number, a choice or a text of fixed form is expected, `${NAME}` may stand instead.
    """
    schema = _as_written(Settings.model_json_schema(by_alias=True, mode="validation"))
    schema |= {"title": "retraind.yaml", "description": "The configuration of retraind."}
    schema["$defs"]["Variable"] = _VARIABLE
    return {"$schema": _DIALECT, **schema}


def _as_written(node: Any) -> Any:
    """`node`, with variables allowed and names of the user's held to their pattern."""
    if not isinstance(node, dict):
        return node
    result = {keyword: _inner(keyword, value) for keyword, value in node.items()}
    for name, property_ in result.get("properties", {}).items():
        property_.setdefault("title", name.replace("_", " ").title())
    if "patternProperties" in node:
        result["additionalProperties"] = False
    if isinstance(node.get("default"), dict):
        del result["default"]  # a section's defaults stand at its own settings
    return _or_variable(result) if _has_fixed_form(node) else result


def _inner(keyword: str, value: Any) -> Any:
    if keyword in _OF_NAMES:
        return {name: _as_written(inner) for name, inner in value.items()}
    if keyword in _OF_LISTS:
        return [_as_written(inner) for inner in value]
    return _as_written(value) if keyword in _OF_ONE else value


def _has_fixed_form(node: dict[str, Any]) -> bool:
    kind = node.get("type")
    return kind in {"integer", "number", "boolean"} or (kind == "string" and ("pattern" in node or "enum" in node))


def _or_variable(node: dict[str, Any]) -> dict[str, Any]:
    about = {keyword: node.pop(keyword) for keyword in _ABOUT if keyword in node}
    return {**about, "anyOf": [node, {"$ref": "#/$defs/Variable"}]}
