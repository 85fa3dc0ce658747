"""The parts that can be measured by themselves."""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.figure import Figure
from benchmarks.soundness import drift, estimates, incidents, performance, sequential
from benchmarks.soundness.running import Run

PARTS: dict[str, Callable[[Run], Iterator[Figure]]] = {
    **{kind: partial(drift.without_drift, kind) for kind in drift.SHARES},
    "days": partial(drift.uneven_days, 0.0, {}),
    "weekends": partial(drift.uneven_days, 0.3, {}),
    "season": partial(drift.uneven_days, 0.3, {"season": "week"}),
    "power": drift.power,
    "wild": drift.wild,
    "sequential": sequential.run_lengths,
    "incidents": incidents.incidents,
    "bar": performance.at_the_bar,
    "drop": performance.drops,
    "late": performance.late_labels,
    "tails": performance.tails,
    "auc": estimates.ranking,
    "metrics": estimates.class_metrics,
    "losses": estimates.losses,
}
