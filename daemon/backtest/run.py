"""A backtest from its wishes to its report.

1. read the history once; 2. replay the policies, the configured one first; 3. replay the fixed period with as many
retrainings as that had; 4. work out the oracle from what was trained; 5. judge all by the same yardstick.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from daemon.backtest import alarms, judging
from daemon.backtest.history import History
from daemon.backtest.outcome import Outcome, Scene, replay
from daemon.backtest.performance import bar_of, yardstick
from daemon.backtest.policies import FIXED, NEVER, ORACLE, Policy, fixed, policies, replayable, told_period
from daemon.backtest.replay import STEPS, replayed_every, scratch
from daemon.backtest.report import BacktestReport
from daemon.backtest.training import Trainer
from retraind.config.settings import Model, Settings
from retraind.errors import ConfigurationError, RetraindError
from triggers.quantities import format_duration

DEFAULT_COMPARISON = (NEVER, "weekly", FIXED, ORACLE)  # with training


class Progress(Protocol):
    """Who is told how far a replay is."""

    def policy(self, name: str) -> AbstractContextManager[Callable[[datetime], None]]:
        """Entered while a policy is replayed; what it gives is told how far that is."""


@dataclass(frozen=True)
class Wishes:
    """What was asked for. None: what follows from the model and its rows."""

    since: datetime | None = None
    until: datetime | None = None
    compare: tuple[str, ...] = ()
    train: bool = False
    metric: str | None = None
    margin: float | None = None
    finest: timedelta | None = None


def backtest(settings: Settings, name: str, wishes: Wishes, progress: Progress) -> BacktestReport:
    """Raises ConfigurationError for wishes that cannot be met, StoreError for a store that does not answer,
    RetraindError where there are no rows."""
    begun = time.monotonic()
    compared = wishes.compare or (DEFAULT_COMPARISON if wishes.train else ())
    _refuse(settings.models[name], wishes, compared)
    listed = policies(settings, name, compared)
    history = read(settings.models[name], wishes, [each.model for each in listed])
    since, until = span(history, settings.models[name], wishes)
    finest = wishes.finest or (until - since) / STEPS
    with scratch() as directory:
        trainer = Trainer(history, directory / "models") if wishes.train else None
        scene = Scene(settings, name, history, since, until, finest, directory, trainer)
        outcomes = [_replayed(scene, policy, progress) for policy in listed]
        configured = outcomes[0]
        if FIXED in compared:
            policy = fixed(configured.policy, len(configured.made) - 1, until - since)
            outcomes.append(_replayed(scene, policy, progress))
        report = _judged(scene, outcomes, wishes, oracle=ORACLE in compared)
    return replace(report, seconds=time.monotonic() - begun)


def read(model: Model, wishes: Wishes, others: Sequence[Model] = ()) -> History:
    """Raises StoreError, and RetraindError where there are no rows."""
    history = History.read(model, wishes.until, others)
    if not history.times.size:
        until = f" before {wishes.until:%Y-%m-%d}" if wishes.until else ""
        raise RetraindError(f"{history.name} has no rows{until}; there is nothing to replay")
    return history


def span(history: History, model: Model, wishes: Wishes) -> tuple[datetime, datetime]:
    """From when to when is replayed. By default from when the training window is full (of an expanding one: a sixth of
    the history), and never less than half of the history, up to the last row. Raises ConfigurationError."""
    ends = history.span()
    assert ends is not None  # noqa: S101 - `read` saw to it
    first, last = ends[0], ends[1] + timedelta(microseconds=1)
    until = min(wishes.until or last, last)
    rolling = model.training.data.window.rolling
    since = wishes.since or first + min(rolling or (until - first) / 6, (until - first) / 2)
    if since > datetime.now(UTC):
        raise ConfigurationError(f"--since {since:%Y-%m-%d %H:%M} UTC is in the future; name an instant of the history")
    if not since < until:
        raise ConfigurationError(
            f"--since {since:%Y-%m-%d %H:%M} UTC leaves nothing to replay: the last row of {history.name} is of "
            f"{until:%Y-%m-%d %H:%M} UTC"
        )
    if history.row_at(since) == 0:
        raise ConfigurationError(
            f"there is no row before --since {since:%Y-%m-%d %H:%M} UTC for a first version to be made of; the first "
            f"is of {first:%Y-%m-%d %H:%M} UTC"
        )
    return since, until


def _refuse(model: Model, wishes: Wishes, compared: Sequence[str]) -> None:
    data, names = model.training.data, model.predictions.columns
    yardstick(model, wishes.metric)
    if ORACLE in compared and not wishes.train:
        raise ConfigurationError("oracle is worked out from what was trained; add --train")
    if wishes.train and data.source != "predictions":
        raise ConfigurationError(
            "--train takes training data from the predictions store alone, where it is known which row was there when; "
            "training.data.source names another source"
        )
    if wishes.train and (names.actual is None or data.target not in {"actual", names.actual}):
        raise ConfigurationError(
            f"--train predicts what comes true, and training.data.target is {data.target!r}; "
            "it takes the store's actual"
        )


def _replayed(scene: Scene, policy: Policy, progress: Progress) -> Outcome:
    model, left_out = replayable(policy.model)
    with progress.policy(policy.name) as passed:
        return replay(scene, replace(policy, model=model), tuple(left_out), passed)


def _judged(scene: Scene, outcomes: list[Outcome], wishes: Wishes, *, oracle: bool) -> BacktestReport:
    model = scene.settings.models[scene.name]
    by = yardstick(model, wishes.metric)
    scene.history.anew()
    bar, because = bar_of(model, by, scene.history, scene.since, wishes.margin)
    served = [judging.serve(scene, each, by, bar) for each in outcomes]
    if oracle:
        served.append(judging.serve_oracle(scene, outcomes, by, bar))
    return BacktestReport(
        model=scene.name,
        store=scene.history.name,
        since=scene.since,
        until=scene.until,
        rows=scene.history.row_at(scene.until) - scene.history.row_at(scene.since),
        labelled=judging.labelled_rows(scene),
        trained=scene.trainer is not None,
        metric=by.metric.name,
        bar=bar,
        bar_because=because,
        notes=list(_notes(scene, outcomes, model)),
        policies=judging.policy_reports(served),
        triggers=[each for one in served for each in alarms.trigger_reports(one, scene)],
        alarms=[each for one in served for each in one.alarms],
        losses=[each for one in served for each in one.losses],
        seconds=0.0,
    )


def _notes(scene: Scene, outcomes: list[Outcome], model: Model) -> list[str]:
    notes = [f"{each.policy.name}: {sentence}" for each in outcomes for sentence in each.left_out]
    if model.predictions.label_delay is None:
        notes.append(
            "nothing says when labels came (predictions.label_delay), so each is taken to be known with its row: "
            "triggers and trainings may see labels too early"
        )
    rarely = replayed_every(outcomes[0].policy.model, scene.finest)
    if rarely:
        paces = ", ".join(
            f"{name} (every {format_duration(outcomes[0].policy.model.triggers[name].cadence())})" for name in rarely
        )
        notes.append(f"looked at every {told_period(scene.finest)} instead of by their own pace: {paces}; see --finest")
    if scene.trainer is None:
        notes.append(
            "nothing was trained: performance is that of the recorded predictions, and a retraining changes what "
            "triggers compare with, not what was predicted; --train trains"
        )
    if model.policy.approval == "manual":
        notes.append("every approval is taken to be given at once")
    return notes
