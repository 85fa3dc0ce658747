"""The index by which a model has one open job: the part of the schema that each kind of database writes its own way.

It stands apart because its options have SQLAlchemy load both dialects, and a process that runs for weeks uses one:
Postgres's is 3 MiB. Imported where the schema is built or compared.
"""

from sqlalchemy import Index

from retraind.ledger.tables import is_open, jobs

one_open_job_per_model = Index(
    "one_open_job_per_model", jobs.c.model, unique=True, sqlite_where=is_open, postgresql_where=is_open
)
