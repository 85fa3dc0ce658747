"""What the year brought, after it is over: the retrainings with their reasons, and figures before and after each.

Two sources: the audit log's events, and the serving application's table. A version is judged on the
flights that it predicted itself; beside it stands what the first model, had it never been replaced,
would have made of the same flights.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.demo.audit import Event
from daemon.demo.predictions import TABLE
from daemon.demo.story import requested_by
from triggers.metrics import metric_value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Retraining:
    """One job, as the audit log tells of it. None: not (yet) so."""

    number: int
    requested_at: datetime
    by: str
    reason: str
    outcome: str | None = None
    version: str | None = None
    deployed_at: datetime | None = None


@dataclass(frozen=True)
class Figures:
    """How good the predictions of so many flights turned out; `log_loss` is in nats, the others are shares."""

    flights: int
    log_loss: float
    accuracy: float
    roc_auc: float


@dataclass(frozen=True)
class Comparison:
    """What was served, and what the first model would have said, on the same flights.

    `first` is None where there was no first model yet.
    """

    served: Figures
    first: Figures | None


def retrainings(events: Sequence[Event]) -> list[Retraining]:
    """Every job in the order of its request."""
    found: dict[str, Retraining] = {}
    for event in events:
        if not event.job:
            continue
        if event.event == "job.requested":
            found[event.job] = Retraining(
                len(found) + 1, event.time, requested_by(event), str(event.data.get("reason", ""))
            )
        elif event.job in found:
            found[event.job] = _with(found[event.job], event)
    return list(found.values())


def _with(job: Retraining, event: Event) -> Retraining:
    if event.event == "job.closed":
        return replace(job, outcome=str(event.data["outcome"]))
    if event.event == "model.deployed":
        return replace(job, version=str(event.data["version"]), deployed_at=event.time)
    return job


def live_figures(store: Path, since: datetime) -> dict[str, Comparison]:
    """How each version did on the flights that it predicted from the real instant `since` on, by version.

    A version that predicted no flight with a known outcome is not there.
    """
    rows = _labelled(store, since)
    return {version: _compare(rows, rows.version == version) for version in dict.fromkeys(rows.version.tolist())}


def payoff(store: Path, since: datetime) -> Comparison | None:
    """What was served from the real instant `since` on, against the first model; None when there was no such flight."""
    rows = _labelled(store, since)
    return _compare(rows, rows.version != "") if len(rows.late) else None


@dataclass(frozen=True)
class _Rows:
    """Labelled rows of the table, column by column."""

    version: "NDArray[np.object_]"
    score: "NDArray[np.float64]"
    first_score: "NDArray[np.float64]"  # NaN: no first model yet
    late: "NDArray[np.int64]"


def _labelled(store: Path, since: datetime) -> _Rows:
    import numpy as np

    query = f"SELECT version, score, first_score, actual FROM {TABLE} WHERE actual IS NOT NULL AND timestamp >= ?"  # noqa: S608  # a constant
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute(query, (since.timestamp(),)).fetchall()
    version, score, first_score, late = zip(*rows, strict=True) if rows else ((), (), (), ())
    return _Rows(
        np.array(version, dtype=object), np.array(score, float), np.array(first_score, float), np.array(late, int)
    )


def _compare(rows: _Rows, mine: "NDArray[np.bool_]") -> Comparison:
    import numpy as np

    first = rows.first_score[mine]
    late = rows.late[mine]
    return Comparison(figures(rows.score[mine], late), None if np.isnan(first).any() else figures(first, late))


def figures(scores: "NDArray[np.float64]", late: "NDArray[np.int64]") -> Figures:
    """The figures of at least one flight. NaN: undefined, as where all or none were late."""
    values = {
        name: metric_value(name, late, prediction=(scores > 0.5).astype(int), score=scores)
        for name in ("log_loss", "accuracy", "roc_auc")
    }
    known = {name: float("nan") if value is None else value for name, value in values.items()}
    return Figures(len(late), **known)
