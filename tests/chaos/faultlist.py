"""Which faults are struck at which points, and how a campaign deals them out to rounds."""

from collections.abc import Iterable, Iterator
from math import ceil
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
    few times. Those of one place go to as many rounds as there are: what is seldom passed is waited for in each."""
    random = Random(seed)
    faults = list(chosen)
    outside = {kind: outside_times * meant_for(kind) for kind in kinds}
    rounds: list[tuple[str, list[str]]] = []
    for kind in kinds:
        random.shuffle(outside[kind])
        count = ceil((len(faults) / len(kinds) + len(outside[kind])) / per_round)
        rounds += [(kind, outside[kind][start::count]) for start in range(count)]
    random.shuffle(rounds)
    for fault in _by_place(faults, random):
        possible = [each for each in rounds if each[0].startswith("postgres")] if fault.startswith("hold@") else rounds
        min(possible or rounds, key=lambda each: len(each[1]))[1].append(fault)
    for _, hand in rounds:
        random.shuffle(hand)
    return [(kind, hand) for kind, hand in rounds if hand]


def _by_place(faults: Iterable[str], random: Random) -> list[str]:
    """In a random order of the places (a point without its side); neighbours strike at the same one."""
    places: dict[str, list[str]] = {}
    for fault in faults:
        places.setdefault(fault.partition("@")[2].rpartition(".")[0], []).append(fault)
    mixed = list(places.values())
    random.shuffle(mixed)
    return [fault for place in mixed for fault in random.sample(place, len(place))]


def at_random(points: Iterable[str], kind: str, count: int, seed: int) -> list[str]:
    """So many faults for a world of that kind, half of them from outside."""
    random = Random(seed)
    known = sorted(points)
    everywhere = [fault for point in known for fault in faults_at(point) if not is_early(fault)]
    half = random.choices(meant_for(kind), k=count - count // 2)
    mixed = [*half, *random.choices(everywhere, k=count // 2)] if everywhere else half
    random.shuffle(mixed)
    return mixed
