"""Alembic's entry: runs the migrations on the engine that `retraind.ledger.schema` hands over."""

from alembic import context

from retraind.ledger.engine import WRITE
from retraind.ledger.tables import metadata

with context.config.attributes["engine"].connect() as plain_connection:
    connection = plain_connection.execution_options(**{WRITE: True})
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        version_table=context.config.attributes["version_table"],
    )
    with context.begin_transaction():
        context.run_migrations()
    if connection.in_transaction():
        connection.commit()
