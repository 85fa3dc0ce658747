"""References as bytes: equal for equal references, whole or refused, and back again."""

import json
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggers.comparison import compare
from triggers.encoding import unpack
from triggers.profile import ReferenceProfile, WindowProfile

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-9, 9).map(float), st.floats()),
        st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=3)),
    ),
    min_size=1,
    max_size=40,
)


def profile(rows: list[tuple[float | None, str | None]], chunk: int = 99) -> ReferenceProfile:
    numbers, words = zip(*rows, strict=True)
    table = pa.table({"number": pa.array(numbers, pa.float64()), "word": pa.array(words, pa.string())})
    return ReferenceProfile.of(
        pa.concat_tables([table.slice(first, chunk) for first in range(0, len(rows), chunk)]), table.column_names
    )


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_the_order_and_the_chunks_of_rows_do_not_change_the_hash(rows, chunk, random) -> None:  # type: ignore[no-untyped-def]
    assert profile(rows).content_hash == profile(random.sample(rows, len(rows)), chunk).content_hash


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS)
def test_a_profile_comes_back_from_its_bytes_and_compares_alike(rows, more) -> None:  # type: ignore[no-untyped-def]
    one = profile(rows)
    again = ReferenceProfile.from_bytes(one.to_bytes())
    assert again.to_bytes() == one.to_bytes()
    assert list(again.layouts) == ["number", "word"]
    numbers, words = zip(*more, strict=True)
    table = pa.table({"number": pa.array(numbers, pa.float64()), "word": pa.array(words, pa.string())})
    found = []
    for each in (one, again):
        window = WindowProfile(each.layouts)
        window.add(table)
        found.append([comparison.figures() for comparison in compare(each, window)])
    assert repr(found[0]) == repr(found[1])


def test_what_differs_has_another_hash_and_the_width_of_numbers_does_not() -> None:
    hashes = {
        ReferenceProfile.of(pa.table({name: values}), [name]).content_hash
        for name, values in (
            ("x", pa.array([1, 2, 3], pa.int32())),
            ("x", pa.array([1.0, 2.0, 3.0])),
            ("y", pa.array([1.0, 2.0, 3.0])),
            ("x", pa.array([1.0, 2.0, 2.0, 3.0])),
            ("x", pa.array([1.0, 2.0, 3.0, None])),
            ("x", pa.array(["1", "2", "3"])),
            ("x", pa.nulls(3)),
        )
    }
    assert len(hashes) == 6
    zeros = [ReferenceProfile.of(pa.table({"x": [zero, 1.0]}), ["x"]).content_hash for zero in (0.0, -0.0)]
    assert zeros[0] == zeros[1]


def test_the_format_stays_as_it_is() -> None:
    # Stored references and buckets are found by this hash: another format needs another magic word.
    table = pa.table({"x": [1.5, None, 2.5, 2.5], "c": ["a", "b", None, "b"], "e": pa.nulls(4)})
    found = ReferenceProfile.of(table, table.column_names)
    assert found.to_bytes().startswith(b"retraind-reference-1\n")
    assert found.content_hash == "98c30fe84d95ed9afa874bf21ac0b53d645c7d663ca98baf260d2aa003315f93"


@pytest.mark.parametrize("cut", [0, 5, 21, 24, 60, -1])
def test_bytes_that_are_cut_short_are_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="the stored reference profile"):
        ReferenceProfile.from_bytes(profile([(1.0, "a"), (2.0, None)]).to_bytes()[:cut])


def test_a_changed_byte_is_noticed() -> None:
    data = bytearray(profile([(1.0, "a"), (2.0, None)]).to_bytes())
    data[-3] ^= 1
    with pytest.raises(ValueError, match="cut short or damaged"):
        ReferenceProfile.from_bytes(bytes(data))


@pytest.mark.parametrize(
    "shapes",
    [
        [["<f8", 10**30]],
        [["<f8", -1], ["<f8", 3]],
        [["<f8", float("inf")]],
        [["<f8", [[]]]],
        [["O", 2]],
    ],
)
def test_a_header_that_claims_what_cannot_be_is_refused(shapes: list[object]) -> None:
    header = json.dumps({"arrays": shapes, "checksum": zlib.crc32(bytes(16))}).encode()
    with pytest.raises(ValueError, match="the thing"):
        unpack(b"magic\n", b"magic\n" + len(header).to_bytes(4, "little") + header + bytes(16), "the thing")


def test_a_header_that_is_nested_beyond_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="the thing"):
        unpack(b"magic\n", b"magic\n" + (200_000).to_bytes(4, "little") + b"[" * 200_000, "the thing")


def test_a_feature_takes_less_than_a_mebibyte_however_many_rows_there_are() -> None:
    random = np.random.default_rng(1)
    one = ReferenceProfile.of(pa.table({"x": random.normal(0, 1, 300_000)}), ["x"])
    window = WindowProfile(one.layouts)
    assert one.layouts["x"].breaks.nbytes + one.counts.total.nbytes + window.total.nbytes < 2**20  # type: ignore[union-attr]
    assert len(one.to_bytes()) < 2**18
