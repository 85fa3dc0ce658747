"""`${NAME}` in a text of the configuration file: what it stands for in the environment, or in a secret's file.

Called by `retraind.config.document` for every text value. Keys are never expanded, and what a
variable holds is not expanded again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_REFERENCE = re.compile(r"\$\$|\$\{(?P<inside>[^}]*)(?P<close>\}?)")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Variable:
    """One value that came from outside the file. `from_file` is True for the content of the file NAME_FILE names."""

    name: str
    value: str
    from_file: bool


@dataclass
class Expansion:
    """A text after expansion, the variables that went into it, and what was wrong with the others."""

    text: str = ""
    variables: list[Variable] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def expand(text: str, environ: Mapping[str, str], directory: Path) -> Expansion:
    """`text` with `${NAME}` and `${NAME:-default}` replaced, and `$$` as a single dollar.

    A default stands in for a variable that is unset or empty. Where NAME_FILE is set, the value is
    that file's content without surrounding white space; a relative NAME_FILE starts in `directory`.
    A reference with a problem expands to nothing.
    """
    expansion = Expansion()

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return _value_of(match, environ, directory, expansion)

    expansion.text = _REFERENCE.sub(replace, text)
    return expansion


def _value_of(match: re.Match[str], environ: Mapping[str, str], directory: Path, expansion: Expansion) -> str:
    inside = _INSIDE.fullmatch(match["inside"])
    if inside is None or not match["close"]:
        expansion.problems.append(
            f"{match[0]!r} is not a variable; write ${{NAME}} or ${{NAME:-default}}, or $$ for a plain dollar sign"
        )
        return ""
    try:
        variable = _look_up(inside["name"], environ, directory)
    except ValueError as error:
        expansion.problems.append(str(error))
        return ""
    if (variable is None or not variable.value) and inside["default"] is not None:
        return inside["default"]
    if variable is None:
        name = inside["name"]
        expansion.problems.append(
            f"the environment variable {name} is not set; set {name}, or {name}_FILE to a file that holds it, "
            f"or write ${{{name}:-default}} (a dollar sign meant as such is written $$)"
        )
        return ""
    expansion.variables.append(variable)
    return variable.value


def _look_up(name: str, environ: Mapping[str, str], directory: Path) -> Variable | None:
    """None: neither NAME nor NAME_FILE is set. Raises ValueError where the file cannot be read as text."""
    path_text = environ.get(f"{name}_FILE")
    if not path_text:
        return Variable(name, environ[name], from_file=False) if name in environ else None
    try:
        content = (directory / path_text).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"the file {path_text!r} that {name}_FILE names is not UTF-8 text; write the secret as text"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(
            f"the file {path_text!r} that {name}_FILE names cannot be read ({reason}); "
            f"mend its path or its permissions, or unset {name}_FILE"
        ) from None
    return Variable(name, content.strip(), from_file=True)
