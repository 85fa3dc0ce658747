"""Whatever stands in a configuration, an audit log or a store: an answer or a sentence, never a surprise."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemon.evidence import EvidenceReader
from daemon.looking import evaluate
from retraind.audit import AuditLog, verify
from retraind.audit.segments import first_seq, last_whole_line, parse, segments
from retraind.config.loading import load
from retraind.config.predictions import Predictions
from retraind.config.settings import Model, Settings
from retraind.errors import ConfigurationError, StoreError
from retraind.ledger import Ledger
from retraind.ledger.chain import plain
from retraind.store import open_store
from triggers.evidence import RowsRequest, Window

SOUND: dict[str, Any] = {
    "models": {
        "delays": {
            "predictions": {"url": "sqlite:///monitoring.db", "columns": {"features": ["a", "b"]}},
            "triggers": {
                "weekly": {"type": "cron", "schedule": "0 2 * * 0"},
                "drift": {"type": "drift", "window": "7d", "false_alarms": "1 per 90d"},
                "decay": {"type": "performance", "metric": "accuracy", "below": 0.85, "window": "7d"},
                "landing": {"type": "file", "path": "data/*.csv"},
            },
            "policy": {"cooldown": "6h"},
            "training": {
                "trainer": {"sklearn": "sklearn.linear_model.LogisticRegression", "params": {"C": 1.0}},
                "gates": [{"metric": "accuracy", "at_least": 0.8}],
                "budget": {"time": "4h", "memory": "8GiB"},
            },
            "deploy": [{"directory": "models/production"}],
        }
    },
    "alerts": [{"url": "json://host/path", "on": ["failed"]}],
}

# --- configuration

words = st.sampled_from(
    [
        "models",
        "delays",
        "triggers",
        "type",
        "cron",
        "drift",
        "window",
        "7d",
        "-1d",
        "1e999d",
        "training",
        "deploy",
        "sqlite:///x",
        "sqlite:///\x00",
        "redis://[",
        "postgresql://u:p@h:x/d",
        "${HOME",
        "${A:-${B}}",
        "../..",
        "~nobody",
        "9" * 400,
        "1 per 0d",
        "0 2 30 2 *",
        "* * * * * *",
        "Europe/Nowhere",
        "16ZiB",
        "nan",
        "�",
        "<<",
        "*",
        "&a",
        "a\nb",
        "\x1b[31m",
        "\u202e",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*at, index))


def with_change(at: tuple[Any, ...], new: Any, value: Any = SOUND) -> Any:
    """The sound configuration with another value in one place."""
    if not at:
        return new
    if isinstance(value, dict):
        return {key: with_change(at[1:], new, inner) if key == at[0] else inner for key, inner in value.items()}
    return [with_change(at[1:], new, inner) if index == at[0] else inner for index, inner in enumerate(value)]


def answer(folder: Path, content: bytes) -> Settings | str:
    """The settings, or the sentences of their refusal. Raises anything else."""
    (folder / "retraind.yaml").write_bytes(content)
    try:
        return load(folder / "retraind.yaml", {"A": "a"})
    except ConfigurationError as error:
        said = str(error)
    for line in said.split("\n"):
        assert line.startswith(f"{folder / 'retraind.yaml'}:")
        assert line.isprintable()
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@given(at=st.sampled_from(list(places(SOUND))), new=values)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_in_any_place_is_taken_or_refused_in_sentences(folder: Path, at: tuple[Any, ...], new: Any) -> None:
    text = yaml.safe_dump(with_change(at, new), allow_unicode=True)
    said = answer(folder, text.encode("utf-8", "surrogatepass"))
    assert isinstance(said, Settings) or said.startswith(str(folder / "retraind.yaml"))


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"models: !!python/object/apply:os.system [id]")
@example(b"a: &a [*a]")
@example(b"? [a, b]\n: c")
@example(b"{" * 5000)
@example(b"a: " + b"9" * 10_000)
@example(b"a: 0x" + b"f" * 10_000)
@example(b"a: 1e" + b"9" * 1000)
@example(b"!!timestamp 2024-01-01")
@example(b"a: !!binary x")
@settings(max_examples=400, deadline=None)
def test_any_file_is_taken_or_refused_in_sentences(folder: Path, content: bytes) -> None:
    said = answer(folder, content)
    assert isinstance(said, str)
    assert said.startswith(str(folder / "retraind.yaml"))
    assert "Traceback" not in said


@given(
    cut=st.integers(0, 1500),
    put=st.binary(max_size=8) | st.sampled_from([b"\t", b"- ", b"${", b"&x ", b"*x", b"!!", b"'"]),
)
@settings(max_examples=400, deadline=None)
def test_a_sound_file_with_a_wrong_byte_is_taken_or_refused_in_sentences(folder: Path, cut: int, put: bytes) -> None:
    content = yaml.safe_dump(SOUND).encode()
    said = answer(folder, content[:cut] + put + content[cut + 1 :])
    assert isinstance(said, Settings) or said.startswith(str(folder / "retraind.yaml"))


# --- the audit log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Ledger, bytes]]:
    """A log of thirty lines, its ledger, and its bytes."""
    place = tmp_path_factory.mktemp("audit")
    ledger = Ledger.open(f"sqlite:///{place}/ledger.db")
    path = place / "audit.jsonl"
    for number in range(30):
        with ledger.write("user:ann") as transaction:
            transaction.event("model.paused", model="delays", data={"reason": f"because of {number} — ünïcode"})
    AuditLog(path, ledger, 2**26).project()
    yield path, ledger, path.read_bytes()
    ledger.close()


def proved(log: tuple[Path, Ledger, bytes], content: bytes) -> bool:
    path, ledger, _ = log
    for other in path.parent.glob("audit*"):
        other.unlink()
    path.write_bytes(content)
    return verify(path, ledger).holds


def test_the_log_as_written_holds(log: tuple[Path, Ledger, bytes]) -> None:
    assert proved(log, log[2])


@given(at=st.integers(0, 100_000), bits=st.integers(1, 255))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_is_told(log: tuple[Path, Ledger, bytes], at: int, bits: int) -> None:
    content = bytearray(log[2])
    content[at % len(content)] ^= bits
    assert not proved(log, bytes(content))


@given(at=st.integers(0, 100_000), length=st.integers(1, 5000), put=st.binary(max_size=40))
@settings(max_examples=150, deadline=None)
def test_anything_cut_out_or_put_in_is_told(log: tuple[Path, Ledger, bytes], at: int, length: int, put: bytes) -> None:
    start = at % len(log[2])
    content = log[2][:start] + put + log[2][start + length :]
    assert proved(log, content) == (content == log[2])


@pytest.mark.parametrize("value", [b"NaN", b"1e999", b'"\\ud800"', b"true", b"[" * 3000 + b"]" * 3000, b"9" * 5000])
@pytest.mark.parametrize("key", [b"seq", b"reason", b"hash", b"prev"])
def test_a_line_with_a_value_that_no_line_holds_is_told(
    log: tuple[Path, Ledger, bytes], key: bytes, value: bytes
) -> None:
    first, rest = log[2].split(b"\n", 1)
    changed = re.sub(rb'"' + key + rb'":("[^"]*"|\d+)', lambda _: b'"' + key + b'":' + value, first, count=1)
    assert changed != first
    assert not proved(log, changed + b"\n" + rest)


@given(order=st.permutations(range(6)))
@settings(max_examples=50, deadline=None)
def test_lines_in_another_order_are_told(log: tuple[Path, Ledger, bytes], order: list[int]) -> None:
    lines = log[2].splitlines(keepends=True)
    content = b"".join([*(lines[index] for index in order), *lines[6:]])
    assert proved(log, content) == (order == sorted(order))


@given(line=st.binary() | st.text().map(str.encode))
@example(b'{"seq": true}')
@example(b'{"seq": 1e999}')
@example(b"[" * 3000)
@example(b'{"seq": ' + b"9" * 5000 + b"}")
@settings(max_examples=300, deadline=None)
def test_any_line_is_a_record_or_none(line: bytes) -> None:
    record = parse(line)
    assert record is None or type(record["seq"]) is int


@given(content=st.binary(max_size=400))
@example(b"[" * 3000 + b"\n")
@settings(max_examples=200, deadline=None)
def test_any_segment_is_read(folder: Path, content: bytes) -> None:
    path = folder / "some.jsonl"
    path.write_bytes(content)
    first_seq(path)
    seq, offset = last_whole_line(path, block_bytes=16)
    assert seq >= 0
    assert 0 <= offset <= len(content)
    (folder / "some.jsonl.1.gz").write_bytes(content)
    segments(path)
    (folder / "some.jsonl.1.gz").unlink()


# --- a store

cells = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=8)
    | st.sampled_from(["2026-02-30", "2026-03-01T00:00:00Z", "2026-03-01 00:00:00+99:00", "0001-01-01", "1e308"])
    | st.sampled_from(["9999-12-31T23:59:59.999999Z", "nan", "inf", "", " ", "'; DROP TABLE predictions; --"])
)
hostile_names = st.sampled_from(
    ["a", 'a"; DROP TABLE predictions; --', "b'c", "select", "ä ö", "%s", ":x", "?", "{json}", "a.b", "\\", "--", "[x]"]
)


@given(
    rows=st.lists(st.tuples(cells, cells, cells, cells), max_size=8),
    feature=hostile_names,
    table=hostile_names,
)
@settings(max_examples=150, deadline=None)
def test_any_rows_are_read_or_refused_in_a_sentence(
    folder: Path, rows: list[tuple[Any, ...]], feature: str, table: str
) -> None:
    place = folder / "store"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()

    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    with sqlite3.connect(place / "store.db") as connection:
        connection.execute(f"CREATE TABLE {quoted(table)} (timestamp, prediction, actual, {quoted(feature)})")
        connection.execute("CREATE TABLE IF NOT EXISTS witness (x)")
        connection.executemany(f"INSERT INTO {quoted(table)} VALUES (?, ?, ?, ?)", rows)
    connection.close()
    predictions = Predictions.model_validate(
        {"url": f"sqlite:///{place}/store.db", "table": table, "columns": {"features": [feature]}}
    )
    try:
        with open_store(predictions) as store:
            store.probe()
            store.span()
            counts = store.counts(Window(None, None))
            found = store.rows(RowsRequest(Window(None, None), ("timestamp", "prediction", "actual", feature)))
            assert found.num_rows <= len(rows)
            assert counts is not None
    except StoreError:  # in its own sentence
        pass
    with sqlite3.connect(place / "store.db") as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {table, "witness"}
    connection.close()


LOOKED_AT = datetime(2026, 3, 1, tzinfo=UTC)
TRIGGERS = {
    "volume": {"type": "volume", "rows": 2, "labelled": True},
    "decay": {"type": "performance", "metric": "accuracy", "below": 0.99, "window": "7d", "min_labels": 2},
    "error": {"type": "performance", "metric": "rmse", "above": 0.1, "window": "7d", "min_labels": 2},
    "drift": {
        "type": "drift",
        "window": "7d",
        "features": ["a", "b"],
        "reference": {"window": "7d"},
        "min_rows": 20,
    },
}
numbers = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.sampled_from([0, 1, 1e308, -1e308, 5e-324])
hours = st.integers(-24 * 16, 0).map(lambda hour: (LOOKED_AT + timedelta(hours=hour)).isoformat())


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('facts')}/ledger.db")
    yield ledger
    ledger.close()


@given(
    rows=st.lists(
        st.tuples(hours, numbers | st.text(max_size=3), numbers | st.text(max_size=3), numbers, cells), max_size=40
    )
)
@settings(max_examples=40, deadline=None)
def test_every_trigger_answers_whatever_rows_there_are(
    folder: Path, facts: Ledger, rows: list[tuple[Any, ...]]
) -> None:
    place = folder / "looked-at.db"
    place.unlink(missing_ok=True)
    with sqlite3.connect(place) as connection:
        connection.execute("CREATE TABLE predictions (timestamp TEXT, prediction, actual, a, b)")
        connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows * 20)
    connection.close()
    model = Model.model_validate(
        {
            "predictions": {"url": f"sqlite:///{place}", "columns": {"features": ["a", "b"]}},
            "triggers": TRIGGERS,
            "training": {"trainer": {"command": ["true"]}},
        }
        | {"deploy": [{"mlflow": "delays"}]}
    )
    reader = EvidenceReader("delays", model, facts)
    try:
        for name in TRIGGERS:
            verdict = evaluate(reader, name, LOOKED_AT)
            assert "the trigger raised" not in verdict.sentence
            json.dumps(plain(verdict.numbers), allow_nan=False)  # as the ledger keeps them
    finally:
        reader.close()
