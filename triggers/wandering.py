"""How far a bucket's means stray from the reference by themselves: natural variation for a detector without windows.

Called by `triggers.sequential`. Days differ without any drift, and a sequence of bets takes a day that
strays by more than its margin for evidence, however often such days come. So the margin grows by what a
bucket is expected to stray at most: `triggers.natural`'s prediction bound, without sampling noise, which
the bets allow for themselves. A bucket strays further with a chance of at most the level given, of all
figures together; that level and what the bets themselves may alarm share the budget.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from triggers.blocks import Blocks
from triggers.comparison import TestName
from triggers.evidence import TIME
from triggers.natural import natures
from triggers.profile import ReferenceProfile

if TYPE_CHECKING:
    import pyarrow as pa

_SPREAD_OF_A_SHIFT = 12  # a shift moves the mean squared rank by its square times that at most


def strays(
    reference: "pa.Table", profile: ReferenceProfile, bucket: timedelta, level: float
) -> Mapping[tuple[str, TestName], float]:
    """By column and test, in the unit of the test's distance. Empty: the reference has no times, or fewer than four
    buckets of them."""
    if TIME not in reference.column_names:
        return {}
    known = natures(Blocks(reference, profile, None), [bucket])
    part = level / max(len(known), 1)
    found = {key: nature.bar(part, 0.0) for key, nature in known.items()}
    for name, test in known:
        if test == "mood":
            found[name, test] += _SPREAD_OF_A_SHIFT * found.get((name, "rank_sum"), 0.0) ** 2
    return found
