"""The message broker: its URL, and whether what answers there is sound.

Called by whoever publishes or consumes (`retraind.queue`) and by `retraind check`.
"""

import hashlib
import os
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from retraind.errors import BrokerUnreachable
from retraind.lean import redis_client
from retraind.messages import DEFAULT_QUEUE
from retraind.redaction import redact

if TYPE_CHECKING:
    from retraind.config.settings import Settings

EMBEDDED = "embedded"
_SOCKET = "redis+socket://"
_LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103  # bytes, as sockaddr_un has room for
_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 5.0
_BINDING = "_kombu.binding."
# Exchanges that every Celery application makes, ours too.
_SHARED_EXCHANGES = frozenset({"celeryev", "celery.pidbox", "reply.celery.pidbox"})
_MOST_SCANS = 200  # of 1000 keys each: another's large database is looked into, not through
_OLDEST_SERVER = 6
_PONG = b"+PONG\r\n"


def broker_url(settings: "Settings") -> str:
    """The broker's URL as Celery and kombu take it."""
    if settings.broker != EMBEDDED:
        return settings.broker
    return f"redis+socket://{quote(str(socket_path(settings.state)))}?virtual_host=0"


def socket_path(state: Path) -> Path:
    """The embedded broker's socket: in the state directory, or in /tmp where that path is too long for a socket."""
    path = state.resolve() / "broker" / "broker.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    # Not the TMPDIR of whoever asks: every process must come to the same answer.
    digest = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:16]
    return Path("/tmp") / f"retraind-{digest}" / "broker.sock"  # noqa: S108 - private, see _private_directory


def probe(url: str, queues: Collection[str] = (DEFAULT_QUEUE,)) -> list[str]:
    """What is wrong with a broker that answers, a sentence each; empty when it is sound.

    `queues` are the names of retraind's own queues: bindings of any other are somebody else's.
    Raises BrokerUnreachable when it does not answer in time or lets us not in. Takes 8 seconds at most to connect.
    """
    if url.startswith("sentinel://"):
        return ["a sentinel:// broker cannot be examined from here; see that it evicts nothing and keeps its data"]
    with _asking(url) as client:
        facts = client.info()
        return [*_unsafe(facts), *_volatile(client, facts), *_foreign(client, frozenset(queues))]


def must_answer(url: str) -> None:
    """Raises BrokerUnreachable, at once, where nothing answers at `url`.

    Asked before each message, because the client inside Celery's transport tries for six seconds
    and cannot be told otherwise. A sentinel:// broker is not asked.
    """
    if url.startswith("sentinel://"):
        return
    with suppress(OSError):
        if _said(url) == _PONG:
            return  # most often, and without a client, which takes ten times as long to make
    with _asking(url) as client:
        client.ping()


def must_listen(url: str) -> None:
    """Raises BrokerUnreachable where nothing answers at `url`, whatever it says. Takes 8 seconds at most.

    Asked now and then by who has nothing to publish, so it needs no client. Brokers behind TLS or a
    sentinel are not asked.
    """
    try:
        if _said(url) == b"":
            raise ConnectionResetError("it closed the connection")
    except OSError as error:
        raise BrokerUnreachable(f"the broker {redact(url)} does not answer: {error}; {_mend(url)}") from error


def _said(url: str) -> bytes | None:
    """What the server says to PING, password or not. None: one of a kind that is not asked so. Raises OSError."""
    parts = urlsplit(url)
    address: Any = None
    if parts.scheme == "redis+socket":
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.settimeout(_CONNECT_SECONDS)
        address = unquote(parts.netloc + parts.path)
    elif parts.scheme == "redis":
        listener = socket.create_connection((parts.hostname or "localhost", parts.port or 6379), _CONNECT_SECONDS)
    else:
        return None
    with listener:
        if address is not None:
            listener.connect(address)
        listener.settimeout(_ANSWER_SECONDS)
        listener.sendall(b"PING\r\n")
        return listener.recv(len(_PONG))


def _mend(url: str) -> str:
    return "start `retraind up`" if url.startswith(_SOCKET) else "start it, or correct `broker`"


def waiting_messages(url: str, queues: Collection[str]) -> dict[str, int]:
    """How many messages wait in each of the queues. Empty where that cannot be asked (a sentinel:// broker).

    Raises BrokerUnreachable.
    """
    if url.startswith("sentinel://"):
        return {}
    with _asking(url) as client:
        return {queue: int(client.llen(queue)) for queue in queues}


@contextmanager
def _asking(url: str) -> Iterator[Any]:
    """A client whose failures are BrokerUnreachable, with the mend."""
    redis = redis_client()  # a fifth of a second that most commands need not spend

    try:
        with _client(url) as client:
            yield client
    except (redis.RedisError, OSError, ValueError) as error:
        said = redact(str(error)).strip().rstrip(".")
        raise BrokerUnreachable(f"the broker {redact(url)} does not answer: {said}; {_mend(url)}") from error


def _client(url: str) -> Any:
    """A client with explicit timeouts that tries once: redis-py's own defaults wait and retry."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_timeout": _ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "encoding_errors": "replace",
    }
    if not url.startswith(_SOCKET):
        options["socket_connect_timeout"] = _CONNECT_SECONDS
    return Redis.from_url(_for_redis(url), **options)


def _for_redis(url: str) -> str:
    """kombu's spelling of a URL in redis-py's."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if url.startswith(_SOCKET):
        database = query.get("virtual_host", "0").lstrip("/") or "0"
        return f"unix://{parts.netloc}{parts.path}?db={database}"
    if "ssl_cert_reqs" in query:
        query["ssl_cert_reqs"] = query["ssl_cert_reqs"].removeprefix("CERT_").lower()
    return parts._replace(query=urlencode(query)).geturl()


def _unsafe(facts: dict[str, Any]) -> Iterator[str]:
    version = str(facts.get("redis_version", _OLDEST_SERVER))
    if int(version.partition(".")[0]) < _OLDEST_SERVER:
        yield f"the broker is version {version}; retraind is made for {_OLDEST_SERVER} and newer: upgrade it"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield (
            f"the broker evicts keys when its memory is full (maxmemory-policy {policy}), queues among them; "
            "set maxmemory-policy noeviction"
        )
    if facts.get("role") in {"slave", "replica"}:
        yield "the broker is a read-only replica; name its primary"


def _volatile(client: Any, facts: dict[str, Any]) -> Iterator[str]:
    """Whether messages outlive a restart. Their loss is mended from the ledger, but late."""
    import redis

    if facts.get("aof_enabled"):
        return
    try:
        snapshots = str(client.config_get("save").get("save", ""))
    except redis.ResponseError:  # managed servers hide their configuration
        return
    lost = "since its last snapshot" if snapshots else "at all"
    kept = "only snapshots" if snapshots else "nothing on its disk"
    yield (
        f"the broker keeps {kept}, so after its restart no message {lost} is known until the ledger announces it "
        "again; set appendonly yes"
    )


def _foreign(client: Any, queues: frozenset[str]) -> Iterator[str]:
    """Bindings of other Celery applications: their visibility timeout would apply to our messages too."""
    import redis

    found: set[str] = set()
    cursor = 0
    try:
        for _ in range(_MOST_SCANS):
            cursor, keys = client.scan(cursor, match=f"*{_BINDING}*", count=1000)
            found |= {key.partition(_BINDING)[2] for key in keys}
            if not cursor:
                break
    except redis.ResponseError as error:
        yield f"the broker does not let us look for other applications' queues in its database: {redact(str(error))}"
        return
    others = sorted(found - _SHARED_EXCHANGES - queues)
    if others:
        listed = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        yield (
            f"another Celery application uses the same broker database (queues {listed}), and its settings would "
            "rule our messages too; give retraind a database number of its own, as redis://HOST:PORT/1"
        )
