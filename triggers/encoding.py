"""Profiles as bytes: a magic word, a JSON header and numpy arrays, and nothing that could run.

Called by `triggers.profile` and `triggers.buckets`. Equal contents have equal bytes on every machine,
so that a hash of the bytes names the content: keys are sorted, numbers are little-endian, and
nothing of a library's own format enters.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = frozenset({"<f8", "<i8", "|u1", "<u2", "<u4"})


def pack(magic: bytes, header: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> bytes:
    """`header` (JSON-able) and `arrays` (of floats or counts, one-dimensional) as bytes that begin with `magic`."""
    little = [array.astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]
    body = b"".join(array.tobytes() for array in little)
    shapes = [[array.dtype.str, array.size] for array in little]
    whole = {**header, "arrays": shapes, "checksum": zlib.crc32(body)}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([magic, len(text).to_bytes(4, "little"), text, body])


def unpack(magic: bytes, data: bytes, what: str) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Header and arrays of what `pack` wrote. Raises ValueError, naming it as `what`, for anything else."""
    if not data.startswith(magic):
        raise ValueError(f"{what} does not begin with {magic.decode().strip()!r}: another version or no such thing")
    start = len(magic) + 4
    end = start + int.from_bytes(data[len(magic) : start], "little")
    try:
        header = json.loads(data[start:end])
        shapes, checksum = header.pop("arrays"), header.pop("checksum")
        sizes = [(kind, int(size)) for kind, size in shapes if kind in _KINDS]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{what} has a header that cannot be read: it is damaged") from error
    ends = list(accumulate((np.dtype(kind).itemsize * size for kind, size in sizes), initial=end))
    if len(sizes) != len(shapes) or sorted(ends) != ends or ends[-1] != len(data) or zlib.crc32(data[end:]) != checksum:
        raise ValueError(f"{what} is cut short or damaged ({len(data):,} bytes)")
    arrays = [np.frombuffer(data, kind, size, first) for (kind, size), first in zip(sizes, ends[:-1], strict=True)]
    return header, [array.astype(array.dtype.newbyteorder("="), copy=False) for array in arrays]
