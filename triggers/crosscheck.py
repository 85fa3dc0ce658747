"""Whether an estimate of unseen performance can be believed: estimates of spans whose labels have come, against them.

An estimate holds as long as the model's scores, or its errors, go on meaning what they meant. That
cannot be seen without labels, so it is checked on the newest rows that have some.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from triggers.confidence import Estimate
from triggers.wording import count, figure

SPANS = 4  # of the newer half of the labelled rows, estimated from the older half
SHORTEST_SPAN = 50  # rows
_LIKELY, _CERTAIN = 0.95, 0.999


class TooFewRows(ValueError):
    """There is not enough to learn from; the message says what there is."""


@dataclass(frozen=True)
class Check:
    """One span whose labels are known: what was estimated (with its 95 % interval), and what it really was."""

    rows: int
    estimate: Estimate
    realised: float
    far_off: bool  # outside the 99.9 % interval, too

    @property
    def inside(self) -> bool:
        return self.estimate.low <= self.realised <= self.estimate.high

    def figures(self) -> dict[str, float]:
        told = self.estimate
        return {
            "rows": self.rows,
            "value": told.value,
            "low": told.low,
            "high": told.high,
            "realised": self.realised,
        }


def check(rows: int, realised: float | None, estimate: Callable[[float], Estimate | None]) -> Check | None:
    """Holds `realised` against what `estimate` gives at a confidence; None where either is undefined."""
    near, wide = estimate(_LIKELY), estimate(_CERTAIN)
    if realised is None or near is None or wide is None:
        return None
    return Check(rows, near, realised, far_off=not wide.low <= realised <= wide.high)


def halves(rows: int) -> tuple[slice, list[slice]]:
    """The older half of labelled rows in the order of time, and the spans of the newer half."""
    half, spans = rows // 2, min(SPANS, (rows - rows // 2) // SHORTEST_SPAN)
    ends = [half + (rows - half) * step // max(spans, 1) for step in range(spans + 1)]
    return slice(0, half), [slice(start, end) for start, end in pairwise(ends)]


def distrust(checks: Sequence[Check]) -> str | None:
    """Why estimates cannot be trusted; None: they can.

    Of right estimates one span in twenty lies outside its interval, so one alone is no reason unless
    it is far off; of five spans two do so by chance in 2 % of cases.
    """
    if not checks:
        return "there are too few labelled rows to check it against"
    outside = [each for each in checks if not each.inside]
    if len(outside) < 2 and not any(each.far_off for each in checks):
        return None
    last = outside[-1]
    return (
        f"in {len(outside)} of {count(len(checks), 'span')} with labels the realised figure lay outside the estimate's "
        f"95 % interval (in the last of them {figure(last.realised)}, not {figure(last.estimate.low)} to "
        f"{figure(last.estimate.high)})"
    )
