"""The hash of a table's content: the same for the same rows, however a file encodes them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retraind.errors import DataFailure


def content_hash(table: pa.Table) -> str:
    """SHA-256, in hex, over column names, types, missing values and values, in the table's order."""
    digest = hashlib.sha256()
    digest.update(str(table.num_rows).encode())
    for name in table.column_names:
        for part in _parts(name, table[name]):
            digest.update(part)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256, in hex, over the bytes of the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def must_be_recorded(path: Path, ingested: Mapping[str, Any]) -> Path:
    """`path`, whose bytes are those that `ingest` recorded in the ledger. Raises DataFailure where they are others."""
    recorded = ingested.get("files", {}).get(path.name)
    try:
        found = file_hash(path)
    except OSError as error:
        raise DataFailure(f"{path}, which ingest left, cannot be read ({error}); start a new job") from error
    if recorded is not None and found != recorded:
        raise DataFailure(
            f"{path} is not what ingest left: its SHA-256 begins with {found[:12]} and the ledger has {recorded[:12]}; "
            "somebody changed it since, so start a new job"
        )
    return path


def _parts(name: str, column: pa.ChunkedArray) -> list[bytes]:
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    missing = np.packbits(pc.is_null(values).to_numpy(zero_copy_only=False)).tobytes()
    return [f"\0{name}\0{values.type}\0".encode(), missing, *_values(values)]


def _values(values: Any) -> list[bytes]:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        filled = pc.fill_null(values, "").cast(pa.large_string())
        lengths = pc.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i8")
        return [lengths.tobytes(), "".join(filled.to_pylist()).encode()]
    if pa.types.is_boolean(kind):
        filled = pc.fill_null(values, False)  # noqa: FBT003  # arrow's signature
        return [np.packbits(filled.to_numpy(zero_copy_only=False)).tobytes()]
    if pa.types.is_temporal(kind):
        values = values.cast(pa.int64() if kind.bit_width == 64 else pa.int32())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        filled = pc.fill_null(values, 0)
        array = filled.to_numpy(zero_copy_only=False)
        return [array.astype(array.dtype.newbyteorder("<")).tobytes()]
    return ["\0".join(map(repr, values.to_pylist())).encode()]
