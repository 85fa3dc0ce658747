"""Reads a Postgres database in a session that the server itself holds to reading."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import URL, make_url
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ArgumentError

from retraind.errors import StoreBusy, StoreError
from retraind.redaction import redact_values
from retraind.store.answers import answer
from retraind.store.session import Session

# isort: split

import adbc_driver_manager  # after the session, which imports the driver manager alone
import adbc_driver_postgresql.dbapi

_CONNECT_SECONDS = 10.0
_LOCK_SECONDS = 5.0
_IDLE_SECONDS = 30


class PostgresSession(Session):
    """Every transaction is read-only, short and its own (autocommit).

    The settings travel with the connection's start, not in a SET: a SET would stay behind in a
    pooled server connection and make the application's own transactions read-only.
    """

    dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    # COPY, the driver's way to many rows, fails while they are read, where only pyarrow learns the error's SQLSTATE;
    # any other statement has failed by then.
    few_rows: ClassVar[Mapping[str, str]] = {"adbc.postgresql.use_copy": "false"}

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url = _parsed(url)
        super().__init__(_shown(self._url), timeout_seconds)

    def _connect(self) -> Any:
        connection = adbc_driver_postgresql.dbapi.connect(_conninfo(self._url, self.timeout_seconds), autocommit=True)
        try:
            self._refuse_unless_read_only(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_unless_read_only(self, connection: Any) -> None:
        """A pooler may have swallowed the settings."""
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**self.few_rows)
            cursor.execute("SELECT current_setting('default_transaction_read_only')")
            if answer(cursor).rows != [("on",)]:
                raise StoreError(
                    f"{self.name} did not make the session read-only: something between (a pooler?) dropped the "
                    "connection's options; connect to the server itself, or let the pooler pass options on"
                )

    def _lost(self, error: Exception) -> bool:
        if not isinstance(error, adbc_driver_manager.Error):
            return False
        if error.sqlstate:
            return str(error.sqlstate).startswith(("08", "57P"))
        return bool(error.status_code == adbc_driver_manager.AdbcStatusCode.IO)

    def _translated(self, error: Exception) -> StoreError:
        said = redact_values(_message(error), [str(self._url.password or "")])
        state = getattr(error, "sqlstate", None) or ""
        for states, busy, meaning in _MEANINGS:
            if state.startswith(states):
                return (StoreBusy if busy else StoreError)(meaning.format(name=self.name, said=said))
        if not state and any(text in said for text in _REFUSALS):
            return StoreError(f"{self.name} lets nobody in: {said}; correct predictions: {{url: ...}}")
        if not state and isinstance(error, adbc_driver_manager.Error):
            return StoreBusy(f"{self.name} cannot be reached: {said}; the next look tries again")
        return StoreError(f"{self.name} cannot be read: {said}")


_AGAIN = "the next look tries again"
_MEANINGS = (
    (("57014",), True, f"{{name}} stopped a query that took too long ({{said}}); {_AGAIN}, or allow more with "
     "predictions: {{timeout: ...}}, or index the timestamp column"),
    (("55P03",), True, f"{{name}} is locked by another session ({{said}}); {_AGAIN}"),
    (("08", "57P", "53", "40"), True, f"{{name}} cannot answer just now: {{said}}; {_AGAIN}"),
    (("42501",), False, "{name} refuses: {said}; GRANT SELECT on the table (and USAGE on its schema) to this role"),
    (("22007", "22008"), False, "{name} holds a time that cannot be read: {said}; write ISO 8601, or use timestamptz"),
    (("22P02",), False, "{name} holds text that is not what its column should hold: {said}; mend the rows"),
    (("42P01", "42703"), False, "{name} has changed since the last look: {said}; correct predictions"),
)  # fmt: skip
_REFUSALS = (
    "authentication failed",
    "does not exist",
    "pg_hba.conf",
    "permission denied",
    "no password supplied",
    "invalid",
    "unsupported",  # options, by a pooler
)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(
            "this URL cannot be read; write postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with / : @ and % of a password written %2F %3A %40 and %25"
        ) from None


def _shown(url: URL) -> str:
    """The address without password and options."""
    host = url.host or str(url.query.get("host", "")) or "localhost"
    who = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{who}{host}{port}/{url.database or ''}"


def _conninfo(url: URL, timeout_seconds: float) -> str:
    """libpq's own form, value by value: a misspelt URL in an error message could show the password."""
    asked = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    whole = math.ceil(min(timeout_seconds, _CONNECT_SECONDS))
    settings = {
        "application_name": "retraind",
        "connect_timeout": str(max(whole, 2)),
        "keepalives_idle": "30",
        **asked,
        **{
            name: str(value)
            for name, value in (
                ("host", url.host),
                ("port", url.port),
                ("user", url.username),
                ("password", url.password),
                ("dbname", url.database),
            )
            if value is not None
        },
        "options": f"{asked.get('options', '')} {_options(timeout_seconds)}".strip(),
    }
    return " ".join(f"{name}={_quoted(value)}" for name, value in settings.items())


def _options(timeout_seconds: float) -> str:
    settings: Mapping[str, object] = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{math.ceil(timeout_seconds * 1000)}ms",
        "lock_timeout": f"{math.ceil(min(timeout_seconds, _LOCK_SECONDS) * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
        "timezone": "UTC",
        "datestyle": "ISO",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _message(error: Exception) -> str:
    """The server's own words: one line, without the driver's prefix."""
    text = str(error)
    for mark in ("ERROR:  ", "FATAL:  ", "Failed to connect: "):
        if mark in text:
            text = text.split(mark, 1)[1]
            break
    return (text.strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
