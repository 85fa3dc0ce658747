"""Log lines: one format for everything this process says, on standard error only.

Called once at the start of every process, and by nothing else. On a terminal a line is made to be
read; elsewhere it is one JSON object: `time` (UTC), `level`, `event` (a constant name; for other
libraries their message), `logger`, and fields. What other libraries log goes the same way.
`RETRAIND_LOG` (`json` or `text`) chooses the format, `RETRAIND_LOG_LEVEL` the least level.
"""

import logging
import math
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from retraind.errors import ConfigurationError
from retraind.nearest import did_you_mean
from retraind.redaction import KeepsSecrets, redact_data

_LEVELS = {name: logging.getLevelName(name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
# What these tell below that level is for their own authors.
_LEAST = {
    "alembic": logging.WARNING,
    "amqp": logging.WARNING,
    "apprise": logging.WARNING,
    "celery.app.trace": logging.WARNING,  # a line a message, of which anybody may send many
    "asyncio": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "kombu": logging.WARNING,
    "mlflow": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "urllib3": logging.WARNING,
    "watchdog": logging.WARNING,
}
_FIRST = ("time", "level", "event", "logger")


def configure_logging(settings: KeepsSecrets | None = None) -> None:
    """Sets up logging for this process. With `settings` their secrets never appear; without, only passwords do not.

    Raises ConfigurationError for a value of RETRAIND_LOG or RETRAIND_LOG_LEVEL that is not known.
    """
    level = _LEVELS[_chosen("RETRAIND_LOG_LEVEL", os.environ.get("RETRAIND_LOG_LEVEL", "INFO").upper(), _LEVELS)]
    default = "text" if sys.stderr.isatty() else "json"
    as_text = _chosen("RETRAIND_LOG", os.environ.get("RETRAIND_LOG") or default, ("json", "text")) == "text"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _Redacted(settings),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(as_text=as_text)],
        )
    )
    _take_over(handler, level)


def _take_over(handler: logging.Handler, level: int) -> None:
    """Makes `handler` the only way out, for this project, other libraries, warnings and threads that die."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in _LEAST.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_died


def _renderer(*, as_text: bool) -> Processor:
    if as_text:
        return structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)


class _Redacted:
    """Turns every field into what JSON can hold, secrets taken out, the fields that every line has first."""

    def __init__(self, settings: KeepsSecrets | None) -> None:
        self._settings = settings

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        # Fields with an underscore are structlog's own, on their way to the formatter.
        own = {name: value for name, value in event.items() if name.startswith("_")}
        fields = {name: _plain(value) for name, value in event.items() if name not in own}
        first = {name: fields.pop(name) for name in _FIRST if name in fields}
        redacted: dict[str, Any] = redact_data({**first, **fields}, self._settings)
        return {**redacted, **own}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    return str(value)


def _thread_died(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None and not isinstance(died.exc_value, SystemExit):
        name = died.thread.name if died.thread is not None else "unknown"
        structlog.get_logger(__name__).error("thread_died", thread=name, exc_info=died.exc_value)


def _chosen(variable: str, value: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    if value not in known:
        names = ", ".join(known)
        raise ConfigurationError(f"{variable} is {value!r}; write one of {names}{did_you_mean(value, tuple(known))}")
    return value
