"""Brings the ledger's schema to this version, once, whoever comes first."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, inspect, text

from retraind import faults
from retraind.errors import LedgerError

HEAD = "0001"  # the newest migration
_ADVISORY_LOCK = 0x72657472  # "retr"


def ensure_schema(engine: Engine) -> None:
    """Creates or migrates. Raises LedgerError when the schema is newer than this version of retraind."""
    found = _version(engine)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise LedgerError(
            f"the ledger has schema {found}, this retraind knows {HEAD}; upgrade retraind on this machine"
        )
    with _alone(engine):
        if _version(engine) != HEAD:
            _migrate(engine)


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    from alembic import command  # slow to import, and needed once a version
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    with faults.around("ledger.migrate"):
        command.upgrade(config, "head")


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Holds off every other process that would migrate the same ledger."""
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    else:
        with engine.connect() as connection, connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield
