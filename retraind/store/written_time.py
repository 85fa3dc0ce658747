"""Reads ISO 8601 text in columns, far faster than a database does; it knows fewer spellings."""

import pyarrow as pa
import pyarrow.compute as pc


def instants(raw: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The instants (timestamp[us, UTC]) of times as they are stored, all with a zone or all without, as in most tables.

    None: the database must be asked for them.
    """
    if not pa.types.is_string(raw.type) or raw.null_count:
        return None
    to_the_minute = pc.equal(pc.utf8_slice_codeunits(raw, 13, 14), ":")  # Arrow reads hours alone, too
    if not pc.all(pc.or_(to_the_minute, pc.equal(pc.utf8_length(raw), 10))).as_py():
        return None
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            return raw.cast(kind).cast(pa.int64()).cast(pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid:
            continue
    return None
