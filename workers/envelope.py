"""What comes off the broker's wire, made safe to look at.

kombu takes every entry of a queue for a message of its own making: one that is not JSON, lacks a field or
unpacks to gigabytes ends the worker or fills its memory. Here such an entry becomes an empty message,
which the doorway then refuses like any other that is not ours.
"""

import json
import uuid
from typing import Any

from kombu.transport import redis
from kombu.transport.virtual import Message

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
    return type(channel.__name__, (channel,), {"Message": Envelope})
