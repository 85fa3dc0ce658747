"""The ledger's tables. Migrations build the same schema step by step; a test holds the two together.

The one index that is not here is in `retraind.ledger.partial_index`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from retraind.clock import parse_rfc3339, rfc3339
from retraind.ledger.chain import GENESIS
from retraind.states import OPEN_STATES


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, kept as RFC 3339 text of fixed width: the same in SQLite and Postgres, and sortable."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # the signature is SQLAlchemy's
        return None if value is None else rfc3339(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # the signature is SQLAlchemy's
        return None if value is None else parse_rfc3339(value)


metadata = MetaData()
is_open = text("state IN (" + ", ".join(sorted(f"'{state}'" for state in OPEN_STATES)) + ")")
_json = JSON(none_as_null=True)

models = Table(
    "models",
    metadata,
    Column("model", String, primary_key=True),
    Column("known_since", Instant, nullable=False),
    Column("paused_at", Instant),
    Column("paused_by", String),
    Column("pause_reason", Text),
    Column("fruitless_jobs", Integer, nullable=False, server_default="0"),  # in a row without a deployment
    Column("hold_until", Instant),  # the breaker's
)

triggers = Table(
    "triggers",
    metadata,
    Column("model", String, primary_key=True),
    Column("trigger", String, primary_key=True),
    Column("state", _json),
    Column("last_look_at", Instant),
    Column("outcome", String),
    Column("sentence", Text),
    Column("decision", Text),
    Column("next_look_at", Instant),
    Column("fired_at", Instant),
    Column("recent", _json),  # outcomes of the last looks, oldest first
    Column("armed", Boolean, nullable=False, server_default=text("true")),
    Column("quiet_looks", Integer, nullable=False, server_default="0"),  # in a row
    Column("errors", Integer, nullable=False, server_default="0"),  # in a row
)

looks = Table(
    "looks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("outcome", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("numbers", _json),
    Column("decision", Text, nullable=False),
    Column("job", String),
    Index("looks_by_trigger", "model", "trigger", "at"),
    Index("looks_by_time", "at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("state", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("forced", Boolean, nullable=False, server_default=text("false")),
    Column("lease_owner", String),
    Column("lease_token", Integer, nullable=False, server_default="0"),
    Column("lease_until", Instant),
    Column("not_before", Instant),  # a retry waits until then
    Column("published_at", Instant),
    Column("publications", Integer, nullable=False, server_default="0"),
    Column("cancelled_by", String),
    Column("approved_by", String),
    Column("approval_expires_at", Instant),
    Column("window_start", Instant),
    Column("window_end", Instant),
    Column("data_hash", String),
    Column("recipe_hash", String),
    Column("trained_at", Instant),
    Column("version", String),
    Column("metrics", _json),
    Column("error", Text),
    Index("jobs_by_model", "model", "requested_at"),
    Index("jobs_by_state", "state"),
)

fires = Table(
    "fires",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("key", String),
    Column("at", Instant, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("numbers", _json),
    Column("job", String),
    Column("role", String, nullable=False),  # cause, joined, waiting, skipped, proposed, notified
    UniqueConstraint("model", "trigger", "key", name="a_firing_counts_once"),
    Index("fires_by_job", "job"),
)

stages = Table(
    "stages",
    metadata,
    Column("job", String, primary_key=True),
    Column("stage", String, primary_key=True),
    Column("state", String, nullable=False),  # running, succeeded, failed
    Column("attempt", Integer, nullable=False),
    Column("worker", String, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("result", _json),
    Column("error", Text),
)

versions = Table(
    "versions",
    metadata,
    Column("model", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("job", String, nullable=False, unique=True),
    Column("uri", String, nullable=False),
    Column("directory", String, nullable=False),
    Column("reference", String),  # the Parquet file it was trained on
    Column("window_start", Instant),
    Column("window_end", Instant),
    Column("metrics", _json),
    Column("trained_at", Instant, nullable=False),
    Column("registered_at", Instant, nullable=False),
    Column("digest", String),  # of the model's files, as registered; NULL where schema 0001 registered it
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String, nullable=False),
    Column("version", String, nullable=False),
    Column("job", String),
    Column("kind", String, nullable=False),  # deploy, rollback, revert
    Column("actor", String, nullable=False),
    Column("at", Instant, nullable=False),
    Index("deployments_by_model", "model", "id"),
)

targets = Table(
    "targets",
    metadata,
    Column("model", String, primary_key=True),
    Column("target", String, primary_key=True),
    Column("version", String),
    Column("at", Instant, nullable=False),
    Column("error", Text),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String),
    Column("token", Integer, nullable=False),
    Column("until", Instant),
)

processes = Table(
    "processes",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # daemon, worker
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("refused_messages", Integer, nullable=False, server_default="0"),  # a worker's, since it started
    Column("broker_absent_since", Instant),  # since when it has tried to reach the broker and could not
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("time", Instant, nullable=False),
    Column("event", String, nullable=False),
    Column("model", String),
    Column("job", String),
    Column("actor", String, nullable=False),
    Column("data", _json, nullable=False),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
    Index("events_by_job", "job", "seq"),
    Index("events_by_model", "model", "seq"),
)

chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True),  # the one row is 1
    Column("seq", Integer, nullable=False),
    Column("hash", String, nullable=False),
    Column("pruned_seq", Integer, nullable=False, server_default="0"),  # the newest event that is no row any more
    Column("pruned_hash", String, nullable=False, server_default=GENESIS),
)

receivers = Table(
    "receivers",
    metadata,
    Column("receiver", String, primary_key=True),  # hash of an alert's URL
    Column("seq", Integer, nullable=False),  # every event up to it was sent or not asked for
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error", Text),
)

oldest_schema = Table(  # see retraind.ledger.schema
    "alembic_version",
    metadata,
    Column("version_num", String(32), primary_key=True),
)
