"""How far each column of the current data is from the reference, and how surely.

Called by the drift trigger. Numbers are compared by Kolmogorov-Smirnov and the population stability
index, categories by chi-squared and Jensen-Shannon. A missing value is a level of its own: in the
indices as a cell, in the tests of numbers as a second test (so each of the two counts double).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from triggers.profile import CategoryLayout, EmptyLayout, NumberLayout, ReferenceProfile, WindowProfile
from triggers.statistics import (
    Counts,
    chi_squared_p_value,
    jensen_shannon,
    jensen_shannon_floor,
    ks_distance,
    ks_p_value,
    psi,
    psi_floor,
)


@dataclass(frozen=True)
class Sizes:
    """The effect sizes that a column must reach to have drifted."""

    ks: float
    psi: float
    js: float


@dataclass(frozen=True)
class Comparison:
    """One column. Shares are of all rows; an effect that does not apply to the column's kind is None.

    The floors are what the index shows without any drift, for the number of rows there is; only
    what exceeds them counts.
    """

    name: str
    kind: Literal["number", "category"]
    p_value: float
    ks: float | None
    psi: float | None
    psi_floor: float
    js: float | None
    js_floor: float
    missing_reference: float
    missing_current: float
    unseen: float  # the share of current rows with a category that the reference does not have
    note: str | None  # what is odd about the reference's column; None: nothing

    def large(self, sizes: Sizes) -> bool:
        """Whether the effect is of the size asked for: by either measure, beyond its floor."""
        if self.ks is not None and self.ks >= sizes.ks:
            return True
        if self.psi is not None and self.psi - self.psi_floor >= sizes.psi:
            return True
        return self.js is not None and self.js**2 - self.js_floor**2 >= sizes.js**2

    @property
    def strength(self) -> float:
        """How far apart the two sides are, 0 to 1: for saying which column is worst, not for deciding."""
        return max(self.ks or 0.0, self.js or 0.0, abs(self.missing_current - self.missing_reference))

    def figures(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {key: value for key, value in vars(self).items() if key != "name"}


def compare(reference: ReferenceProfile, current: WindowProfile) -> Iterator[Comparison]:
    """Each column's comparison, in the reference's order. Neither side is without rows."""
    for name, layout in reference.layouts.items():
        before, now = reference.counts.cells[name], current.cells[name]
        missing = (reference.counts.missing[name], current.missing[name])
        if isinstance(layout, NumberLayout):
            yield _numbers(name, layout, before, now, missing)
        else:
            yield _categories(name, layout, before, now, missing)


def _numbers(name: str, layout: NumberLayout, before: Counts, now: Counts, missing: tuple[int, int]) -> Comparison:
    sizes = int(before.sum()), int(now.sum())
    distance, p_values = None, []
    if sizes[0] and sizes[1]:
        distance = ks_distance(before, now)
        p_values.append(ks_p_value(distance, *sizes))
    if any(missing):
        p_values.append(chi_squared_p_value(np.array([sizes[0], missing[0]]), np.array([sizes[1], missing[1]])))
    bins = _with_missing(layout.binned(before), layout.binned(now), missing)
    return Comparison(
        name=name,
        kind="number",
        p_value=min(1.0, len(p_values) * min(p_values)),
        ks=distance,
        psi=psi(*bins),
        psi_floor=psi_floor(*bins),
        js=None,
        js_floor=0.0,
        missing_reference=missing[0] / (missing[0] + sizes[0]),
        missing_current=missing[1] / (missing[1] + sizes[1]),
        unseen=0.0,
        note="constant in the reference" if layout.breaks.size == 1 else None,
    )


def _categories(
    name: str, layout: CategoryLayout | EmptyLayout, before: Counts, now: Counts, missing: tuple[int, int]
) -> Comparison:
    levels = _with_missing(before, now, missing)
    rows = int(levels[1].sum())
    complete = isinstance(layout, CategoryLayout) and layout.complete
    note = None
    if isinstance(layout, EmptyLayout):
        note = "missing in every row of the reference"
    elif len(layout.levels) == 1 and layout.complete:
        note = "constant in the reference"
    elif not layout.complete:
        note = f"has more than {len(layout.levels):,} categories; the rarer ones are counted together"
    return Comparison(
        name=name,
        kind="category",
        p_value=chi_squared_p_value(*levels),
        ks=None,
        psi=None,
        psi_floor=0.0,
        js=jensen_shannon(*levels),
        js_floor=jensen_shannon_floor(*levels),
        missing_reference=missing[0] / int(levels[0].sum()),
        missing_current=missing[1] / rows,
        unseen=int(now[-1]) / rows if complete else 0.0,
        note=note,
    )


def _with_missing(before: Counts, now: Counts, missing: tuple[int, int]) -> tuple[Counts, Counts]:
    return np.append(before, missing[0]), np.append(now, missing[1])
