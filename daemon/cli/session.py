"""What a verb works with: the configuration, the ledger, and who is asking."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.cli import output
from retraind.errors import ConfigurationError, LedgerError

if TYPE_CHECKING:
    from retraind.audit import AuditLog
    from retraind.config.settings import Settings
    from retraind.ledger import Ledger
    from retraind.ledger.rows import Job


@dataclass(frozen=True)
class Session:
    """One call of the command."""

    settings: "Settings"
    ledger: "Ledger"
    audit: "AuditLog"

    def known(self, model: str) -> str:
        """`model`, if it is configured. Raises ConfigurationError with the nearest name otherwise."""
        known_model(self.settings, model)
        return model

    def job(self, name: str) -> "Job":
        """The job with the id `name`, or the one job whose id ends so.

        Raises ConfigurationError where there is none, or several.
        """
        from retraind.ledger import jobs

        with self.ledger.read() as connection:
            found = jobs.get(connection, name)
            candidates = [] if found else [j for j in jobs.latest(connection, limit=10_000) if j.id.endswith(name)]
        if found is not None:
            return found
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise ConfigurationError(
                f"{len(candidates)} jobs end in {name!r}; write more of the id, as {candidates[0].id}"
            )
        if name in self.settings.models:
            raise ConfigurationError(f"{name!r} is a model, not a job; `retraind jobs {name}` lists its jobs")
        raise ConfigurationError(f"there is no job {name!r}; `retraind jobs` lists them")


def known_model(settings: "Settings", model: str) -> None:
    """Raises ConfigurationError with the nearest name for a model that is not configured."""
    from retraind.nearest import did_you_mean

    if model not in settings.models:
        names = ", ".join(settings.models)
        raise ConfigurationError(
            f"there is no model {model!r} in the configuration{did_you_mean(model, settings.models)}; it has: {names}"
        )


def load_settings(config: Path | None) -> "Settings":
    """The configuration that `--config`, RETRAIND_CONFIG or ./retraind.yaml names. Raises ConfigurationError."""
    from daemon.cli.asides import log_as_asides
    from retraind.config.loading import find_configuration, load
    from retraind.privacy import keep_private

    keep_private()
    settings = load(find_configuration(config, os.environ), os.environ)
    output.hide(settings)
    log_as_asides()
    return settings


@contextmanager
def session(config: Path | None) -> Iterator[Session]:
    """Configuration and ledger, open. Raises ConfigurationError or LedgerError."""
    from retraind.opening import open_ledger

    settings = load_settings(config)
    try:
        ledger, audit = open_ledger(settings)
    except OSError as error:
        raise LedgerError(
            f"the ledger's directory {error.filename or settings.state} cannot be used: {error.strerror or error}; "
            "mend its permissions, or name another directory with state:"
        ) from error
    try:
        yield Session(settings, ledger, audit)
    finally:
        ledger.close()


def actor() -> str:
    """Who is asking, as the ledger and the audit log name them."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return f"user:{os.getuid()}"
