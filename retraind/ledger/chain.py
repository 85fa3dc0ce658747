"""The hash chain of events: one canonical form, shared by the ledger, the audit log and their verification."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from retraind.clock import rfc3339

SCHEMA = 1
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_AS_IT_IS = frozenset({str, int, bool})
GENESIS = "0" * 64  # `prev` of the first event


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: instants as RFC 3339, NaN and infinities as None, keys as text."""
    if value is None or type(value) in _AS_IT_IS:
        return value
    if isinstance(value, (dict, Mapping)):  # a dict is told at once, a Mapping is asked for
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value)


def canonical(record: Mapping[str, Any]) -> str:
    """The one JSON text of `record`: sorted keys, no spaces, UTF-8 kept. Raises ValueError for NaN."""
    return _JSON.encode(record)


def record_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The audit line of an `events` row, without its hash; `event["time"]` is an aware datetime."""
    return {
        "schema": SCHEMA,
        "seq": event["seq"],
        "time": rfc3339(event["time"]),
        "event": event["event"],
        "model": event["model"],
        "job": event["job"],
        "actor": event["actor"],
        "data": event["data"],
        "prev": event["prev"],
    }


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over the canonical JSON of `record` (which carries `prev`)."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()
