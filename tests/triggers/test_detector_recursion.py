"""The evidence of a sequence, against the recursion as it is written, row by row and bet by bet."""

import math
import tracemalloc
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggers import gains
from triggers.bets import STAKES
from triggers.buckets import TimeBuckets
from triggers.cells import CellCounts
from triggers.comparison import Sizes
from triggers.detector import Detector
from triggers.layout import CategoryLayout
from triggers.profile import ReferenceProfile

START, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
SIZES = Sizes(ks=0.1, psi=0.1, js=0.1, location=0.02, scale=0.1)
LETTERS = "abcdefghijkl"  # more than have bets of their own
Value = float | str | None
Columns = Mapping[str, Sequence[Value]]


def drawn(random: np.random.Generator, rows: int, shift: float) -> Columns:
    """Numbers that are all distinct, mostly tied and sometimes infinite; letters; and one that may be empty."""
    plain = random.normal(shift, 1, rows).tolist()
    tied: list[Value] = [*np.round(random.normal(shift, 1.5, rows)).tolist()]
    for place in np.flatnonzero(random.random(rows) < 0.2):
        tied[place] = [None, math.inf, -math.inf][int(random.integers(3))]
    letters: list[Value] = [LETTERS[place] for place in np.minimum(random.geometric(0.25, rows) - 1, 11)]
    letters[::7] = [None] * len(letters[::7])
    empty = [None if shift == 0 or place % 3 else 1.0 for place in range(rows)]
    return {"plain": plain, "tied": tied, "letters": letters, "empty": empty}


def as_table(columns: Columns) -> pa.Table:
    kinds = {"letters": pa.string()}
    return pa.table({name: pa.array(each, kinds.get(name, pa.float64())) for name, each in columns.items()})


def figure(told: str, value: Value, reference: Sequence[Value], levels: Sequence[str]) -> float | None:
    """What the bet that is told so is on; None: such a row has no say in it."""
    word, _, what = told.partition(" ")
    if what == "missing":
        found = float(value is None)
    elif what == "other levels":
        found = float(value is not None and value not in levels[:8])
    elif what:
        found = float(value is not None and repr(value) == what)
    elif value is None:
        return None
    else:
        present = [each for each in reference if each is not None]
        found = sum((each < value) + (each == value) / 2 for each in present) / len(present)  # type: ignore[operator]
        found = found if word in {"higher", "lower"} else 4 * (found - 0.5) ** 2
    return 1 - found if word in {"fewer", "lower", "narrower"} else found


def plainly(
    detector: Detector, profile: ReferenceProfile, reference: Columns, buckets: Sequence[Columns]
) -> list[float]:
    bets, names, found = detector.bets, list(reference), []
    for bet in range(bets.figure.size):
        name, most = names[bets.column[bet]], float(bets.most[bet])
        layout = profile.layouts[name]
        levels = layout.levels if isinstance(layout, CategoryLayout) else ()
        stake, evidence = float(STAKES[bets.stake[bet]]), 0.0
        for bucket in buckets:
            evidence += 1
            for value in bucket[name]:
                x = figure(bets.told(bet), value, reference[name], levels)
                evidence *= 1 if x is None else 1 + stake / most * (x - most)
        found.append(math.log(evidence))
    return found


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.lists(st.sampled_from([0, 1, 3, 33, 64, 150]), min_size=1, max_size=5),
    shift=st.sampled_from([0.0, 0.4]),
    slots=st.sampled_from([1, 100, 2**17]),
)
def test_the_evidence_is_that_of_the_recursion_row_by_row_however_buckets_and_columns_are_taken(
    seed: int, rows: list[int], shift: float, slots: int
) -> None:
    random = np.random.default_rng(seed)
    reference = drawn(random, 80, 0.0)
    profile = ReferenceProfile.of(as_table(reference), list(reference))
    drawn_buckets = [drawn(random, number, shift) for number in rows]
    kept = TimeBuckets(profile, DAY)
    for number, bucket in enumerate(drawn_buckets):
        times = pa.array([START + number * DAY] * rows[number], pa.timestamp("us", "UTC"))
        cut = int(random.integers(rows[number] + 1))
        for part in (slice(cut, None), slice(0, cut)):
            columns = as_table({name: each[part] for name, each in bucket.items()})
            kept.fold(columns.append_column("timestamp", times[part]), "timestamp")
    counts = [
        kept.bucket(start).counts if start in kept.starts else CellCounts.of(profile.counts.total.size, None, kept_none)
        for start, kept_none in (
            (START + number * DAY, np.zeros_like(profile.counts.total)) for number in range(len(rows))
        )
    ]
    detector = Detector(profile, SIZES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gains, "_SLOTS_AT_ONCE", slots)
        at_once = detector.gains(counts)
    assert np.array_equal(at_once, np.concatenate([detector.gains([each]) for each in counts]))
    evidence = detector.nothing()
    for each in at_once:
        evidence = detector.after(evidence, each)
    assert evidence.tolist() == pytest.approx(plainly(detector, profile, reference, drawn_buckets), rel=1e-9, abs=1e-9)


def test_the_mean_spread_that_bets_start_from_is_that_of_the_reference_s_rows() -> None:
    reference = drawn(np.random.default_rng(3), 300, 0.0)
    profile = ReferenceProfile.of(as_table(reference), list(reference))
    bets = Detector(profile, Sizes(ks=0, psi=0, js=0, location=0, scale=0)).bets
    for place, told in enumerate(bets.figures.told):
        if told[0] == "wider":
            values = [each for each in reference[list(reference)[bets.figures.column[place]]] if each is not None]
            mean = np.mean([figure("wider", each, values, ()) for each in values])
            upwards, downwards = bets.figures.most[place]  # of the mean and of one less it, by the same margin
            assert (upwards - downwards + 1) / 2 == pytest.approx(mean, abs=1e-12)


def test_evidence_that_was_kept_comes_back_and_that_of_other_bets_does_not() -> None:
    reference = drawn(np.random.default_rng(4), 200, 0.0)
    profile = ReferenceProfile.of(as_table(reference), list(reference))
    detector = Detector(profile, SIZES)
    evidence = detector.after_empty(detector.nothing(), 3)
    restored = detector.restored(detector.kept(evidence))
    assert restored is not None
    assert np.array_equal(restored, evidence)
    assert detector.restored({**detector.kept(evidence), "plain": [0.0]}) is None
    assert detector.restored({"plain": detector.kept(evidence)["plain"]}) is None


def test_a_column_that_has_no_room_for_bets_is_no_evidence_and_is_told() -> None:
    table = pa.table({"empty": pa.nulls(20, pa.float64()), "plain": np.arange(20.0)})
    detector = Detector(ReferenceProfile.of(table, ["empty", "plain"]), SIZES)
    evidence = detector.after_empty(detector.nothing(), 2)
    assert detector.by_column(evidence) == {"empty": 0.0, "plain": pytest.approx(2.0)}
    assert detector.strongest(evidence, "empty").startswith("no bets")


def test_many_rows_of_many_columns_take_little_memory() -> None:
    random = np.random.default_rng(5)
    table = pa.table({f"x{number}": random.normal(0, 1, 5000) for number in range(150)})
    profile = ReferenceProfile.of(table, table.column_names)
    detector = Detector(profile, SIZES)
    size = profile.counts.total.size
    full = CellCounts.of(size, None, random.integers(1, 40, size))  # 30,000,000 values
    tracemalloc.start()
    detector.gains([full])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * 2**20  # one float of each bet and cell would be 130 MiB
