"""Writes that are made once and run often.

SQLAlchemy takes ten times as long around a small statement as SQLite takes in it, which was half of what a decision
cost. On SQLite these go to the driver as SQLAlchemy compiled them, once; on Postgres, where the way to the server
takes longer than either, they go through SQLAlchemy.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.dml import UpdateBase

_COUNTED = {"preserve_rowcount": True}  # of an insert nobody asks it, as a rule
_Binds = Callable[[Mapping[str, Any]], tuple[Any, ...]]


def write(connection: Connection, statement: UpdateBase, *rows: Mapping[str, Any]) -> int:
    """Runs an insert, update or delete that returns no rows, once for each of `rows`: the values of its parameters
    by name, of the same names each. Returns how many rows of the table it touched.

    `statement` is one that is made once, or its compiled form is of no use. Raises KeyError (on Postgres
    SQLAlchemy's StatementError) for a parameter without a value.
    """
    if connection.dialect.name != "sqlite":
        values: Any = rows if len(rows) > 1 else rows[0]  # many go to the server in one go
        return connection.execute(statement, values, execution_options=_COUNTED).rowcount
    sql, binds = _compiled(statement, connection.dialect, tuple(rows[0]))
    driver: Any = connection.connection.dbapi_connection
    touched: int = driver.executemany(sql, [binds(row) for row in rows]).rowcount
    return touched


@lru_cache(maxsize=256)
def _compiled(statement: UpdateBase, dialect: Dialect, names: tuple[str, ...]) -> tuple[str, _Binds]:
    """The statement's text, and what puts values in the order of its parameters and in the database's own types."""
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(names))
    missing = [name for name in compiled.positiontup if compiled.binds[name].required and name not in names]
    if missing:
        raise KeyError(*missing)
    ordered = [
        (name, compiled.params.get(name), compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
        for name in compiled.positiontup
    ]

    def binds(values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(
            [
                values.get(name, own) if process is None else process(values.get(name, own))
                for name, own, process in ordered
            ]
        )

    return str(compiled), binds
