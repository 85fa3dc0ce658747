"""The consumer's patience: a broker that is absent is a state, told once, and is asked for again ever less often.

Celery's own consumer logs each attempt, and comes back after a time that grows without end.
"""

import logging
import random
import time
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.consumer import consumer as celery_consumer
from celery.worker.state import maybe_shutdown

from retraind.broker import broker_url, must_listen
from retraind.errors import BrokerUnreachable
from retraind.outage import Backoff
from workers import presence
from workers.session import current

_SHORT_SECONDS = 10.0  # a connection that lasted no longer counts as one more failure
_SLICE_SECONDS = 0.5  # a stop asked for meanwhile is noticed within it
_TOLD_ELSEWHERE = frozenset({celery_consumer.CONNECTION_RETRY, celery_consumer.CONNECTION_ERROR})


def _untold(record: logging.LogRecord) -> bool:
    said = {record.msg, *(record.args if isinstance(record.args, tuple) else ())}
    return _TOLD_ELSEWHERE.isdisjoint(word for word in said if isinstance(word, str))


logging.getLogger(celery_consumer.__name__).addFilter(_untold)


class PatientConsumer(Consumer):  # type: ignore[misc]  # celery has no types
    """Celery's consumer, with our way of waiting for the broker."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._backoff = Backoff()
        self._connected_at: float | None = None
        super().__init__(*arguments, **options)

    def ensure_connected(self, conn: Any) -> Any:
        """`conn`, connected. Waits as long as it takes, or until the worker is asked to stop."""
        session = current()
        failures: tuple[type[BaseException], ...] = (
            BrokerUnreachable,
            *self.connection_errors,
            *self.channel_errors,
        )
        presence.begin(session)  # a worker that has no broker is alive, and says so
        if self._connected_at is not None and time.monotonic() - self._connected_at < _SHORT_SECONDS:
            _wait(self._backoff.next())
        else:
            self._backoff.reset()
        while True:
            maybe_shutdown()
            try:
                must_listen(broker_url(session.settings))  # at once; the client behind the transport takes its time
                conn = conn.ensure_connection(max_retries=1, interval_start=random.random(), callback=maybe_shutdown)  # noqa: S311
            except failures as error:
                if session.broker.enter(error):
                    presence.waiting()
                _wait(self._backoff.next())
            else:
                session.broker.leave()
                self.first_connection_attempt = False
                self._connected_at = time.monotonic()
                return conn

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """The connection broke."""
        current().broker.enter(exc)
        super().on_connection_error_after_connected(exc)


def _wait(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        maybe_shutdown()
        time.sleep(min(left, _SLICE_SECONDS))
