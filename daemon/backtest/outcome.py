"""One policy replayed: what it looked at, what it retrained, and what its versions said of the rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from daemon.backtest.history import History
from daemon.backtest.performance import labelled
from daemon.backtest.policies import Policy
from daemon.backtest.replay import Replay, ledger_in, settings_for
from daemon.backtest.retraining import Retrainer, Retraining
from daemon.backtest.training import Trainer
from retraind.config.settings import Settings
from retraind.ledger import looks

_ALL = 10_000_000  # more looks than there ever are


@dataclass(frozen=True)
class Scene:
    """What all policies of a backtest share."""

    settings: Settings
    name: str  # the model's
    history: History
    since: datetime
    until: datetime
    finest: timedelta
    directory: Path
    trainer: Trainer | None


@dataclass(frozen=True)
class Outcome:
    """`looks` are the ledger's rows by trigger, oldest first; `made` begins with the first version; `history` is all
    rows, with what this policy's versions said of them."""

    policy: Policy
    left_out: tuple[str, ...]
    looks: dict[str, list[Any]]
    made: tuple[Retraining, ...]
    history: pa.Table


def replay(scene: Scene, policy: Policy, left_out: tuple[str, ...], passed: Callable[[datetime], None]) -> Outcome:
    """Replays the policy in a ledger of its own. Raises ConfigurationError where no first version can be made."""
    history, directory = scene.history, scene.directory / "policies" / policy.name
    history.anew()
    made = Retrainer(scene.name, policy.model, policy.config, history, directory / "versions", scene.trainer)
    settings = settings_for(scene.settings, scene.name, policy.model, directory)
    with ledger_in(directory, scene.since) as ledger:
        monitor = Replay(settings, scene.name, history, ledger, made)
        monitor.begin(scene.since)
        monitor.go_on(scene.until, scene.finest, passed)
        with ledger.read() as connection:
            found = {each: looks.latest(connection, scene.name, each, _ALL)[::-1] for each in policy.model.triggers}
    return Outcome(policy, left_out, found, tuple(made.made), history.table)


def rows_of(scene: Scene, table: pa.Table) -> pa.Table:
    """The labelled rows of the replay, with what `table` says was predicted."""
    scene.history.table = table
    return labelled(scene.history, scene.since, scene.until)
