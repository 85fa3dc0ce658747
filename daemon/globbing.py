"""The pattern of a watched file: a fixed directory, and what names below it must look like.

As in a shell: `*`, `?` and `[...]` match within a name, `**` stands for any number of directories, and
a leading dot must be written. `**` passes over links to directories, so that a circle of links ends; a
name or `*` follows them.
"""

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

ANY_DEPTH = "**"
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Glob:
    """`fixed` is an absolute directory, its links not resolved; `parts` are the names below it, one or more."""

    pattern: str
    fixed: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, pattern: str) -> "Glob":
        """A pattern without `*`, `?` or `[` names one file."""
        names = [name for name in pattern.split("/") if name not in {"", "."}]
        first = next((index for index, name in enumerate(names) if _MAGIC.search(name)), len(names) - 1)
        fixed = "/".join(names[:first])
        parts = list(names[first:]) or ["*"]
        if parts[-1] == ANY_DEPTH:
            parts.append("*")
        return cls(pattern, str(Path(f"/{fixed}" if pattern.startswith("/") else fixed).absolute()), tuple(parts))

    @property
    def is_deep(self) -> bool:
        """True when files may lie in directories below the fixed one."""
        return len(self.parts) > 1

    def matches(self, relative: str) -> bool:
        """True for a path, relative to the fixed directory, that the pattern could mean."""
        return _match(tuple(relative.split("/")), self.parts)


def is_literal(part: str) -> bool:
    """True for a part that names exactly one file or directory."""
    return not _MAGIC.search(part)


def name_matches(name: str, part: str) -> bool:
    """True when one name fits one part (not `**`)."""
    if is_literal(part):
        return name == part
    return name.startswith(".") <= part.startswith(".") and _compiled(part).match(name) is not None


def _match(names: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not parts or not names:
        return not parts and not names
    if parts[0] != ANY_DEPTH:
        return name_matches(names[0], parts[0]) and _match(names[1:], parts[1:])
    return _match(names, parts[1:]) or (not names[0].startswith(".") and _match(names[1:], parts))


@lru_cache(maxsize=256)
def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))
