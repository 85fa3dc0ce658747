"""What a trigger remembers of the incidents it found: which are open, since when, and which spans they spoilt.

Called by `triggers.incident_watch`, which makes it at each look, and by whoever asks the ledger how a
model stands. It is a part of the trigger's state, under `KEY`. It imports neither numpy nor pyarrow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

KEY = "incidents"
_MOST_SPANS = 100  # of one trigger: older ones have long left every training window


class Kind(StrEnum):
    """What an incident is."""

    MISSING = "missing"  # a column without values
    CONSTANT = "constant"  # a column with one value that had many
    UNITS = "units"  # a column in other units
    CATEGORIES = "categories"  # categories never seen before in the place of those that are known
    TEXT = "text"  # text where there were numbers
    DUPLICATES = "duplicates"  # rows that are there more than once
    VOLUME = "volume"  # far fewer rows than usual, or far more
    CLOCK = "clock"  # time stamps in the future, or that stand still


@dataclass(frozen=True)
class Incident:
    """One incident. `column` is None where it is the whole table's. `sentence` has no full stop; `numbers` is JSON-able
    and holds under `expected` the usual share of good rows, for kinds that are judged by it."""

    kind: Kind
    column: str | None
    sentence: str
    numbers: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells it from others: the same thing found again is the same incident."""
        return str(self.kind), self.column


@dataclass(frozen=True)
class OpenIncident:
    """An incident that the last look still found. `since`: the first instant whose rows may be spoilt, aware UTC."""

    incident: Incident
    since: datetime
    acknowledged_by: str | None = None  # a person said go; None: nobody did

    def to_json(self) -> dict[str, Any]:
        return {**vars(self.incident), "since": self.since.isoformat(), "acknowledged_by": self.acknowledged_by}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "OpenIncident":
        incident = Incident(Kind(data["kind"]), data["column"], data["sentence"], data["numbers"])
        return cls(incident, datetime.fromisoformat(data["since"]), data["acknowledged_by"])


@dataclass(frozen=True)
class IncidentState:
    """All that is remembered. Spans are half-open, aware UTC, and hold the rows of incidents that are over."""

    open: tuple[OpenIncident, ...] = ()
    left_out: tuple[tuple[datetime, datetime], ...] = ()
    looked_at: datetime | None = None  # the last look that read rows; None: there was none
    expects_rows_by: datetime | None = None  # without new rows until then it is worth looking; None: none are expected
    other: Mapping[str, Any] = field(default_factory=dict)  # what a newer version remembers besides

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> "IncidentState":
        """From a trigger's whole state; empty where it remembers nothing."""
        data = dict((state or {}).get(KEY) or {})
        return cls(
            open=tuple(map(OpenIncident.from_json, data.pop("open", ()))),
            left_out=tuple((_instant(start), _instant(end)) for start, end in data.pop("left_out", ())),
            looked_at=_optional(data.pop("looked_at", None)),
            expects_rows_by=_optional(data.pop("expects_rows_by", None)),
            other=data,
        )

    def within(self, state: Mapping[str, Any] | None) -> dict[str, Any]:
        """A trigger's whole state, with this in it."""
        mine = {
            **self.other,
            "open": [each.to_json() for each in self.open],
            "left_out": [[start.isoformat(), end.isoformat()] for start, end in self.left_out[-_MOST_SPANS:]],
            "looked_at": self.looked_at.isoformat() if self.looked_at else None,
            "expects_rows_by": self.expects_rows_by.isoformat() if self.expects_rows_by else None,
        }
        return {**(state or {}), KEY: mine}

    @property
    def holding(self) -> tuple[OpenIncident, ...]:
        """The open incidents that no person has acknowledged."""
        return tuple(each for each in self.open if each.acknowledged_by is None)

    def acknowledged(self, keys: Iterable[tuple[str, str | None]], by: str) -> "IncidentState":
        """With those of the open incidents acknowledged that have these keys and are not yet."""
        wanted = set(keys)
        return replace(
            self,
            open=tuple(
                replace(each, acknowledged_by=by)
                if each.incident.key in wanted and each.acknowledged_by is None
                else each
                for each in self.open
            ),
        )

    @property
    def spoilt(self) -> tuple[tuple[datetime, datetime | None], ...]:
        """The spans whose rows are not to be trained on; None: there is no end yet."""
        return (*self.left_out, *((each.since, None) for each in self.holding))


def expects_rows_by(state: Mapping[str, Any] | None) -> datetime | None:
    """As in the IncidentState of `state`, without the rest of it: idle models are asked for nothing else."""
    return _optional(((state or {}).get(KEY) or {}).get("expects_rows_by"))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _optional(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
