"""Whatever a queue holds: one wake-up of one task of ours, or refused and counted; Celery is asked for nothing more."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from forgery import JOB, configured, envelope
from hypothesis import example, given, settings
from hypothesis import strategies as st
from through_celery import Worker, as_bytes, worker

from retraind.config.loading import load
from retraind.messages import CONVERGE, EVERYTHING, JOB_ID, TASKS, TIDY

# What Celery and kombu look for, wherever it may stand.
NAMES = [
    "task", "id", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id", "parent_id", "shadow",
    "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "lang",
    "callbacks", "errbacks", "chain", "chord", "compression", "properties", "reply_to", "correlation_id", "priority",
    "delivery_info", "redelivered", "body_encoding", "delivery_tag", "content-type", "content-encoding", "headers",
    "__type__", "__value__", "args", "kwargs", "utc", "is_eager", "hostname", "called_directly", "_children", "body",
]  # fmt: skip
ANOTHER = {"task": "another", "args": [], "kwargs": {}, "options": {}}
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 10**30, "", "x", "base64", "utf-16", "\ud800", JOB, "delays", EVERYTHING, "2030-01-01",
    [], {}, [None], [None, None], [0, 0], [[]], ANOTHER, [ANOTHER], {**ANOTHER, "immutable": True}, {"task": "another"},
    {"__type__": "datetime", "__value__": "x"}, {"__type__": None, "__value__": None}, *sorted(TASKS),
]  # fmt: skip
names = st.sampled_from(NAMES)
values = st.recursive(
    st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
bodies = st.tuples(
    st.just([JOB]) | st.sampled_from([["delays"], [EVERYTHING], {JOB: 1}, JOB]) | values,
    st.just({}) | values,
    st.just({}) | st.dictionaries(names, st.none() | values, max_size=3) | values,
)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """A wake-up, with other values in some places."""
    entry = envelope([[JOB], {}, {}], task=draw(st.sampled_from(sorted(TASKS))))
    if draw(st.booleans()):
        body = json.dumps(draw(bodies)).encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-32"])))
        entry["body"] = base64.b64encode(body).decode()
    places = [entry, entry["headers"], entry["headers"], entry["properties"], entry["properties"]["delivery_info"]]
    for _ in range(draw(st.integers(0, 3))):
        draw(st.sampled_from(places))[draw(names)] = draw(values)
    return entry


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with worker(load(configured(tmp_path_factory.mktemp("queue"), "memory"), {})) as made:
        yield made


def judge(takes: Worker, entry: bytes) -> None:
    refused, acknowledged = takes.take(entry)
    assert (len(takes.calls), refused) in {(1, 0), (0, 1)}, takes.warnings.lines
    assert acknowledged == 1
    assert takes.sent == []
    assert takes.warnings.lines == []
    for name, argument in takes.calls:
        wanted = {CONVERGE: argument == "delays", TIDY: argument == EVERYTHING}
        assert wanted.get(name, isinstance(argument, str) and JOB_ID.fullmatch(argument) is not None)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_wake_up_wakes_its_task(takes: Worker, task: str) -> None:
    argument = {CONVERGE: "delays", TIDY: EVERYTHING}.get(task, JOB)
    judge(takes, as_bytes(envelope([[argument], {}, {}], task=task)))
    assert takes.calls == [(task, argument)]


@given(entry=entries())
@example(envelope([[JOB], {}, {}], callbacks=[{**ANOTHER, "immutable": True}]))
@example(envelope([[JOB], {}, {}], chain=[{**ANOTHER, "immutable": True}]))
@example(envelope([[JOB], {}, {}], eta=0))
@example(envelope([[JOB], None, {}]))
@settings(max_examples=600, deadline=None)
def test_a_message_wakes_one_task_or_is_counted(takes: Worker, entry: dict[str, Any]) -> None:
    judge(takes, as_bytes(entry))


@given(entry=st.binary(max_size=200) | values.map(as_bytes))
@settings(max_examples=200, deadline=None)
def test_an_entry_that_is_no_message_is_counted(takes: Worker, entry: bytes) -> None:
    judge(takes, entry)
    assert takes.calls == []
