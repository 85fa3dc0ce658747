"""What a check found, and the report that all findings make."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a finding means for whoever runs this configuration."""

    OK = "ok"  # tried, and in order
    WARNING = "warning"  # it runs, and may bite later
    PROBLEM = "problem"  # it does not work like this


@dataclass(frozen=True)
class Finding:
    """One line of `retraind check`, about one setting; `mend` is None where there is nothing to do."""

    level: Level
    setting: str
    sentence: str
    mend: str | None = None


@dataclass(frozen=True)
class CheckReport:
    """All findings. `sound` is True when there is no problem; warnings do not count."""

    configuration: str
    sound: bool
    findings: list[Finding]


def ok(what: str, sentence: str) -> Finding:
    return Finding(Level.OK, what, sentence)


def warning(what: str, sentence: str, mend: str | None = None) -> Finding:
    return Finding(Level.WARNING, what, sentence, mend)


def problem(what: str, sentence: str, mend: str | None = None) -> Finding:
    return Finding(Level.PROBLEM, what, sentence, mend)


def split(what: str, level: Level, sentence: str) -> Finding:
    """A finding from a sentence that ends in `; its mend`."""
    said, semicolon, mend = sentence.rpartition("; ")
    return Finding(level, what, said, mend) if semicolon else Finding(level, what, sentence)


def either(findings: Iterable[Finding], what: str, otherwise: str) -> Iterator[Finding]:
    """The findings, or that all is well where there are none."""
    found = list(findings)
    yield from found or [ok(what, otherwise)]
