"""What a statement brought, as Python values: for answers of a few rows, which are worth neither pyarrow nor numpy.

A daemon whose models are watched by the clock, by files and by numbers of rows asks for nothing else, and holds
some 50 MiB less for it. nanoarrow reads the driver's columns where they stand.
"""

import warnings
from typing import Any, NamedTuple

import nanoarrow as na
from nanoarrow.iterator import UnregisteredExtensionWarning, iter_tuples

# PostgreSQL's numeric, uuid and others, which the driver hands over as text or bytes, and says so.
warnings.filterwarnings("ignore", category=UnregisteredExtensionWarning)


class Answer(NamedTuple):
    """Rows, and what their columns are called: not always each by a name of its own."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


def answer(cursor: Any) -> Answer:
    """All that `cursor` has to give. Raises the driver's errors, OSError for what it could not go on with,
    UnicodeDecodeError for text that is none, and OverflowError or ValueError for instants off Python's calendar."""
    stream = na.c_array_stream(cursor.fetch_arrow())
    try:
        names = tuple(column.name for column in stream.get_schema().children)
        return Answer(names, list(iter_tuples(stream)))
    except RuntimeError as error:  # nanoarrow's for all that a stream refuses
        raise OSError(str(error)) from error
