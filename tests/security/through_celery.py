"""A worker's whole way of a message in one process: off the wire, through the doorway, Celery's request and its tracer.

What takes a broker or a child process is stood for by the least that will do; Celery and kombu are the real ones.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from celery.worker import state
from kombu.transport import redis, virtual
from kombu.utils import json as kombu_json
from kombu.utils.encoding import bytes_to_str

from retraind.config.settings import Settings
from retraind.messages import TASKS
from retraind.queue import celery_app
from workers import refusals, session
from workers.doorway import Doorway
from workers.envelope import Envelope


class Channel:
    """Opens bodies as kombu does, and counts acknowledgements."""

    codecs = virtual.Channel.codecs
    decode_body = virtual.Channel.decode_body
    no_ack_consumers = None

    def __init__(self) -> None:
        self.acknowledged = 0

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        self.acknowledged += 1


class Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Worker:
    """Takes one message after another, and knows what came of the last."""

    def __init__(self, settings: Settings) -> None:
        self.calls: list[tuple[str, Any]] = []  # of our tasks: name and argument
        self.sent: list[Any] = []  # messages that Celery would send on
        self.warnings = Warnings()
        self._app = celery_app(settings, publisher=False)
        self._app.conf.broker_url = "memory://"
        self._app.amqp.__dict__["send_task_message"] = lambda _, *arguments, **__: self.sent.append(arguments)
        for name in TASKS:
            self._app.task(self._noting(name), name=name)
        self._door = self._doorway()
        self._handle = self._door.create_task_handler()

    def take(self, entry: bytes) -> tuple[int, int]:
        """The number of messages that were refused, and of acknowledgements. Raises what would end the worker."""
        for each in (self.calls, self.sent, self.warnings.lines, self._door._done):
            each.clear()
        before, channel = refusals.total(), Channel()
        message = Envelope(redis.loads(bytes_to_str(entry)), channel=channel)
        message.accept = {"application/json"}
        if message.errors:
            message._reraise_error(self._door.on_decode_error)
        else:
            self._handle(message)
        return refusals.total() - before, channel.acknowledged

    def apply_async(self, target: Any, args: Any, accept_callback: Any, callback: Any, **_: Any) -> None:
        """As the pool of children does it, but here and now."""
        accept_callback(os.getpid(), time.monotonic())
        callback(target(*args, app=self._app))

    def _noting(self, name: str) -> Any:
        def stage_task(argument: object) -> None:
            self.calls.append((name, argument))

        return stage_task

    def _doorway(self) -> Any:
        """With what its handler of messages asks for: a whole consumer would connect."""
        door: Any = object.__new__(Doorway)
        vars(door).update(
            app=self._app, pool=self, hostname="worker@here", controller=SimpleNamespace(state=state), strategies={},
            timer=SimpleNamespace(call_at=None), connection_errors=(OSError,), on_task_message=set(), restart_count=0,
            disable_rate_limits=True, task_buckets=dict.fromkeys(self._app.tasks), _maximum_prefetch_restored=True,
            event_dispatcher=SimpleNamespace(enabled=True, send=lambda kind, **told: kombu_json.dumps(told)),
            on_task_request=lambda request: request.execute_using_pool(self),
            call_soon_ack=lambda call, *arguments, **options: call(*arguments, **options), _done={}, _waiting=set(),
        )  # fmt: skip
        door.update_strategies()
        return door


@contextmanager
def worker(settings: Settings) -> Iterator[Worker]:
    """A worker; what it changed in the process is as it was afterwards."""
    loads, sessions = redis.loads, dict(session._sessions)
    from workers import envelope

    redis.loads = envelope._read
    session._sessions[os.getpid()] = session.Session(settings)
    made, logger = Worker(settings), logging.getLogger("celery")
    logger.addHandler(made.warnings)
    try:
        yield made
    finally:
        logger.removeHandler(made.warnings)
        redis.loads = loads
        session._sessions.clear()
        session._sessions.update(sessions)


def as_bytes(entry: Any) -> bytes:
    return json.dumps(entry).encode()
