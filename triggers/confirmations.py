"""`k of n looks`: how often a trigger must have fired before a firing counts.

Called by the configuration (a trigger's own setting, and the policy's for all) and by the daemon. A
firing that counts is a look that fired, so whatever `k of n` is, no more firings count than there
are: it never raises the expected number of false alarms, however much the looks resemble each other.
How far it lowers it hangs on just that resemblance.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import core_schema

from triggers.verdict import Outcome


@dataclass(frozen=True)
class Confirmations:
    """A trigger must fire in `needed` of its last `looks` looks, the latest included."""

    needed: int = 1
    looks: int = 1

    @classmethod
    def parse(cls, value: object) -> "Confirmations":
        """Raises ValueError unless `value` reads `K of N` with 1 <= K <= N."""
        if isinstance(value, cls):
            return value
        match = re.fullmatch(r"(\d+) of (\d+)", value.strip()) if isinstance(value, str) else None
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 100:
            raise ValueError(f"{value!r} is not a number of confirmations; write K of N, as 2 of 3")
        return cls(int(match[1]), int(match[2]))

    def fired(self, recent: Sequence[str]) -> int:
        """How many of the last `looks` of the `recent` outcomes (oldest first) are firings."""
        return sum(outcome == Outcome.FIRED for outcome in recent[-self.looks :])

    def __str__(self) -> str:
        return f"{self.needed} of {self.looks}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\d+ of \d+$", "examples": ["2 of 3"]}
