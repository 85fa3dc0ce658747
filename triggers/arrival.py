"""Labels that arrive late or selectively: which rows can be judged, and what each labelled row stands for.

Labels are often not a fair sample: a complaint comes the next day, silence counts as success after
a month; dubious cases are reviewed first. Against the first, the newest parts of a window are left
out while they seem to have fewer labels than older rows had, and labels still to come in the others
are taken to be in the model's favour; where even those older rows have, beyond doubt, fewer than
still older ones, labels take longer than the window, and nothing of it can be judged. Against the
second, each labelled row is weighted by the inverse of the share of rows like it (of its predicted
class, or of near scores) that have a label (Horvitz and Thompson 1952).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from triggers.confidence import Estimate
from triggers.evidence import Arrival, Counts, Window
from triggers.metrics import Metric, Tally, join

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PARTS = 7
_NONE = Counts(0, 0)
_TOLERANCE = 0.05  # so much smaller a share of labels than usual is no reason to leave rows out
# In standard deviations. Of the newest parts one that is left out by chance costs little; the whole window much.
_DOUBT_OF_A_PART, _DOUBT = 1, 2
_FEWEST_BEFORE = 100
_SCORE_CELLS = 50
_LABELS_A_CELL = 20


@dataclass(frozen=True)
class Arrived:
    """The labelled rows to judge, and what is missing beside them."""

    labels: "Tally | pa.Table"
    rows: int  # with a label
    coming: float = 0.0  # labels that older rows lead to expect, and that are not there
    left_out: Counts = _NONE  # newer rows whose labels are still coming
    usual: float | None = None  # the share of older rows that have a label; None: there are none
    weights: "Mapping[str, float] | NDArray[np.float64] | None" = None
    weighted_by: str | None = None


def arrived_sums(arrivals: Sequence[Arrival], before: Counts, long_before: Counts = _NONE) -> Arrived:
    """From a window's parts, and the counts of as much time before it, and before that."""
    parts = [Counts(each.tally.rows + sum(each.unlabelled.values()), each.tally.rows) for each in arrivals]
    kept = settled(parts, before, long_before)
    tally = join(each.tally for each in arrivals[:kept])
    unlabelled: Counter[str] = Counter()
    for each in arrivals[:kept]:
        unlabelled.update(each.unlabelled)
    weights = _of_classes(tally, unlabelled) if tally.classes and unlabelled else None
    by = None if weights is None else "predicted class"
    return _arrived(tally, parts, kept, before, weights, by)


def arrived_rows(
    table: "pa.Table", window: Window, score: str | None, before: Counts, long_before: Counts = _NONE
) -> Arrived:
    """From the window's rows, with and without labels, with their `timestamp` and `actual`; `score` names the column to
    weigh by. Raises ValueError for a score that is no number."""
    import numpy as np
    import pyarrow.compute as pc

    from triggers.columns import chosen, numbers

    start, end = window.start, window.end
    assert start is not None  # noqa: S101 a window of a length has both ends
    assert end is not None  # noqa: S101
    since = numbers(table.column("timestamp")) - start.timestamp() * 1e6
    place = np.clip(since / max((end - start).total_seconds() * 1e6, 1) * PARTS, 0, PARTS - 1).astype(int)
    known = np.array(pc.is_valid(table.column("actual")).to_pylist(), dtype=bool)
    totals, labelled = np.bincount(place, minlength=PARTS), np.bincount(place[known], minlength=PARTS)
    parts = [Counts(int(rows), int(with_label)) for rows, with_label in zip(totals, labelled, strict=True)]
    kept = settled(parts, before, long_before)
    among = place < kept
    judged = chosen(table, known & among)
    weights = None
    if score is not None and (among & ~known).any():
        weights = _of_scores(_scores(judged, score), _scores(chosen(table, among), score))
    return _arrived(judged, parts, kept, before, weights, None if weights is None else "score")


def settled(parts: Sequence[Counts], before: Counts, long_before: Counts = _NONE) -> int:
    """How many of the parts, from the oldest on, have the labels that older rows lead to expect; the newer ones after
    them are still waiting. 0: even the oldest is, or some are and so are the rows before the window."""
    kept = 0
    for place in range(len(parts), 0, -1):
        part, older = parts[place - 1], _sum([before, *parts[: place - 1]])
        if part.rows and not _lags(part, older, _DOUBT_OF_A_PART):
            kept = place
            break
    waits = any(part.rows for part in parts[kept:])
    return 0 if waits and before.rows and _lags(before, long_before, _DOUBT) else kept


def in_favour(estimate: Estimate, rows: int, coming: float, metric: Metric) -> Estimate:
    """The interval if labels still to come are all as good as the metric can be (Manski 1990)."""
    share = rows / (rows + coming)
    if metric.higher_is_better:
        return Estimate(estimate.value, estimate.low, max(estimate.high * share + metric.highest * (1 - share), 0))
    return Estimate(estimate.value, estimate.low * share + metric.lowest * (1 - share), estimate.high)


def _arrived(
    labels: "Tally | pa.Table", parts: Sequence[Counts], kept: int, before: Counts, weights: Any, by: str | None
) -> Arrived:
    among = _sum(parts[:kept])
    older = before if before.rows >= _FEWEST_BEFORE else _sum([before, *parts[:1]])
    usual = older.labelled / older.rows if older.rows else None
    coming = 0.0
    if usual is not None and before.rows >= _FEWEST_BEFORE:
        noise = usual * (1 - usual) * among.rows * (1 + among.rows / before.rows)
        coming = max(usual * among.rows - among.labelled - sqrt(noise), 0.0)
    return Arrived(labels, among.labelled, coming, _sum(parts[kept:]), usual, weights, by)


def _lags(part: Counts, older: Counts, doubt: float) -> bool:
    if not older.rows:
        return False
    least = (1 - _TOLERANCE) * older.labelled / older.rows
    noise = least * (1 - least) * (1 / part.rows + 1 / older.rows)
    return part.labelled / part.rows < least - doubt * sqrt(noise)


def _sum(counts: Sequence[Counts]) -> Counts:
    return Counts(sum(each.rows for each in counts), sum(each.labelled for each in counts))


def _of_classes(tally: Tally, unlabelled: Mapping[str, int]) -> dict[str, float]:
    """How many rows of its predicted class each labelled row stands for."""
    labelled: Counter[str] = Counter()
    for (prediction, _), rows in tally.classes.items():
        labelled[prediction] += rows
    return {label: 1 + unlabelled.get(label, 0) / rows for label, rows in labelled.items()}


def _of_scores(labelled: "NDArray[np.float64]", everything: "NDArray[np.float64]") -> "NDArray[np.float64] | None":
    """How many rows of near scores each labelled row with a score stands for; None: too few to tell."""
    import numpy as np

    there = labelled[~np.isnan(labelled)]
    cells = min(_SCORE_CELLS, there.size // _LABELS_A_CELL)
    if cells < 1:
        return None
    edges = np.unique(np.quantile(there, np.linspace(0, 1, cells + 1)[1:-1]))
    judged, every = (np.searchsorted(edges, each[~np.isnan(each)], "left") for each in (labelled, everything))
    with_label = np.bincount(judged, minlength=edges.size + 1)
    stands_for: NDArray[np.float64] = np.bincount(every, minlength=edges.size + 1) / np.maximum(with_label, 1)
    return stands_for[judged]


def _scores(table: "pa.Table", column: str) -> "NDArray[np.float64]":
    from triggers.columns import numbers

    try:
        return numbers(table.column(column))
    except ValueError as error:
        raise ValueError(f"column {column} {error}") from error
