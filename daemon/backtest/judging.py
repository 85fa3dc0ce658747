"""Policies side by side: the same rows, the same metric, each with what its own versions said."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daemon.backtest import oracle
from daemon.backtest.alarms import alarm_reports, loss_reports
from daemon.backtest.history import Predicted
from daemon.backtest.outcome import Outcome, Scene, rows_of
from daemon.backtest.performance import CONFIDENCE, Period, Yardstick, costs, labelled, losses, periods
from daemon.backtest.policies import NEVER, ORACLE
from daemon.backtest.report import AlarmReport, LossReport, PeriodReport, PolicyReport, RehearsedJobReport
from daemon.backtest.retraining import Retraining
from daemon.backtest.training import Challenger
from triggers.confidence import Estimate

_WEEKLY = "weekly"


@dataclass(frozen=True)
class Served:
    """A policy's versions as they served. `outcome` is None for the oracle, which looks at nothing."""

    name: str
    outcome: Outcome | None
    made: Sequence[Retraining]
    estimate: Estimate | None
    periods: list[Period]
    alarms: list[AlarmReport]
    losses: list[LossReport]


def serve(scene: Scene, outcome: Outcome, by: Yardstick, bar: float) -> Served:
    """Judges one policy."""
    estimate = by.judge(rows_of(scene, outcome.history), CONFIDENCE)
    found = periods(scene.history, by, scene.since, scene.until)
    lost = losses(found, by, bar)
    told = alarm_reports(outcome, lost, scene)
    return Served(outcome.policy.name, outcome, outcome.made, estimate, found, told, loss_reports(outcome, lost, scene))


def serve_oracle(scene: Scene, outcomes: Sequence[Outcome], by: Yardstick, bar: float) -> Served:
    """The best of what was trained, with as many retrainings as the configured policy had."""
    configured = outcomes[0]
    made = {each.challenger.start: each for one in outcomes for each in one.made if each.challenger is not None}
    usable = [each for each in made.values() if each.challenger is not None and each.challenger.prediction is not None]
    versions = {each.at: oracle.Version(_start(each), _costs(scene, by, each)) for each in usable}
    first, *others = sorted(versions)
    chosen = oracle.best(versions[first], [versions[each] for each in others], len(configured.made) - 1)
    by_start = {_start(each): each for each in usable}
    jobs = [by_start[each.start] for each in chosen]
    scene.history.anew()
    for number, each in enumerate(jobs):
        assert each.challenger is not None  # noqa: S101 - only those are usable
        scene.history.deploy(_said(str(number), each.challenger))
    estimate = by.judge(labelled(scene.history, scene.since, scene.until), CONFIDENCE)
    found = periods(scene.history, by, scene.since, scene.until)
    lost = [LossReport(ORACLE, each.start, each.end, each.worst, [], missed=False) for each in losses(found, by, bar)]
    return Served(ORACLE, None, [replace(each, fired=()) for each in jobs], estimate, found, [], lost)


def _said(version: str, found: Challenger) -> Predicted:
    return Predicted(version, found.start, found.prediction, found.score)


def _start(made: Retraining) -> int:
    assert made.challenger is not None  # noqa: S101 - the callers saw to it
    return made.challenger.start


def _costs(scene: Scene, by: Yardstick, made: Retraining) -> NDArray[np.float64]:
    """Of each row from the version's first one on, up to the end of the replay; 0 where there is no label."""
    found = made.challenger
    assert found is not None  # noqa: S101 - as above
    stop = scene.history.row_at(scene.until)
    rows = {"actual": scene.history.table["actual"].slice(found.start, stop - found.start)}
    for name, values in (("prediction", found.prediction), ("score", found.score)):
        if values is not None:
            rows[name] = pa.chunked_array([values.slice(0, stop - found.start)])
    table = pa.table(rows)
    known = np.flatnonzero(np.array(table["actual"].is_valid().to_pylist(), dtype=bool))
    each_row = np.zeros(table.num_rows)
    each_row[known] = costs(by, table.take(pa.array(known)))[0]
    return each_row


def policy_reports(served: Sequence[Served]) -> list[PolicyReport]:
    """One for each, in the order given."""
    figures = {each.name: each.estimate for each in served}
    return [_report(each, figures) for each in served]


def _report(served: Served, figures: dict[str, Estimate | None]) -> PolicyReport:
    estimate, jobs = served.estimate, list(served.made)[1:]
    return PolicyReport(
        name=served.name,
        retrainings=len(jobs),
        deployed=sum(each.outcome == "deployed" for each in jobs),
        seconds=sum(each.seconds for each in jobs),
        value=estimate.value if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        gain=_gain(estimate, figures.get(NEVER), figures.get(_WEEKLY)),
        jobs=[
            RehearsedJobReport(each.at, each.triggers, each.outcome, each.because, each.rows, each.seconds)
            for each in jobs
        ],
        periods=[PeriodReport(**vars(each)) for each in served.periods],
    )


def _gain(mine: Estimate | None, never: Estimate | None, weekly: Estimate | None) -> float | None:
    """What it gained over never, as a share of what weekly did; None: one of them is not known, or they are alike."""
    if mine is None or never is None or weekly is None or never.value == weekly.value:
        return None
    return (never.value - mine.value) / (never.value - weekly.value)


def labelled_rows(scene: Scene) -> int:
    """How many rows of the replay ever got a label."""
    return int(labelled(scene.history, scene.since, scene.until).num_rows)
