"""Brings the ledger's schema to this version, once, whoever comes first.

Processes of several versions work on one ledger while it is upgraded. A migration therefore only
adds what older ones may leave out, and the ledger says how far back that holds: `schema_version`
names the newest migration done, `alembic_version` (all that schema 0001 looks at) the oldest schema
whose processes may go on. A migration that older processes cannot live with raises both.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, text
from sqlalchemy import table as table_of

from retraind import faults
from retraind.errors import LedgerNewer

HEAD = "0002"  # the newest migration
_DONE = "schema_version"
_OLDEST = "alembic_version"
_ADVISORY_LOCK = 0x72657472  # "retr"


def ensure_schema(engine: Engine) -> None:
    """Creates or migrates. Raises LedgerNewer when a newer retraind has made the schema one that this cannot use."""
    done, oldest = _versions(engine)
    if oldest is not None and oldest > HEAD:
        raise LedgerNewer(
            f"the ledger has schema {done}, for retraind of schema {oldest} or newer, and this one knows {HEAD}; "
            "upgrade retraind on this machine"
        )
    if done is not None and done >= HEAD:
        return
    with _alone(engine):
        done, _ = _versions(engine)
        if done is None or done < HEAD:
            _migrate(engine)


def _versions(engine: Engine) -> tuple[str | None, str | None]:
    """The newest migration done, and the oldest schema whose processes may go on. None for both: an empty database."""
    with engine.connect() as connection:
        found = [_version(connection, table) for table in (_DONE, _OLDEST)]
    done, oldest = found
    return done or oldest, oldest  # schema 0001 has but one of them


def _version(connection: Connection, table: str) -> str | None:
    if not inspect(connection).has_table(table):
        return None
    return connection.execute(select(column("version_num")).select_from(table_of(table))).scalar()


def _migrate(engine: Engine) -> None:
    from alembic import command  # slow to import, and needed once a version
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes |= {"engine": engine, "version_table": _DONE}
    with engine.connect() as connection:
        begun_by_first = _version(connection, _DONE) is None and _version(connection, _OLDEST) is not None
    with faults.around("ledger.migrate"):
        if begun_by_first:
            command.stamp(config, "0001")
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
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))  # it only waits
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield
