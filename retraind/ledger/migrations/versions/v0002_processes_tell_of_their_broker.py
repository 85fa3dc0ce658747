"""Processes tell since when they have had no broker; the chain says from where on the ledger has its events; a ledger
says which schema's processes may go on.

What is added here may be left out by whoever writes: processes of schema 0001 go on beside it. They
look at `alembic_version` alone, which from now on names the oldest schema whose processes may go on;
the migrations done are in `schema_version`.
"""

import sqlalchemy as sa
from alembic import op

from retraind.ledger.chain import GENESIS

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns, and the table that a ledger begun by schema 0001 has already."""
    op.add_column("processes", sa.Column("broker_absent_since", sa.String(27), nullable=True))
    op.add_column("chain", sa.Column("pruned_seq", sa.Integer(), server_default="0", nullable=False))
    op.add_column("chain", sa.Column("pruned_hash", sa.String(), server_default=GENESIS, nullable=False))
    op.add_column("processes", sa.Column("refused_messages", sa.Integer(), server_default="0", nullable=False))
    op.add_column("versions", sa.Column("digest", sa.String(), nullable=True))
    if not sa.inspect(op.get_bind()).has_table("alembic_version"):
        op.create_table(
            "alembic_version",
            sa.Column("version_num", sa.String(32), nullable=False),
            sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
        )
        op.execute("INSERT INTO alembic_version (version_num) VALUES ('0001')")
