"""All that a look must know of a reference, without its rows: built once, kept as bytes, judged from ever after.

Called by `triggers.pairs`, and by whoever keeps references (`daemon.profiles`). Beside the reference's profile
it has what the times of its rows tell: how far its own blocks lie from the rest, and, where like is to be
compared with like, the cell and the hour of the week of each row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triggers.blocks import Blocks, Moves
from triggers.cells import instants
from triggers.comparison import TestName
from triggers.encoding import pack, unpack
from triggers.evidence import TIME
from triggers.layout import EmptyLayout
from triggers.natural import chosen
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.season import Integers, Season, hours_of_week, number_of, strata_of_hours, thinned

_MAGIC = b"retraind-known-1\n"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Refused:
    """A side that holds so many rows and cannot be counted; `reason` names the column."""

    rows: int
    reason: str

    def error(self) -> ValueError:
        """What counting raised."""
        return ValueError(self.reason)


@dataclass(frozen=True)
class KnownMoves:
    """What `Blocks` would answer of some lengths."""

    numbers: Mapping[timedelta, int]
    found: Mapping[timedelta, Mapping[tuple[str, TestName], Moves]]

    @classmethod
    def of(cls, blocks: Blocks, lengths: Sequence[timedelta]) -> "KnownMoves":
        """For windows of `lengths`, the longest first: of each the blocks that it would be held against."""
        wanted = {chosen(blocks, lengths[place:]) for place in range(len(lengths))} - {None}
        numbers = {length: blocks.number(length) for length in lengths}
        return cls(numbers, {length: blocks.moves(length) for length in wanted if length is not None})

    def number(self, length: timedelta) -> int:
        return self.numbers.get(length, 0)

    def moves(self, length: timedelta) -> Mapping[tuple[str, TestName], Moves]:
        return self.found[length]


@dataclass(frozen=True)
class DatedRows:
    """The rows that have a time: each one's hour of the week, and its slot in each column."""

    hours: NDArray[np.uint8]
    slots: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, table: pa.Table, profile: ReferenceProfile) -> "DatedRows":
        times, dated = instants(table.column(TIME))
        rows = np.flatnonzero(dated)
        slots = {}
        for name, layout in profile.layouts.items():
            kind = np.uint16 if layout.width < 2**16 else np.uint32
            empty = isinstance(layout, EmptyLayout)
            places = np.ones(rows.size) if empty else layout.places(table.column(name))[rows]  # type: ignore[union-attr]
            slots[name] = places.astype(kind)
        return cls(hours_of_week(times[rows]).astype(np.uint8), slots)

    def like(self, profile: ReferenceProfile, hours: Integers, season: Season) -> ReferenceProfile | None:
        """The reference with the mix of strata of so many rows in each hour of the week; None: it lacks a stratum."""
        of_hours = strata_of_hours(np.arange(hours.size), season)
        mix = np.bincount(of_hours, weights=hours, minlength=number_of(season)).astype(np.int64)
        kept = thinned(strata_of_hours(self.hours.astype(np.int64), season), mix)
        if kept is None:
            return None
        parts = [
            np.bincount(self.slots[name][kept], minlength=layout.width + 1) for name, layout in profile.layouts.items()
        ]
        return ReferenceProfile(profile.layouts, WindowProfile(profile.layouts, np.concatenate(parts), kept.size))


@dataclass(frozen=True)
class Known:
    """A reference. `timed`: its rows have a column of times."""

    profile: ReferenceProfile
    timed: bool
    blocks: KnownMoves | None  # None: not asked for, or it has no times
    dated: DatedRows | None  # likewise

    @property
    def rows(self) -> int:
        return self.profile.counts.rows

    @classmethod
    def of(
        cls, table: pa.Table, names: Sequence[str], lengths: Sequence[timedelta], season: Season | None, *, dated: bool
    ) -> "Known":
        """`lengths` are those of the windows whose natural variation is asked for, the longest first. `dated`: the rows
        are to be compared by season.

        Raises ValueError naming a column that is absent or cannot be counted, or whose times are none.
        """
        profile = ReferenceProfile.of(table, names)
        timed = TIME in table.column_names
        blocks = KnownMoves.of(Blocks(table, profile, season), lengths) if timed and lengths else None
        return cls(profile, timed, blocks, DatedRows.of(table, profile) if timed and dated else None)

    def to_bytes(self) -> bytes:
        """Equal bytes for equal references."""
        arrays: list[NDArray[Any]] = [np.frombuffer(self.profile.to_bytes(), dtype=np.uint8)]
        header: dict[str, Any] = {"timed": self.timed, "blocks": None, "dated": self.dated is not None}
        if self.blocks is not None:
            header["blocks"] = {
                "numbers": [[length // _MICROSECOND, number] for length, number in self.blocks.numbers.items()],
                "moves": [_header(length, *each) for length, of in self.blocks.found.items() for each in of.items()],
            }
            for of in self.blocks.found.values():
                arrays += [array for move in of.values() for array in (move.values, move.inverse_sizes)]
        if self.dated is not None:
            arrays += [self.dated.hours, *self.dated.slots.values()]
        return pack(_MAGIC, header, arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Known":
        """What `to_bytes` wrote. Raises ValueError where the bytes are none, or damaged."""
        header, arrays = unpack(_MAGIC, data, "the stored reference")
        profile = ReferenceProfile.from_bytes(arrays[0].tobytes())
        blocks, taken = None, 1
        if header["blocks"] is not None:
            numbers = {length * _MICROSECOND: number for length, number in header["blocks"]["numbers"]}
            found: dict[timedelta, dict[tuple[str, TestName], Moves]] = {}
            for length, name, test, noise, parts, freedom in header["blocks"]["moves"]:
                move = Moves(cast(TestName, test), arrays[taken], arrays[taken + 1], noise, parts, freedom)
                found.setdefault(length * _MICROSECOND, {})[name, move.test] = move
                taken += 2
            blocks = KnownMoves(numbers, {each: found.get(each, {}) for each in numbers})
        dated = None
        if header["dated"]:
            dated = DatedRows(arrays[taken], dict(zip(profile.layouts, arrays[taken + 1 :], strict=True)))
        return cls(profile, header["timed"], blocks, dated)


def counted(
    reference: "pa.Table | Known | Refused", names: Sequence[str], lengths: Sequence[timedelta]
) -> "Known | Refused":
    """What is known of a reference that was counted before, or is a table still; `lengths` as `Known.of`."""
    if isinstance(reference, (Known, Refused)):
        return reference
    try:
        return Known.of(reference, names, lengths, None, dated=False)
    except ValueError as error:
        return Refused(reference.num_rows, str(error))


def _header(length: timedelta, key: tuple[str, TestName], move: Moves) -> list[Any]:
    return [length // _MICROSECOND, *key, move.noise, move.parts, move.freedom]
