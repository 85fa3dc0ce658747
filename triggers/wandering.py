"""How far a bucket's means stray from the reference by themselves: natural variation for a detector without windows.

Called by `triggers.sequential`. Days differ without any drift, and a sequence of bets takes a day that
strays by more than its margin for evidence, however often such days come. So the margin grows by what a
bucket is expected to stray at most: `triggers.natural`'s prediction bound, without sampling noise, which
the bets allow for themselves. A bucket strays further with a chance of at most the level given, of all
figures together; that level and what the bets themselves may alarm share the budget.
"""

from collections.abc import Mapping
from datetime import timedelta

from triggers.comparison import TestName
from triggers.natural import InBlocks, natures

_SPREAD_OF_A_SHIFT = 12  # a shift moves the mean squared rank by its square times that at most


def strays(blocks: InBlocks, bucket: timedelta, level: float) -> Mapping[tuple[str, TestName], float]:
    """By column and test, in the unit of the test's distance, of a reference in blocks. Empty: it has fewer than four
    buckets of rows."""
    known = natures(blocks, [bucket])
    part = level / max(len(known), 1)
    found = {key: nature.bar(part, 0.0) for key, nature in known.items()}
    for name, test in known:
        if test == "mood":
            found[name, test] += _SPREAD_OF_A_SHIFT * found.get((name, "rank_sum"), 0.0) ** 2
    return found
