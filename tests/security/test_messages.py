"""Whoever can write to the broker can wake a job that exists, and nothing else: forged, against a real worker."""

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from forgery import JOB, configured, envelope

from retraind.config.loading import load
from retraind.ledger import Ledger, jobs, leases, trail
from retraind.messages import CONVERGE, EVERYTHING, TASKS, TIDY, stage_task
from retraind.queue import celery_app
from retraind.states import Stage
from workers.doorway import QUESTIONS


class Forger:
    """A real worker on a real broker, and somebody else who can write to that broker."""

    def __init__(self, folder: Path, url: str) -> None:
        self.broker = redis.Redis.from_url(url)
        self.settings = load(configured(folder, url), {})
        self.ledger = Ledger.open(self.settings.ledger_url)
        self.log = folder / "worker.log"
        with self.log.open("wb") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "daemon.cli", "worker"],
                cwd=folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "RETRAIND_CONFIG": str(folder / "retraind.yaml")},
            )
        self.wait("the worker's first heartbeat", self.processes)
        # It beats before it has a broker, and broadcasts reach only who listens.
        self.wait("the worker's connection", lambda: "ready." in self.log.read_text())

    def processes(self) -> list[Any]:
        with self.ledger.read() as connection:
            return leases.processes(connection)

    def refused(self) -> int:
        return sum(row.refused_messages for row in self.processes())

    def events(self) -> int:
        with self.ledger.read() as connection:
            return trail.head(connection)

    def send(self, *entries: Any) -> None:
        raw = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in entries]
        self.broker.lpush("retraind", *raw)

    def wait(self, what: str, arrived: Any, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not arrived():
            assert self.worker.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"no {what}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.1)

    def stop(self) -> None:
        self.worker.send_signal(signal.SIGTERM)
        self.worker.wait(40)
        self.ledger.close()
        self.broker.close()


@pytest.fixture
def forger(tmp_path: Path, valkey_url: str) -> Iterator[Forger]:
    made = Forger(tmp_path / "project", valkey_url)
    yield made
    made.stop()


class Planted:
    def __reduce__(self) -> Any:
        return os.mkdir, ("planted",)


def forged() -> list[Any]:
    """One of everything that is not ours."""
    good = [[JOB], {}, {}]
    bomb = base64.b64encode(zlib.compress(b"[" * 50_000_000)).decode()
    pickled = base64.b64encode(pickle.dumps(Planted())).decode()
    return [
        b"not JSON at all",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"null",
        b"7",
        b"[1, 2]",
        b"{}",
        {"properties": {}},
        {**envelope(good), "properties": {"delivery_tag": "t", "delivery_info": {}}},
        {**envelope(good), "body": "%%%no base64%%%"},
        {**envelope(good), "body": bomb, "headers": {**envelope(good)["headers"], "compression": "gzip"}},
        {**envelope(good), "body": pickled, "content-type": "application/x-python-serialize"},
        {**envelope(good), "content-type": "application/x-yaml"},
        {**envelope(good), "headers": {}},
        envelope(good, callbacks=[{"task": "retraind.train", "args": [JOB], "kwargs": {}, "options": {}}]),
        envelope(good, chain=[{"task": "retraind.train", "args": [JOB], "kwargs": {}, "options": {}}]),
        envelope(good, eta=0),  # of which Celery's request makes an exception of the whole worker
        envelope([[JOB], None, {}]),
        {**envelope(good), "body": base64.b64encode(json.dumps(good).encode("utf-16")).decode()},
        envelope([[JOB], {}, {"__type__": None, "__value__": None}]),
        envelope(good, task="celery.map"),
        envelope(good, task="no.such.task"),
        envelope(good, id={"no": "text"}),
        envelope(good, eta="2030-01-01T00:00:00+00:00"),
        envelope([[JOB], {}, {"chain": [{"task": "retraind.train", "args": [JOB], "kwargs": {}, "options": {}}]}]),
        envelope([[{"$": 1}], {}, {}]),
        envelope([["../../../etc"], {}, {}]),
        envelope([[JOB], {"x": 1}, {}]),
        envelope(good),  # of the right form, and no such job
        envelope([["nobody"], {}, {}], task=CONVERGE),
    ]


@pytest.mark.timeout(240)
def test_every_kind_of_forged_message_is_refused_and_counted_and_the_worker_lives(forger: Forger) -> None:
    events, family = forger.events(), psutil.Process(forger.worker.pid).children()
    entries = forged()
    forger.send(*entries)
    forger.wait("count of them all", lambda: forger.refused() >= len(entries))
    assert forger.refused() == len(entries)
    assert forger.events() == events  # the ledger was told of none
    assert not list(forger.settings.directory.rglob("planted"))
    assert psutil.Process(forger.worker.pid).children() == family  # nobody died of it
    said = forger.log.read_text()
    assert "Traceback" not in said
    assert said.count("messages_refused") == 1
    assert forger.broker.llen("retraind") == 0
    assert forger.broker.hlen("unacked") == 0


@pytest.mark.parametrize(("task", "argument"), [(TIDY, EVERYTHING), (CONVERGE, "delays")])
def test_a_job_does_not_wait_for_each_of_the_same_wake_ups_before_it(forger: Forger, task: str, argument: str) -> None:
    with forger.ledger.write("user:ann") as transaction:
        job = jobs.request(transaction, "delays", reason="to be done behind what piled up during a long training")
    assert job is not None
    forger.send(*(envelope([[argument], {}, {}], task=task) for _ in range(120)))
    begun = time.monotonic()
    forger.send(envelope([[job], {}, {}], task=stage_task(Stage.INGEST)))

    def looked_at() -> bool:
        with forger.ledger.read() as connection:
            found = jobs.get(connection, job)
        return found is not None and found.state != "requested"

    forger.wait("the job", looked_at, seconds=120)
    assert time.monotonic() - begun < 60  # and not a second for each


@pytest.mark.timeout(300)
def test_a_flood_costs_neither_log_lines_nor_writes_and_a_real_job_behind_it_is_done(forger: Forger) -> None:
    for _ in range(3):
        forger.send(*(envelope([[f"{number:06d}/../x"], {}, {}]) for number in range(1000)))
    forger.send(
        *(envelope([[f"{number:06d}-000000-abcdef"], {}, {}], task=stage_task(Stage.INGEST)) for number in range(100))
    )
    with forger.ledger.write("user:ann") as transaction:
        job = jobs.request(transaction, "delays", reason="to be done behind the flood")
    assert job is not None
    lines = len(forger.log.read_text().splitlines())
    forger.send(envelope([[job], {}, {}], task=stage_task(Stage.INGEST)))
    forger.wait("end of the flood", lambda: forger.refused() >= 3_100, seconds=120)

    def looked_at() -> bool:
        with forger.ledger.read() as connection:
            found = jobs.get(connection, job)
        return found is not None and found.state != "requested"

    forger.wait("the real job", looked_at)
    grown = [line for line in forger.log.read_text().splitlines()[lines:] if job not in line]
    assert len(grown) < 20, grown[:40]


@pytest.mark.timeout(240)
def test_remote_control_answers_questions_and_obeys_nobody(forger: Forger) -> None:
    app = celery_app(forger.settings, publisher=False)
    control = app.control
    before = forger.refused()
    for order in ("shutdown", "pool_shrink", "pool_restart", "disable_events", "no_such_order"):
        control.broadcast(order)
    control.rate_limit(stage_task(Stage.TRAIN), "1/h")
    control.time_limit(stage_task(Stage.TRAIN), soft=1, hard=1)
    control.cancel_consumer("retraind")
    control.add_consumer("other")
    control.revoke(str(uuid.uuid4()), terminate=True)
    control.broadcast("query_task", arguments={"no": "such argument"})
    control.broadcast("hello", arguments={"from_node": "x", "revoked": {JOB: 1}})
    forger.broker.publish("/0.celery.pidbox", b"no JSON")
    forger.broker.publish("/0.celery.pidbox", json.dumps(envelope("a text")).encode())
    forger.broker.publish("/0.celery.pidbox", json.dumps({**envelope([1]), "headers": {"clock": "noon"}}).encode())
    forger.wait("count of the orders", lambda: forger.refused() >= before + 15)
    inspect = control.inspect(timeout=30, limit=1)  # there is one worker: no second answer is waited for
    answers = inspect.ping()
    assert answers is not None
    assert [answer["ok"] for answer in answers.values()] == ["pong"]
    (queues,) = inspect.active_queues().values()
    assert [queue["name"] for queue in queues] == ["retraind"]
    (registered,) = inspect.registered().values()
    assert {*TASKS} <= set(registered)
    (stats,) = inspect.stats().values()
    assert stats["pool"]["max-concurrency"] == 1
    assert "Traceback" not in forger.log.read_text()
    app.close()


def test_no_question_changes_anything() -> None:
    from celery.worker.control import Panel

    orders = {name for name, facts in Panel.meta.items() if facts.type == "control"}
    assert {"shutdown", "revoke", "rate_limit", "pool_grow"} <= orders
    assert not orders & QUESTIONS
