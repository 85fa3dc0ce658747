"""Each message is judged by its form alone, before Celery looks at it."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from forgery import JOB, PLAIN, configured, envelope
from hypothesis import given, settings
from hypothesis import strategies as st
from templates import empty_ledger

from retraind.config.loading import load
from retraind.ledger import Ledger, jobs
from retraind.messages import CONVERGE, EVERYTHING, JOB_ID, TASKS, TIDY, stage_task
from retraind.queue import celery_app
from retraind.states import Stage
from workers.doorway import fault_of
from workers.envelope import MOST_CHARACTERS, is_sound


def sent(tmp_path: Path) -> dict[str, Any]:
    """A message as `retraind.queue` sends it: its headers and its body."""
    app = celery_app(load(configured(tmp_path, "memory"), {}), publisher=True)
    message = app.amqp.create_task_message(str(uuid.uuid4()), stage_task(Stage.TRAIN), [JOB], {})
    return {"headers": dict(message.headers), "body": json.dumps(message.body), "content_type": PLAIN}


@pytest.fixture
def message(tmp_path: Path) -> dict[str, Any]:
    return sent(tmp_path / "project")


def fault(message: dict[str, Any], **headers: Any) -> str | None:
    return fault_of({**message["headers"], **headers}, message["body"], message["content_type"], {"delays"})


def test_what_the_queue_sends_passes(message: dict[str, Any]) -> None:
    assert fault(message) is None
    converge = {**message, "body": json.dumps([["delays"], {}, {"callbacks": None, "chain": None}])}
    assert fault(converge, task=CONVERGE) is None
    tidy = {**message, "body": json.dumps([[EVERYTHING], {}, {"callbacks": None, "chain": None}])}
    assert fault(tidy, task=TIDY) is None
    assert fault(converge, task=TIDY) == "it names no model"


def test_a_new_job_s_id_has_the_form_that_the_door_asks_for(tmp_path: Path) -> None:
    ledger = Ledger.open(empty_ledger(tmp_path / "ledger.db"))
    with ledger.write("user:ann") as transaction:
        made = jobs.request(transaction, "delays", reason="to see its id")
    ledger.close()
    assert made is not None
    assert JOB_ID.fullmatch(made)


@pytest.mark.parametrize(
    "headers",
    [
        {"task": "celery.backend_cleanup"},
        {"task": "celery.chain"},
        {"task": "retraind.train.other"},
        {"task": ["retraind.train"]},
        {"task": None},
        {"eta": "2030-01-01T00:00:00Z"},
        {"expires": "2030-01-01T00:00:00Z"},
        {"retries": 1},
        {"group": "g"},
        {"timelimit": [1, 1]},
        {"shadow": "another name\nin the log"},
        {"stamps": {"a": "b"}},
        {"id": ["no", "text"]},
        {"id": None},
        {"root_id": {}},
        {"callbacks": [{"task": "a.b", "args": [], "kwargs": {}, "options": {}}]},
        {"errbacks": [{"task": "a.b"}]},
        {"chain": [{"task": "a.b", "args": [], "kwargs": {}, "options": {}}]},
        {"chord": {"task": "a.b"}},
        {"eta": 0},
        {"eta": ""},
        {"expires": 0},
        {"timelimit": 0},
        {"stamped_headers": []},
        {"argsrepr": {}},
        {"delivery_info": 5},
        {"whatever": False},
    ],
)
def test_headers_that_would_have_celery_do_more_are_refused(message: dict[str, Any], headers: dict[str, Any]) -> None:
    assert fault(message, **headers)


@pytest.mark.parametrize(
    "body",
    [
        [[JOB, JOB], {}, {}],
        [[], {}, {}],
        [[None], {}, {}],
        [[["261121-142500-abcdef"]], {}, {}],
        [[{"job": JOB}], {}, {}],
        [["../../etc/passwd"], {}, {}],
        [[JOB + "/.."], {}, {}],
        [[JOB + "\n"], {}, {}],
        [["x" * 1000], {}, {}],
        [[JOB], {"job_id": JOB}, {}],
        [[JOB], None, {}],
        [[JOB], [], {}],
        [{JOB: 1}, {}, {}],
        [[JOB], {}, {"chain": []}],
        [[JOB], {}, {"callbacks": [{"task": "retraind.train", "args": [JOB]}]}],
        [[JOB], {}, {"errbacks": [{"task": "retraind.train"}]}],
        [[JOB], {}, {"chain": [{"task": "retraind.train"}]}],
        [[JOB], {}, {"chord": {"task": "retraind.train"}}],
        {"args": [JOB]},
        JOB,
        None,
        7,
    ],
)
def test_bodies_that_are_no_wake_up_are_refused(message: dict[str, Any], body: Any) -> None:
    assert fault({**message, "body": json.dumps(body)})


@pytest.mark.parametrize("kind", ["application/x-python-serialize", "application/x-yaml", "text/plain", None])
def test_only_json_is_read(message: dict[str, Any], kind: str | None) -> None:
    assert fault({**message, "content_type": kind}) == "it is not JSON"


def test_brackets_without_end_are_refused(message: dict[str, Any]) -> None:
    assert fault({**message, "body": "[" * 200_000})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["task", "id", "eta", "timelimit", "retries", "root_id", "compression", "lang"])


@given(
    headers=anything | st.dictionaries(names, anything | st.sampled_from(sorted(TASKS)), max_size=8),
    body=anything.map(json.dumps) | st.text() | st.binary() | anything,
    kind=st.sampled_from([PLAIN, "application/x-yaml"]) | anything,
)
@settings(max_examples=500, deadline=None)
def test_no_message_raises_and_only_wake_ups_pass(headers: Any, body: Any, kind: Any) -> None:
    passed = fault_of(headers, body, kind, {"delays"}) is None
    if passed:
        (argument,) = json.loads(body)[0]
        assert argument == "delays" or JOB_ID.fullmatch(argument)


@given(payload=anything | st.dictionaries(st.sampled_from(["body", "headers", "properties", "content-type"]), anything))
@settings(max_examples=300, deadline=None)
def test_no_entry_of_a_queue_raises(payload: Any) -> None:
    assert is_sound(payload) in {True, False}


def test_packed_and_endless_entries_are_not_opened() -> None:
    good = envelope([[JOB], {}, {}])
    assert is_sound(good)
    assert not is_sound({**good, "headers": {**good["headers"], "compression": "application/x-gzip"}})
    assert not is_sound({**good, "body": "x" * (MOST_CHARACTERS + 1)})
