"""Quantities as a user writes them: durations `30s 15m 6h 7d 4w`, sizes `16GiB`, rates `1 per 90d`."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw])\s*)+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_UNIT_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s+per\s+(.+)")


def parse_duration(value: object) -> timedelta:
    """The duration that `value` writes, as `30s`, `15m`, `6h`, `7d`, `4w`, or a sum such as `1h30m`.

    Raises ValueError for anything else, zero included: a duration of zero is always a mistake.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if not isinstance(value, str) or not _DURATION.fullmatch(text):
        raise ValueError(f"{value!r} is not a duration; write a number with a unit, as 30s, 15m, 6h, 7d or 4w")
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds <= 0:
        raise ValueError(f"{value!r} is no time at all; write a duration above zero, as 30s or 7d")
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{value!r} is longer than any calendar; write a shorter duration, as 4w") from None


def format_duration(value: timedelta) -> str:
    """`value` in the largest units that write it without loss: `7d`, `1h30m`, `0.2s`."""
    seconds = value.total_seconds()
    if seconds < 60:
        return f"{seconds:g}s"
    parts, rest = [], round(seconds)
    for unit, length in (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if unit == "w" and rest:  # 8d reads better than 1w1d
            rest += count * length
        elif count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_size(value: object) -> int:
    """The number of bytes that `value` writes, as `512MiB` or `16GiB`. Raises ValueError for anything else."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{value!r} is not a size; write a number above zero with a unit, as 512MiB or 16GiB")
    try:
        return int(float(match[1]) * _UNIT_BYTES[match[2]])
    except OverflowError:
        raise ValueError(f"{value!r} is more than any machine has; write a smaller size, as 16GiB") from None


def _written_size(value: int) -> str:
    """`value` bytes without loss, in the largest binary unit that divides it, as a user may write it."""
    unit = next((unit for unit in ("TiB", "GiB", "MiB", "KiB") if value % _UNIT_BYTES[unit] == 0), "B")
    return f"{value // _UNIT_BYTES[unit]}{unit}"


def format_size(value: int) -> str:
    """`value` bytes for people, in the largest binary unit that is at least 1: `512MiB`, `1.5GiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value >= _UNIT_BYTES[unit]:
            return f"{value / _UNIT_BYTES[unit]:.1f}".removesuffix(".0") + unit
    return f"{value}B"


@dataclass(frozen=True)
class Rate:
    """So many events in so much time: the false-alarm budget `1 per 90d`."""

    count: float
    per: timedelta

    @classmethod
    def parse(cls, value: object) -> "Rate":
        """Raises ValueError unless `value` reads `COUNT per DURATION` with a count above zero."""
        if isinstance(value, cls):
            return value
        match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or float(match[1]) <= 0:
            raise ValueError(f"{value!r} is not a rate; write a count per duration, as 1 per 90d")
        return cls(float(match[1]), parse_duration(match[2]))

    def __str__(self) -> str:
        return f"{self.count:g} per {format_duration(self.per)}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\d+(\.\d+)? per .+$", "examples": ["1 per 90d"]}


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w)\s*)+$", "examples": ["30s", "6h", "7d"]}
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(_written_size, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(B|[KMGT]i?B)$", "examples": ["512MiB", "16GiB"]}),
]
