"""The oracle is the best there is: held against every choice there could be."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.backtest.oracle import Version, best

ROWS = 12


def cost_of(versions: list[Version]) -> float:
    """Of all rows, each predicted by the version that serves then."""
    ends = [each.start for each in versions[1:]] + [ROWS]
    return sum(float(each.costs[: end - each.start].sum()) for each, end in zip(versions, ends, strict=True))


@settings(deadline=None)
@given(st.sets(st.integers(1, ROWS - 1), max_size=5), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_no_other_choice_of_as_many_retrainings_costs_less(starts: set[int], retrainings: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    versions = [Version(start, random.random(ROWS - start)) for start in [0, *sorted(starts)]]
    chosen = best(versions[0], versions[1:], retrainings)
    others = [
        [versions[0], *some]
        for number in range(min(retrainings, len(versions) - 1) + 1)
        for some in combinations(versions[1:], number)
    ]
    assert chosen[0] is versions[0]
    assert len(chosen) <= retrainings + 1
    assert cost_of(chosen) <= min(map(cost_of, others)) + 1e-9


def test_a_worse_version_is_not_deployed_though_there_are_retrainings_left() -> None:
    first, worse = Version(0, np.full(ROWS, 0.1)), Version(4, np.full(ROWS - 4, 0.9))
    assert best(first, [worse], 3) == [first]
