"""Announcing a job: a message in the broker, or an error at once."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from templates import empty_ledger

from retraind.config.loading import load
from retraind.errors import BrokerUnreachable
from retraind.ledger import Ledger, jobs
from retraind.queue import Queue, queues

CONFIGURATION = """
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db"}}
    training: {{trainer: {{sklearn: sklearn.linear_model.LogisticRegression}}}}
broker: "{broker}"
"""


def announcer(folder: Path, broker: str) -> Queue:
    (folder / "retraind.yaml").write_text(CONFIGURATION.format(broker=broker))
    settings = load(folder / "retraind.yaml", {})
    return Queue(settings, Ledger.open(empty_ledger(settings.state / "ledger.db")))


def requested(queue: Queue) -> str:
    with queue.ledger.write("daemon") as transaction:
        job = jobs.request(transaction, "delays", reason="because")
    assert job is not None
    return job


def test_an_announced_job_is_queued_and_its_message_names_the_next_stage(tmp_path, valkey_url):
    queue = announcer(tmp_path, valkey_url)
    job = requested(queue)
    queue.announce(job, "daemon")
    with redis.Redis.from_url(valkey_url) as client:
        (message,) = [json.loads(raw) for raw in client.lrange("retraind", 0, -1)]
    assert message["headers"]["task"] == "retraind.ingest"
    with queue.ledger.read() as connection:
        assert jobs.get(connection, job).state == "queued"


@pytest.mark.parametrize("broker", ["embedded", "redis://127.0.0.1:1/0"])
def test_a_broker_that_is_away_is_told_at_once_and_the_job_stays_to_be_announced(tmp_path, broker):
    queue = announcer(tmp_path, broker)
    job = requested(queue)
    began = time.monotonic()
    with pytest.raises(BrokerUnreachable, match="does not answer"):
        queue.announce(job, "daemon")
    assert time.monotonic() - began < 3
    with queue.ledger.read() as connection:
        assert [found.id for found in jobs.unclaimed(connection, datetime.now(UTC), datetime.now(UTC))] == [job]


@pytest.mark.parametrize(
    ("extra", "queue_name"),
    [
        ("", "retraind"),
        ("workers: {queues: {ingest: near-the-data}}", "near-the-data"),
        ("workers: {queues: {train: gpu}}", "retraind"),
    ],
)
def test_a_stage_goes_to_the_queue_that_is_named_for_it(tmp_path, valkey_url, extra, queue_name):
    (tmp_path / "retraind.yaml").write_text(CONFIGURATION.format(broker=valkey_url) + extra + "\n")
    settings = load(tmp_path / "retraind.yaml", {})
    queue = Queue(settings, Ledger.open(empty_ledger(settings.state / "ledger.db")))
    queue.announce(requested(queue), "daemon")
    with redis.Redis.from_url(valkey_url) as client:
        assert client.llen(queue_name) == 1
    assert queue_name in queues(settings)
