"""Faults that come from outside: signals to processes, servers that fail, disks that fill, clocks that step.

Each function strikes once and answers with what it did and, where the fault lasts, how to end it; None
where there is nothing to strike just now.
"""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import project
import psutil
import redis
from world import World

LASTS = (project.LEASE_SECONDS + 1.0, project.LEASE_SECONDS + 4.0)  # past a lease


@dataclass
class Blow:
    """A fault that was struck. `end` is None where it was over at once."""

    what: str
    end: Callable[[], None] | None = None
    seconds: float = 0.0


Outside = Callable[[World, Random], Blow | None]


def _signal(role: str, number: signal.Signals) -> Outside:
    def strike(world: World, random: Random) -> Blow | None:
        found = world.of_role(role)
        if not found:
            return None
        chosen = random.choice(found)
        try:
            chosen.send_signal(number)
        except psutil.NoSuchProcess:
            return None
        return Blow(f"{number.name} to {role} {chosen.pid}")

    return strike


def _stop(role: str) -> Outside:
    def strike(world: World, random: Random) -> Blow | None:
        found = world.of_role(role)
        if not found:
            return None
        chosen = random.choice(found)
        try:
            chosen.suspend()
        except psutil.NoSuchProcess:
            return None

        def go_on() -> None:
            try:
                chosen.resume()
            except psutil.NoSuchProcess:
                return

        return Blow(f"SIGSTOP to {role} {chosen.pid}", go_on, random.uniform(*LASTS))

    return strike


def _broker_killed(world: World, random: Random) -> Blow | None:
    if world.valkey is None:
        return _signal("broker", signal.SIGKILL)(world, random)
    if not world.valkey.runs():
        return None
    world.valkey.end(signal.SIGKILL)
    return Blow("the broker killed", world.valkey.start, random.uniform(0.5, 6.0))


def _broker_restarted_empty(world: World, random: Random) -> Blow | None:
    if world.valkey is None or not world.valkey.runs():
        return None
    world.valkey.restart(empty=True)
    return Blow("the broker restarted empty")


def _broker_hangs(world: World, random: Random) -> Blow | None:
    if world.valkey is None:
        return _stop("broker")(world, random)
    world.valkey.signal(signal.SIGSTOP)
    server = world.valkey
    return Blow("the broker hangs", lambda: server.signal(signal.SIGCONT), random.uniform(1.0, 8.0))


def _with_messages(what: str, act: Callable[[Any, Random], None]) -> Outside:
    def strike(world: World, random: Random) -> Blow | None:
        try:
            with world.broker() as client:
                act(client, random)
        except (redis.RedisError, OSError):
            return None
        return Blow(what)

    return strike


QUEUE = "retraind"


def _flush(client: Any, random: Random) -> None:
    client.flushall()


def _double(client: Any, random: Random) -> None:
    for message in client.lrange(QUEUE, 0, -1):
        client.lpush(QUEUE, message)


def _reorder(client: Any, random: Random) -> None:
    messages = client.lrange(QUEUE, 0, -1)
    client.delete(QUEUE)
    for message in reversed(messages):
        client.lpush(QUEUE, message)


def _forge(client: Any, random: Random) -> None:
    names = ["ingest", "train", "register", "deploy", "converge", "no_such_task"]
    arguments = ["261121-000000-ffffff", "../../etc", 7, None, {"job": 1}, "x" * 10_000, "alpha"]
    for number in range(20):
        body = json.dumps(
            [[random.choice(arguments)], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        )
        import base64

        message = {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": f"retraind.{random.choice(names)}",
                "id": f"forged-{number}",
                "argsrepr": "",
                "kwargsrepr": "{}",
            },
            "properties": {
                "correlation_id": f"forged-{number}",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": f"forged-{number}-{time.monotonic_ns()}",
            },
        }
        client.lpush(QUEUE, json.dumps(message))
    client.lpush(QUEUE, b"{no json at all")


def _delay(world: World, random: Random) -> Blow | None:
    try:
        with world.broker() as client:
            taken = client.lrange(QUEUE, 0, -1)
            client.delete(QUEUE)
    except (redis.RedisError, OSError):
        return None

    def give_back() -> None:
        try:
            with world.broker() as client:
                for message in taken:
                    client.lpush(QUEUE, message)
        except (redis.RedisError, OSError):
            return

    return Blow(f"{len(taken)} messages delayed", give_back, random.uniform(1.0, 5.0))


def _connections_cut(world: World, random: Random) -> Blow | None:
    if world.postgres is None or not world.postgres.cut_connections():
        return None
    return Blow("the ledger's connections cut")


def _postgres_restarted(world: World, random: Random) -> Blow | None:
    if world.postgres is None or not world.postgres.runs():
        return None
    world.postgres.end(random.choice([signal.SIGQUIT, signal.SIGINT]))
    return Blow("the ledger's PostgreSQL down", world.postgres.start, random.uniform(0.2, 5.0))


def _locked(database: str) -> Outside:
    def strike(world: World, random: Random) -> Blow | None:
        if database == "ledger.db" and world.postgres is not None:
            return None
        connection = world.lock_sqlite(database)
        if connection is None:
            return None
        return Blow(f"{database} locked", connection.close, random.uniform(1.0, 8.0))

    return strike


def _disk_full(name: str) -> Outside:
    def strike(world: World, random: Random) -> Blow | None:
        disk = world.disks[name]
        if not disk.mounted:
            return None
        disk.fill()
        return Blow(f"the disk of {name} full", disk.free, random.uniform(1.0, 5.0))

    return strike


def _clock(hours: float) -> Outside:
    def strike(world: World, random: Random) -> Blow | None:
        world.clock_hours += hours
        world.plan.step_clock(world.clock_hours * 3600)
        return Blow(f"the clock stepped by {hours:+g} h")

    return strike


ROLES = ("daemon", "worker", "child", "training", "up")
OUTSIDE: dict[str, Outside] = {
    **{f"kill {role}": _signal(role, signal.SIGKILL) for role in ROLES},
    **{f"terminate {role}": _signal(role, signal.SIGTERM) for role in ROLES},
    **{f"stop {role}": _stop(role) for role in ("daemon", "worker", "child")},
    "broker killed": _broker_killed,
    "broker restarted empty": _broker_restarted_empty,
    "broker hangs": _broker_hangs,
    "broker flushed": _with_messages("the broker flushed", _flush),
    "messages doubled": _with_messages("messages doubled", _double),
    "messages reordered": _with_messages("messages reordered", _reorder),
    "messages forged": _with_messages("messages forged", _forge),
    "messages delayed": _delay,
    "connections cut": _connections_cut,
    "postgres down": _postgres_restarted,
    "ledger locked": _locked("ledger.db"),
    "mlflow locked": _locked("mlflow.db"),
    **{f"{name} full": _disk_full(name) for name in ("state", "log", "models")},
    "clock back": _clock(-1.0),
    "clock forward": _clock(1.0),
}


def meant_for(kind: str) -> list[str]:
    """The faults that there are in a world of that kind."""
    lacking = {"connections cut", "postgres down"} if kind.startswith("sqlite") else {"ledger locked"}
    lacking |= {"broker restarted empty"} if kind.endswith("embedded") else {"kill up", "terminate up"}
    return [name for name in OUTSIDE if name not in lacking]
