"""What people and accidents do that makes a world pass the points which it seldom passes by itself.

Done while a fault is armed at such a point: whether it strikes is then no matter of luck. Nothing here is a fault of
its own, and the world must come to rest after it as after everything.
"""

import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from random import Random

import project
from sqlalchemy.exc import DBAPIError
from world import World

from retraind.identity import name_of
from retraind.ledger import leases

# Each act, and how the names of the points begin that it leads to.
REJECT, APPROVE, ROLLBACK, TRIGGER = "reject", "approve", "rollback", "trigger"  # commands of people
COMMAND_TARGET, DIRECTORY_TARGET = "command target", "directory target"  # deployments there
QUEUE = "queue"  # files for a model whose firings wait while it has a job
RELOAD, RELABEL, UNALIAS, FORGET = "reload", "relabel", "unalias", "forget"
LEADS_TO = {
    REJECT: ("ledger.daemon.cli.acting.reject",),
    APPROVE: ("ledger.daemon.cli.acting.approve",),
    ROLLBACK: ("ledger.daemon.cli.acting.rollback", "mlflow.delete_registered_model_alias"),
    TRIGGER: ("ledger.daemon.cli.acting._request",),
    COMMAND_TARGET: ("ledger.daemon.cli.acting.approve", "ledger.daemon.cli.acting.reject", "stage.deploy>child."),
    DIRECTORY_TARGET: ("stage.deploy>durable.link", "stage.deploy>durable.once"),
    RELOAD: ("ledger.daemon.monitor._begin", "ledger.daemon.alerting._register", "ledger.daemon.service._release"),
    RELABEL: ("durable.link", "durable.once"),
    UNALIAS: ("mlflow.set_registered_model_alias",),
    FORGET: ("child.",),
    QUEUE: ("ledger.daemon.reconciler.start_waiting",),
}
_MODELS = {
    COMMAND_TARGET: tuple(model for model in project.MODELS if model not in project.DIRECTORIES),
    DIRECTORY_TARGET: tuple(project.DIRECTORIES),
    QUEUE: ("beta",),
}


def acts_for(points: Iterable[str]) -> set[str]:
    """The acts that lead to any of the points."""
    points = list(points)
    return {act for act, starts in LEADS_TO.items() if any(point.startswith(starts) for point in points)}


def acts_left(passed: Iterable[str]) -> set[str]:
    """The acts that lead to something of which no point was passed yet."""
    passed = list(passed)
    return {
        act
        for act, starts in LEADS_TO.items()
        if not all(any(point.startswith(start) for point in passed) for start in starts)
    }


def models_for(acts: Iterable[str]) -> tuple[str, ...]:
    """The models of which a new version leads there; all of them where none does so more than another."""
    return tuple(model for act in sorted(acts) for model in _MODELS.get(act, ())) or project.MODELS


def reload_leader(world: World, random: Random) -> None:
    """As after a change of the configuration: the leader gives the lead back, and whoever is first takes it."""
    with suppress(DBAPIError), world.engine.connect() as connection:
        found = leases.holder(connection, leases.LEADER)
        if found is None or found.owner is None:
            return
        pid = int(name_of(found.owner).rpartition(":")[2])
        if any(process.pid == pid for process in world.of_role("daemon")):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)


def relabel(world: World, random: Random) -> None:
    """Somebody edits the label of what is deployed: the target shows another version than it should, loadable all the
    same, and what stands there may be kept no longer."""
    root = world.folder / project.DIRECTORIES[random.choice(sorted(project.DIRECTORIES))]
    draft = root / "label.draft"
    try:
        place = (root / "current").resolve(strict=True) / "VERSION.json"
        label = json.loads(place.read_text())
        draft.write_text(json.dumps({**label, "version": "0"}))
        draft.replace(place)
    except (OSError, ValueError):  # nothing is deployed yet, or the disk is full
        draft.unlink(missing_ok=True)


def unalias(world: World, random: Random) -> None:
    """Somebody deletes the alias of the versions before the champions."""
    database = world.folder / "state" / "mlflow.db"
    with suppress(sqlite3.OperationalError):  # locked just now, or not made yet
        connection = sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=0.5)
        with closing(connection), connection:
            connection.execute("DELETE FROM registered_model_aliases WHERE alias = 'previous'")


def forget(world: World, random: Random) -> None:
    """Somebody deletes what is remembered of commands that deployed: nobody knows what those places show."""
    for record in (world.folder / "state" / "targets").glob("*/command-*.json"):
        if not record.name.endswith(".group.json"):  # that one is of a command that runs
            record.unlink(missing_ok=True)


BY_HAND: dict[str, Callable[[World, Random], None]] = {
    RELOAD: reload_leader,
    RELABEL: relabel,
    UNALIAS: unalias,
    FORGET: forget,
}
