"""The best that could have been done in hindsight with so many retrainings.

Out of all versions that were trained for the policies compared (each at its instant, on the rows that were
there): the first one, and then those, and at those instants, that make the sum of the rows' costs smallest.
Found exactly, by dynamic programming over the instants; no policy that deploys these versions when
they were trained can do better with as many retrainings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Version:
    """One that could serve: from row `start` on, where each row would cost so much."""

    start: int
    costs: NDArray[np.float64]  # of the rows from `start` on


def best(first: Version, others: Sequence[Version], retrainings: int) -> list[Version]:
    """The versions to serve, the first one and at most so many others, in the order of their rows."""
    candidates = [first, *sorted((each for each in others if each.start > first.start), key=lambda each: each.start)]
    number, end = len(candidates), first.start + first.costs.size
    sums = [np.concatenate([[0.0], np.cumsum(each.costs)]) for each in candidates]

    def cost(index: int, until: int) -> float:
        """Of the version from its first row until that one."""
        return float(sums[index][until - candidates[index].start])

    starts = [each.start for each in candidates]
    reached = np.full((retrainings + 1, number), np.inf)  # the cost of all rows before a version begins
    before = np.zeros((retrainings + 1, number), dtype=int)
    reached[0, 0] = 0.0
    for used in range(1, retrainings + 1):
        for to in range(1, number):
            found = [reached[used - 1, origin] + cost(origin, starts[to]) for origin in range(to)]
            before[used, to] = int(np.argmin(found))
            reached[used, to] = found[before[used, to]]
    totals = [[reached[used, last] + cost(last, end) for last in range(number)] for used in range(retrainings + 1)]
    used, last = (int(each) for each in np.unravel_index(int(np.argmin(totals)), np.shape(totals)))
    chosen = [last]
    while used:
        chosen.append(int(before[used, chosen[-1]]))
        used -= 1
    return [candidates[index] for index in reversed(chosen)]
