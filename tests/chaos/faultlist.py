"""Which faults are struck at which points, and how a campaign deals them out to rounds."""

from collections.abc import Iterable, Iterator
from random import Random

from outside import meant_for

# Passed once in a world's life, before anything else is struck.
EARLY = ("ledger.migrate", "mlflow.create_store", "mlflow.create_experiment", "mlflow.create_registered_model")
OUTSIDE_TIMES = 3  # each meets another moment
IN_A_POOL_CHILD = ("stage.", "ledger.workers.advance", "ledger.workers.convergence", "mlflow.", "durable.")


def faults_at(point: str) -> Iterator[str]:
    """Every fault that has a meaning at the point, as FAULT@POINT."""
    place = point.rpartition(">")[2]
    for fault in ("kill", "terminate", "stop"):
        yield f"{fault}@{point}"
    if point.startswith(IN_A_POOL_CHILD):
        yield f"kill-parent@{point}"
    if place.startswith(("publish.", "mlflow.", "alert", "audit.append")):
        yield f"fail@{point}"  # unreachable before the act, or broken off after it
    if place.startswith(("durable.", "audit.")) and place.endswith((".before", ".in")):
        yield f"full@{point}"
    if place.startswith("ledger.") and place.endswith(".in"):
        yield f"hold@{point}"  # the ledger's connections are cut in the middle of the transaction


def is_early(fault: str) -> bool:
    return any(name in fault for name in EARLY)


def at_every_point(points: Iterable[str]) -> list[str]:
    """Every fault at every point."""
    return [fault for point in sorted(points) for fault in faults_at(point)]


def deal(
    chosen: Iterable[str], kinds: tuple[str, ...], per_round: int, seed: int, outside_times: int = OUTSIDE_TIMES
) -> list[tuple[str, list[str]]]:
    """Rounds of (world, faults) in which each of the chosen comes once, and every fault from outside in every world a
    few times."""
    random = Random(seed)
    faults = list(chosen)
    random.shuffle(faults)
    hands: dict[str, list[str]] = {kind: [] for kind in kinds}
    on_postgres = [kind for kind in kinds if kind.startswith("postgres")] or list(kinds)
    for number, fault in enumerate(faults):
        possible = on_postgres if fault.startswith("hold@") else kinds
        hands[possible[number % len(possible)]].append(fault)
    rounds = []
    for kind in kinds:
        hand = [*hands[kind], *outside_times * meant_for(kind)]
        random.shuffle(hand)
        rounds += [(kind, hand[start : start + per_round]) for start in range(0, len(hand), per_round)]
    random.shuffle(rounds)
    return rounds


def at_random(points: Iterable[str], kind: str, count: int, seed: int) -> list[str]:
    """So many faults for a world of that kind, half of them from outside."""
    random = Random(seed)
    known = sorted(points)
    everywhere = [fault for point in known for fault in faults_at(point) if not is_early(fault)]
    half = random.choices(meant_for(kind), k=count - count // 2)
    mixed = [*half, *random.choices(everywhere, k=count // 2)] if everywhere else half
    random.shuffle(mixed)
    return mixed
