"""Opens the predictions store that a model's settings name."""

from typing import TYPE_CHECKING

from retraind.config.predictions import Predictions
from retraind.store.contract import PredictionsStore

if TYPE_CHECKING:
    from retraind.store.backend import Backend


def open_store(settings: Predictions) -> PredictionsStore:
    """The store, without touching the database yet: the first question connects.

    Raises StoreError for a URL that names no SQLite file and no Postgres database.
    """
    from retraind.store.reader import TableReader  # brings SQLAlchemy and the driver

    return TableReader(settings, open_backend(settings.url, settings.timeout.total_seconds()))


def open_backend(url: str, timeout_seconds: float) -> "Backend":
    """The database behind `url`. Raises StoreError as `open_store` does."""
    if url.startswith("sqlite:"):
        from retraind.store.sqlite import SqliteBackend

        return SqliteBackend(url, timeout_seconds)
    from retraind.store.postgres import PostgresBackend

    return PostgresBackend(url, timeout_seconds)
