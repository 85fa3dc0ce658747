"""What the parts below a verb log: warnings only, as plain sentences on standard error.

Left to itself structlog writes to standard output, which belongs to the result.
"""

import logging
from collections.abc import MutableMapping
from typing import Any, NoReturn

import structlog

from daemon.cli.output import tell_aside


def log_as_asides() -> None:
    """Called once the configuration is loaded; processes that run on set up their own logging after it."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _tell],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _tell(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
    """The error's own sentence where there is one, else the event with its fields."""
    name = event.pop("event")
    said = event.get("error") or ", ".join([str(name), *(f"{key} {value}" for key, value in event.items())])
    tell_aside(f"retraind: {said}")
    raise structlog.DropEvent
