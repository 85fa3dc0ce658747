"""Whatever stands in an audit log's files, also compressed ones: a verdict, and writing and pruning go on."""

import gzip
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from templates import empty_ledger

from retraind.audit import AuditLog, keeping, verification
from retraind.audit.log import line_of
from retraind.ledger import Ledger, trail
from retraind.ledger.chain import canonical, digest

EVENTS = 8
NAMES = ("audit-000000000003.jsonl.gz", "audit-000000000005.jsonl", "audit.jsonl.1.gz", "audit.jsonl")
odd = st.none() | st.integers() | st.text(max_size=12) | st.sampled_from(["0001-01-01T00:00:00+14:00", "2026-01-01"])
fields = st.dictionaries(st.sampled_from(["time", "event", "prev", "data", "schema"]), odd)
seqs = st.integers(-1, 12) | st.integers() | st.sampled_from([2**31, 2**63 - 1, 2**63, 10**4000])


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A line as one who knows how they are made would write it: canonical, with a hash that fits."""
    record: dict[str, Any] = {**draw(fields), "seq": draw(seqs)}
    try:
        return canonical({**record, "hash": digest(record)}).encode() + b"\n"
    except ValueError:  # half a character
        return b"{}\n"


pieces = st.integers(0, EVENTS - 1) | records() | st.binary(max_size=20)  # a number is that genuine line
damages = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=2)
contents = st.tuples(st.lists(pieces, max_size=6), damages, st.integers(0, 60))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = Ledger.open(empty_ledger(tmp_path_factory.mktemp("audited") / "ledger.db"))
    for number in range(EVENTS):
        with opened.write("user:ann") as transaction:
            transaction.event("model.paused", model="delays", data={"reason": f"because of {number} — ünïcode"})
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def genuine(ledger: Ledger) -> list[bytes]:
    with ledger.read() as connection:
        return [line_of(event) for event in trail.beyond(connection, 0)]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(verification, "_CATCH_UP_SECONDS", 0.0)  # nobody writes meanwhile
    return tmp_path / "log" / "audit.jsonl"


def written(content: Any, genuine: list[bytes], *, packed: bool) -> bytes:
    lines, damage, cut = content
    whole = b"".join(genuine[each] if isinstance(each, int) else each for each in lines)
    made = bytearray(gzip.compress(whole, mtime=0) if packed else whole)
    for at, bits in damage:
        if made:
            made[at % len(made)] ^= bits
    return bytes(made[: len(made) - cut] if damage else made)


@given(files=st.tuples(*[st.none() | contents] * len(NAMES)))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_files_are_judged_continued_and_pruned(
    path: Path, ledger: Ledger, genuine: list[bytes], files: tuple[Any, ...]
) -> None:
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    for name, content in zip(NAMES, files, strict=True):
        if content is not None:
            (path.parent / name).write_bytes(written(content, genuine, packed=name.endswith(".gz")))
    report = verification.verify(path, ledger)
    assert all(sentence.isprintable() for sentence in (*report.problems, *report.notes))
    if report.holds:
        assert report.last_seq == EVENTS
        assert report.lines == EVENTS + 1 - (report.first_seq or 0)
    keeping.outdated(path, datetime(2026, 1, 1, tzinfo=UTC))
    keeping.count_standing(path, [(number, "") for number in range(1, EVENTS + 1)])
    audit = AuditLog(path, ledger, 2**20)
    assert all(sentence.isprintable() for sentence in audit.project())
    assert audit.written() > 0
    json.dumps(audit.project())
