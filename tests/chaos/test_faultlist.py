"""How faults are dealt out to rounds: all of them, and those of one place as far apart as may be."""

from collections import Counter

from faultlist import at_every_point, deal
from world import KINDS

POINTS = [f"{place}.{side}" for place in ("ledger.daemon.monitor._begin", "stage.train", "audit.note") for side in "ab"]


def place_of(fault: str) -> str:
    return fault.partition("@")[2].rpartition(".")[0]


def test_each_fault_comes_in_one_round() -> None:
    faults = at_every_point(POINTS)
    dealt = [fault for _, hand in deal(faults, KINDS, 10, seed=3) for fault in hand if "@" in fault]
    assert sorted(dealt) == sorted(faults)


def test_no_place_is_struck_twice_in_a_round_while_there_are_others() -> None:
    rounds = deal(at_every_point(POINTS), KINDS, 8, seed=3)
    for _, hand in rounds:
        times = Counter(place_of(fault) for fault in hand if "@" in fault)
        assert set(times.values()) <= {1}


def test_cut_connections_are_dealt_to_worlds_that_have_connections() -> None:
    rounds = deal([f"hold@ledger.{name}.in" for name in "abcdefgh"], KINDS, 60, seed=3, outside_times=0)
    assert {kind for kind, _ in rounds} == {"postgres-redis", "postgres-embedded"}
    assert all(kind.startswith("postgres") for kind, _ in rounds)


def test_no_round_has_nothing_to_strike() -> None:
    assert [len(hand) for _, hand in deal(["kill@stage.train.after"], KINDS, 60, seed=3, outside_times=0)] == [1]
