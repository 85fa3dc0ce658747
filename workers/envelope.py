"""What comes off the broker's wire, made safe to look at and to acknowledge.

kombu takes every entry of a queue for a message of its own making: one that is not JSON, lacks a field or
unpacks to gigabytes ends the worker or fills its memory. Here such an entry becomes an empty message,
which the doorway then refuses like any other that is not ours.

A message takes one of the worker's few places until it is acknowledged. kombu keeps the place for good where
the acknowledgement fails, and a worker with no place left takes nothing more, without a word. Here the place
is free whatever became of the acknowledgement: the message may come again, and is then one wake-up more.
"""

import json
import uuid
from typing import Any

import structlog
from kombu.transport import redis
from kombu.transport.virtual import Message, QoS

_log = structlog.get_logger(__name__)
MOST_CHARACTERS = 16_384  # of a body; ours have 200


def guard_transport() -> None:
    """Makes kombu's Redis transports, in this process, read entries through here."""
    redis.Transport.Channel = _guarded(redis.Channel)
    redis.SentinelTransport.Channel = _guarded(redis.SentinelChannel)
    redis.loads = _read  # kombu's own also makes dates and numbers of what an entry marks as such, and may fail


class Envelope(Message):  # type: ignore[misc]  # kombu has no types
    """A message; an empty one where the entry is not what kombu writes."""

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        if is_sound(payload):
            try:
                super().__init__(payload, channel, **options)
            except ValueError:  # a body that is not the base64 it is marked as
                pass
            else:
                return
        super().__init__(_nothing(), channel, **options)

    def ack_log_error(self, logger: Any, errors: Any, multiple: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # as Celery calls it
        """Acknowledges; what is wrong with the broker is for the next read to say, and not an alarm of its own."""
        try:
            self.ack(multiple=multiple)
        except errors as error:
            _log.info("acknowledgement_failed", error=str(error))


class Places(redis.QoS):  # type: ignore[misc]  # kombu has no types
    """The messages that were taken and not acknowledged yet, as many as there may be."""

    def ack(self, delivery_tag: Any) -> None:
        """Raises what the broker's client raises, the place being free by then."""
        try:
            super().ack(delivery_tag)
        except BaseException:
            QoS.ack(self, delivery_tag)
            raise


def is_sound(payload: Any) -> bool:
    """True for what can be opened without harm. What it says is not judged here."""
    if not isinstance(payload, dict):
        return False
    headers, properties, body = payload.get("headers"), payload.get("properties"), payload.get("body")
    if not isinstance(properties, dict) or not isinstance(headers, dict | None):
        return False
    info = properties.get("delivery_info")
    return (
        not (headers or {}).get("compression")
        and _is_word(properties.get("delivery_tag"))
        and properties.get("body_encoding") in (None, "base64")
        and isinstance(info, dict)
        and _is_word(info.get("exchange"))
        and _is_word(info.get("routing_key"))
        and isinstance(body, str | None)
        and len(body or "") <= MOST_CHARACTERS
        and all(isinstance(payload.get(name), str | None) for name in ("content-type", "content-encoding"))
    )


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 255


def _nothing() -> dict[str, Any]:
    tag, nowhere = str(uuid.uuid4()), {"exchange": "", "routing_key": ""}
    return {"body": "", "headers": {}, "properties": {"delivery_tag": tag, "delivery_info": nowhere}}


def _read(text: str) -> Any:
    """The entry as plain values; None where it is no JSON, or nested without end."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _guarded(channel: Any) -> Any:
    return type(channel.__name__, (channel,), {"Message": Envelope, "QoS": Places})
