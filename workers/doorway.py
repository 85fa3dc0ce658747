"""Where messages come in. Whoever can write to the broker can do no more than wake a job that exists.

A message passes if it is one that `retraind.queue` could have sent: a task of ours, one id of the right
form, and nothing that would have Celery do more (no eta, link, chain, chord or retry). All else is
refused and counted, before Celery looks at it, with neither a log line nor a word to the ledger of its
own. Remote control answers questions, as `celery inspect` and Flower ask them, and obeys nobody.
"""

import json
import logging
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from celery.worker import control
from kombu.pidbox import Node

from retraind.messages import CONVERGE, EVERYTHING, JOB_ID, TASKS, TIDY
from workers.envelope import guard_transport
from workers.patience import PatientConsumer
from workers.refusals import refuse

_logger = logging.getLogger(__name__)
CONVERGENCES_APART_SECONDS = 1.0  # of one model, and tidyings; messages that come quicker are taken for one
_PLAIN = "application/json"
# What a message of ours says beside its task and ids: texts that only tell, and these values. Celery's tracer takes
# every header for a setting of the task, a `chain` or `callbacks` among them; what is not known here must be None.
_TELLING = frozenset({"lang", "origin", "argsrepr", "kwargsrepr", "root_id", "parent_id"})
_AS_SENT: Mapping[str, tuple[Any, ...]] = {
    "retries": (0,),
    "replaced_task_nesting": (0,),
    "timelimit": ([None, None],),
    "ignore_result": (False, True),
    "stamps": ({},),
}
QUESTIONS = frozenset(
    {"active", "active_queues", "clock", "conf", "ping", "query_task", "registered", "report"}
    | {"reserved", "revoked", "scheduled", "stats"}
    | {"dump_active", "dump_reserved", "dump_revoked", "dump_schedule", "dump_tasks", "dump_conf"}
)


def guard(application: Any) -> None:
    """Puts the doorway before every worker of the application in this process."""
    guard_transport()
    application.conf.worker_consumer = "workers.doorway:Doorway"
    application.control.mailbox.node_cls = Desk
    control.Panel.data = {name: answer for name, answer in control.Panel.data.items() if name in QUESTIONS}


def fault_of(headers: Any, body: Any, content_type: Any, models: Collection[str]) -> str | None:
    """Why a message is not one of ours. None: it is.

    `body` is what came off the wire, and is only read where all that stands around it is sound.
    """
    if not isinstance(headers, Mapping) or not _is_ours(headers.get("task")):
        return "its task is not one of ours"
    if content_type != _PLAIN:
        return "it is not JSON"
    if not isinstance(headers.get("id"), str):
        return "its own id is not a text"
    if not all(_is_as_sent(name, value) for name, value in headers.items() if name not in {"task", "id"}):
        return "it asks for more than to be looked at"
    return _fault_of_body(body, {CONVERGE: models, TIDY: [EVERYTHING]}.get(headers["task"]))


def _is_ours(task: Any) -> bool:
    return isinstance(task, str) and task in TASKS


def _is_as_sent(name: str, value: Any) -> bool:
    return value is None or (name in _TELLING and isinstance(value, str)) or value in _AS_SENT.get(name, ())


def _fault_of_body(body: Any, models: Collection[str] | None) -> str | None:
    """Why a body is not that of a wake-up of one of `models`, or of a job where they are None."""
    try:
        arguments, options, more = json.loads(body)
        asks = any(value is not None for value in more.values())
        (argument,) = arguments
    except (TypeError, ValueError, AttributeError, RecursionError):
        return "its body is not that of a wake-up"
    if not isinstance(arguments, list) or options != {} or asks:
        return "it asks for more than to be looked at"
    if models is not None:
        return None if isinstance(argument, str) and argument in models else "it names no model"
    return None if isinstance(argument, str) and JOB_ID.fullmatch(argument) else "it names no job"


class Doorway(PatientConsumer):
    """Celery's consumer, behind the door."""

    def __init__(self, *arguments: Any, worker_options: Mapping[str, Any] | None = None, **options: Any) -> None:
        # What others say is not believed: by gossip they could have a task sent, by mingling one revoked.
        alone = {**(worker_options or {}), "without_gossip": True, "without_mingle": True}
        super().__init__(*arguments, worker_options=alone, **options)
        self._done: dict[tuple[str, str], float] = {}  # when the last of each task and argument was let in
        self._waiting: set[tuple[str, str]] = set()

    def create_task_handler(self, *arguments: Any, **options: Any) -> Any:
        handle = super().create_task_handler(*arguments, **options)
        return partial(self._at_the_door, handle)

    def _at_the_door(self, handle: Any, message: Any) -> None:
        from workers.session import current

        reason = fault_of(message.headers, message.body, message.content_type, current().settings.models)
        if reason is not None:
            self._turn_away(message, reason)
        elif message.headers["task"] in {CONVERGE, TIDY}:
            self._in_turn(handle, message)
        else:
            handle(message)

    def _in_turn(self, handle: Any, message: Any) -> None:
        """Converging and tidying cost, and once after the last message of a flood is as good as once for each.

        One that is put aside for its turn is acknowledged first: the broker hands out nothing more while it is
        not, and what waits behind it may be a job's next stage. Should it be lost, the reconciler asks again.
        """
        ((argument,), _, _) = json.loads(message.body)
        key = (message.headers["task"], argument)
        now = time.monotonic()
        due = self._done.get(key, 0.0) + CONVERGENCES_APART_SECONDS
        if key in self._waiting:
            self._turn_away(message, "what it asks for is about to be done")
        elif now >= due:
            self._done[key] = now
            handle(message)
        else:
            message.ack_log_error(_logger, self.connection_errors)
            message.ack_log_error = _acknowledged
            self._waiting.add(key)
            self.timer.call_after(due - now, self._late, (handle, message, key))

    def _late(self, handle: Any, message: Any, key: tuple[str, str]) -> None:
        self._waiting.discard(key)
        self._done[key] = time.monotonic()
        handle(message)

    def _turn_away(self, message: Any, reason: str) -> None:
        refuse(reason)
        message.ack_log_error(_logger, self.connection_errors)

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ARG002 - the signature is Celery's
        self._turn_away(message, "it cannot be decoded")

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002
        self._turn_away(message, "it is no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        self._turn_away(message, "its task is not one of ours")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        self._turn_away(message, "Celery does not understand it")


def _acknowledged(*_: Any) -> None:
    """In place of an acknowledgement that was sent already."""


class Desk(Node):  # type: ignore[misc]  # kombu has no types
    """Remote control that answers the questions in QUESTIONS, and counts all else as refused."""

    def handle_message(self, body: Any, message: Any = None) -> Any:
        try:
            if body["method"] in self.handlers and isinstance(body.get("arguments"), dict | None):
                return super().handle_message(body, message)
        except Exception:  # noqa: BLE001 - a forged question may break whatever reads it
            refuse("a question that cannot be answered")
            return None
        refuse("an order by remote control")
        return None

    def dispatch(self, method: str, arguments: Any = None, reply_to: Any = None, ticket: Any = None, **_: Any) -> Any:
        """The answer, also sent to `reply_to`. Raises whatever a forged question breaks."""
        answer = self.handle(method, arguments)
        if reply_to:
            self.reply({self.hostname: answer}, reply_to["exchange"], reply_to["routing_key"], ticket)
        return answer
