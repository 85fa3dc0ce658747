"""How far each column of the current data is from the reference, and how surely.

Called by the drift trigger. Every statistic comes from the same counts, none of the rows. `Comparison.tests`
says which of them decide, and by which effect; the others are told beside them. A missing value is a
level of its own: in the indices as a cell, in the tests of numbers as a test beside the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from triggers.cells import Counts
from triggers.layout import CategoryLayout, EmptyLayout, NumberLayout
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.ranks import Ranks
from triggers.statistics import (
    chi_squared,
    chi_squared_p_value,
    hellinger,
    jensen_shannon,
    jensen_shannon_floor,
    ks_p_value,
    psi,
    psi_floor,
    total_variation,
)
from triggers.wording import percent

TestName = Literal["ks", "rank_sum", "mood", "missing", "chi_squared"]


@dataclass(frozen=True)
class Sizes:
    """The effect sizes that a column must reach to have drifted."""

    ks: float
    psi: float
    js: float
    location: float
    scale: float


@dataclass(frozen=True)
class Tested:
    """One test of one column, and whether the effect that belongs to it is of the size asked for."""

    name: TestName
    p_value: float
    distance: float  # what grows with the drift, 0 without any: to be held against the data's own moves
    large: bool


@dataclass(frozen=True)
class Comparison:
    """One column. Shares are of all rows; a statistic that does not apply to the column is None.

    The floors are what the index shows without any drift, for the number of rows there is; only
    what exceeds them counts. Of numbers, `psi`, `js`, `hellinger` and `total_variation` are taken
    over tenths of the reference (over the values themselves where there are up to 10).
    """

    name: str
    kind: Literal["number", "category"]
    p_value: float  # the smallest of the tests that decide, corrected for their number
    psi: float
    psi_floor: float
    js: float
    js_floor: float
    hellinger: float
    total_variation: float
    missing_reference: float
    missing_current: float
    note: str | None  # what is odd about the column; None: nothing
    missing_p_value: float | None = None  # that the share of missing values is the same; None: there are none
    ks: float | None = None
    ks_p_value: float | None = None
    rank_sum: float | None = None  # how often a current value lies above one of the reference; 0.5: no shift
    rank_sum_p_value: float | None = None
    mood: float | None = None  # the current values' spread in squared ranks, relative to the reference's; 1: no change
    mood_p_value: float | None = None
    wasserstein: float | None = None  # in the column's unit
    chi_squared: float | None = None
    chi_squared_p_value: float | None = None
    unseen: float = 0.0  # the share of current rows with a category that the reference does not have

    def tests(self, sizes: Sizes) -> list[Tested]:
        """The tests that decide, each with the effect that belongs to it.

        Of numbers: Kolmogorov-Smirnov with its distance or the stability index; the rank sum with the
        distance of `rank_sum` from a half; Mood's with that of `mood` from 1; and the share of missing
        values, where there are any, with the stability index. Of categories: chi-squared with the
        Jensen-Shannon distance. The indices count beyond their floors.
        """
        shifted = self.psi - self.psi_floor >= sizes.psi
        if self.kind == "category":
            return [Tested("chi_squared", self.p_value, self.js, self.js**2 - self.js_floor**2 >= sizes.js**2)]
        found = []
        if self.ks is not None and self.rank_sum is not None and self.mood is not None:
            location, scale = abs(self.rank_sum - 0.5), abs(self.mood - 1)
            found = [
                Tested("ks", _known(self.ks_p_value), self.ks, self.ks >= sizes.ks or shifted),
                Tested("rank_sum", _known(self.rank_sum_p_value), location, location >= sizes.location),
                Tested("mood", _known(self.mood_p_value), scale, scale >= sizes.scale),
            ]
        if self.missing_p_value is not None:
            more = abs(self.missing_current - self.missing_reference)
            found.append(Tested("missing", self.missing_p_value, more, shifted))
        return found

    @property
    def strength(self) -> float:
        """How far apart the two sides are, 0 to 1: for saying which column is worst, not for deciding."""
        distance = self.js if self.kind == "category" else self.ks or 0.0
        return max(distance, abs(self.missing_current - self.missing_reference))

    def figures(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {key: value for key, value in vars(self).items() if key != "name"}


def compare(reference: ReferenceProfile, current: WindowProfile) -> Iterator[Comparison]:
    """Each column's comparison, in the reference's order. Neither side is without rows."""
    missing_before, missing_now = reference.counts.missing, current.missing
    for name, layout in reference.layouts.items():
        before, now = reference.counts.cells[name], current.cells[name]
        missing = (missing_before[name], missing_now[name])
        if isinstance(layout, NumberLayout):
            yield _numbers(name, layout, before, now, missing)
        else:
            yield _categories(name, layout, before, now, missing)


def _numbers(name: str, layout: NumberLayout, before: Counts, now: Counts, missing: tuple[int, int]) -> Comparison:
    bins = layout.binned(before), layout.binned(now)
    sizes = int(bins[0].sum()), int(bins[1].sum())
    found = _distances(*_with_missing(*bins, missing), missing)
    p_values = [] if found["missing_p_value"] is None else [found["missing_p_value"]]
    if all(sizes):
        found |= _ordered(layout, before, now, sizes)
        p_values += [found[name] for name in ("ks_p_value", "rank_sum_p_value", "mood_p_value")]
    return Comparison(
        name=name,
        kind="number",
        p_value=min([1.0, *(len(p_values) * p for p in p_values)]),
        note=_note_on_numbers(layout, before, now),
        **found,
    )


def _ordered(layout: NumberLayout, before: Counts, now: Counts, sizes: tuple[int, int]) -> dict[str, Any]:
    """What only numbers have; neither side is without values."""
    ranks = Ranks(before, now)
    distance, location, scale = ranks.ks, ranks.rank_sum(), ranks.mood()
    return {
        "ks": distance,
        "ks_p_value": ks_p_value(distance, *sizes),
        "rank_sum": location.effect,
        "rank_sum_p_value": location.p_value,
        "mood": scale.effect,
        "mood_p_value": scale.p_value,
        "wasserstein": ranks.wasserstein(layout.breaks, layout.fences),
    }


def _categories(
    name: str, layout: CategoryLayout | EmptyLayout, before: Counts, now: Counts, missing: tuple[int, int]
) -> Comparison:
    if isinstance(layout, CategoryLayout):
        before, missing_before = layout.comparable(before, missing[0])
        missing = missing_before, missing[1]
    levels = _with_missing(before, now, missing)
    complete = isinstance(layout, CategoryLayout) and layout.complete
    others = now.size - 1 if isinstance(layout, CategoryLayout) else None
    return Comparison(
        name=name,
        kind="category",
        p_value=chi_squared_p_value(*levels, others=others, cautious=True),
        note=_note_on_categories(layout),
        chi_squared=chi_squared(*levels),
        chi_squared_p_value=chi_squared_p_value(*levels, others=others),
        unseen=int(now[-1]) / int(levels[1].sum()) if complete else 0.0,
        **_distances(*levels, missing),
    )


def _distances(before: Counts, now: Counts, missing: tuple[int, int]) -> dict[str, Any]:
    """What every column has. The last cell of either side is that of missing values."""
    rows = int(before.sum()), int(now.sum())
    present = np.array([rows[0] - missing[0], missing[0]]), np.array([rows[1] - missing[1], missing[1]])
    return {
        "psi": psi(before, now),
        "psi_floor": psi_floor(before, now),
        "js": jensen_shannon(before, now),
        "js_floor": jensen_shannon_floor(before, now),
        "hellinger": hellinger(before, now),
        "total_variation": total_variation(before, now),
        "missing_reference": missing[0] / rows[0],
        "missing_current": missing[1] / rows[1],
        "missing_p_value": chi_squared_p_value(*present) if any(missing) else None,
    }


def _note_on_numbers(layout: NumberLayout, before: Counts, now: Counts) -> str | None:
    notes = ["constant in the reference"] if layout.values == 1 else []
    for cells, where in ((before, "of the reference"), (now, "now")):
        infinite = int(cells[0] + cells[-1])
        if infinite:
            notes.append(f"infinite in {percent(infinite / int(cells.sum()))} of values {where}")
    return ", ".join(notes) or None


def _note_on_categories(layout: CategoryLayout | EmptyLayout) -> str | None:
    if isinstance(layout, EmptyLayout):
        return "missing in every row of the reference"
    if not layout.complete:
        return f"has more than {len(layout.levels):,} categories; the rarer ones are counted together"
    return "constant in the reference" if len(layout.levels) == 1 else None


def _known(p_value: float | None) -> float:
    return 1.0 if p_value is None else p_value


def _with_missing(before: Counts, now: Counts, missing: tuple[int, int]) -> tuple[Counts, Counts]:
    return np.append(before, missing[0]), np.append(now, missing[1])
