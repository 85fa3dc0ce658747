"""Alembic's entry: runs the migrations on the engine that `retraind.ledger.schema` hands over."""

from alembic import context

from retraind.ledger import partial_index  # noqa: F401  # for its effect on the metadata
from retraind.ledger.engine import transaction
from retraind.ledger.tables import metadata

with transaction(context.config.attributes["engine"], write=True) as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        version_table=context.config.attributes["version_table"],
    )
    context.run_migrations()
