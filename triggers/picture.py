"""What is kept of a drift verdict so that it can be drawn when its rows are gone.

Called by the drift trigger. Of every drifted column, and of the columns that deviate most up to twelve, the
bars of both sides (`triggers.bars`) and each test with its distance and where its bars stood. At most
64 KiB as JSON, however many columns there are: what does not fit is counted as left out.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from triggers.bars import bars_of
from triggers.comparison import Sizes
from triggers.judging import Compared, Judged
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.thresholds import effect_bar, noise_bar
from triggers.wording import span

MOST_BYTES = 65_536
MOST_COLUMNS = 12  # that have not drifted, too
_TRIES = 5  # columns in a row that do not fit: then none is tried any more
# Of a test, in the order in which its figures are kept: without names they take half of the room.
_FIELDS = ("test", "window", "distance", "noise_bar", "effect_bar", "natural_bar", "noise", "effect", "nature")


def picture_of_windows(compared: Sequence[Compared], found: Mapping[str, Judged], sizes: Sizes) -> dict[str, Any]:
    """The picture of a verdict over windows. `found` is the test that tells most of each column.

    JSON-able: `columns`, the most telling first, and how many were `left_out`.
    """
    ordered = sorted(found.values(), key=lambda each: (not each.drifted, -each.comparison.strength))
    drifted = sum(each.drifted for each in ordered)
    parts = [_Parts(each) for each in compared]

    def drawn() -> Iterator[dict[str, Any]]:
        for each in ordered[: max(drifted, MOST_COLUMNS)]:
            name = each.comparison.name
            shown = next(part for part in parts if part.has(each))
            judged = [_test(test, parts, sizes) for test in each.tests]
            yield {**shown.column(name), "drifted": each.drifted, "told_by": each.test.name, "tests": judged}

    return _bounded(drawn(), len(ordered))


def picture_of_evidence(
    reference: ReferenceProfile, current: Callable[[Sequence[str]], WindowProfile], evidence: Mapping[str, float]
) -> dict[str, Any]:
    """The picture of a verdict in sequence: the columns with most evidence, and the rows that were new, of those
    columns that are asked for."""
    shown = sorted(evidence, key=lambda each: -evidence[each])[:MOST_COLUMNS]
    rows = current(shown)

    def drawn() -> Iterator[dict[str, Any]]:
        for name in shown:
            yield {**_column(name, reference, rows), "window": None, "drifted": None, "told_by": None, "tests": []}

    return _bounded(drawn(), len(evidence)) if rows.rows else {"columns": [], "left_out": len(evidence)}


def kept_tests(column: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tests of a column as it was kept: each one's name, window and distance, where its bars stood and whether each
    was passed. None: not known."""
    return [dict(zip(_FIELDS, test, strict=True)) for test in column["tests"]]


class _Parts:
    """One pair of samples over one window."""

    def __init__(self, compared: Compared) -> None:
        self.compared = compared
        self.names = {each.name for each in compared.comparisons}

    def has(self, judged: Judged) -> bool:
        """Whether the column was compared over this window. An untested one is drawn over the longest."""
        untested = judged.length is None
        return judged.comparison.name in self.names and (untested or judged.length == self.compared.length)

    def column(self, name: str) -> dict[str, Any]:
        length = self.compared.length
        drawn = _column(name, self.compared.reference, self.compared.current)
        return {**drawn, "window": None if length is None else span(length)}


def _column(name: str, reference: ReferenceProfile, current: WindowProfile) -> dict[str, Any]:
    missing = reference.counts.missing_in(name), current.missing_in(name)
    bars = bars_of(reference.layouts[name], reference.counts.cells[name], current.cells[name], missing)
    return {"name": name, "bars": bars.kept()}


def _test(judged: Judged, parts: Iterable[_Parts], sizes: Sizes) -> list[Any]:
    compared = next(part.compared for part in parts if part.has(judged))
    figures = (
        judged.test.distance,
        noise_bar(judged, (compared.rows["reference"], compared.rows["current"])),
        effect_bar(judged.test, judged.comparison, sizes),
        judged.natural_bar,
    )
    return [
        judged.test.name,
        None if judged.length is None else span(judged.length),
        *(None if value is None else float(f"{value:.5g}") for value in figures),
        *(judged.noise, judged.test.large, judged.nature),
    ]


def _bounded(columns: Iterable[dict[str, Any]], number: int) -> dict[str, Any]:
    kept: list[dict[str, Any]] = []
    left = MOST_BYTES - 100  # for what is around them
    misfits = 0
    for column in columns:
        size = len(json.dumps(column)) + 2
        misfits = 0 if size <= left else misfits + 1
        if not misfits:
            kept.append(column)
            left -= size
        if misfits == _TRIES:
            break
    return {"columns": kept, "left_out": number - len(kept)}
