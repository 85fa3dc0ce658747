"""What a trigger may ask for, and what it is handed.

A trigger states its needs as requests (values, no effects); the daemon answers them from the
predictions store, files and ledger, sharing one read between triggers that ask for the same; the
trigger then judges the answers. Third-party triggers use the same requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from triggers.metrics import Tally
from triggers.verdict import Outcome

TIME = "timestamp"  # the role of the time of a row, in requests and in the tables that answer them


@dataclass(frozen=True)
class ModelFacts:
    """What the ledger knows of a model at the instant of a look. All instants are aware UTC."""

    known_since: datetime  # when the daemon first saw the model
    trained_at: datetime | None  # when the last training ended, whatever came of it; None: never trained
    trained_until: datetime | None  # end of the last training's window; None: never trained
    version: str | None  # the deployed version; None: nothing deployed yet
    deployed_at: datetime | None
    gate_metrics: Mapping[str, float]  # the deployed version's figures on its holdout; empty: none
    features: tuple[str, ...] = ()  # the store's feature names, as configured
    label_delay: timedelta | None = None  # how long actuals take to arrive; younger rows are not judged. None: no time
    importance: Mapping[str, float] = field(default_factory=dict)
    """What the deployed model's loss grows by, at most, when a feature's values are shuffled, 0 or more. Empty: not
    known; of a feature that is not in it nothing is known."""


@dataclass(frozen=True)
class Window:
    """A half-open span `[start, end)` of prediction time, aware UTC. None leaves that side open."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class CountRequest:
    """Answer: `Counts` of the window's rows."""

    window: Window


@dataclass(frozen=True)
class Counts:
    rows: int
    labelled: int  # rows with an actual


@dataclass(frozen=True)
class TallyRequest:
    """Sums over the window's labelled rows, computed in the database. Answer: `triggers.metrics.Tally`.

    `kind` says which sums: `classes` counts (prediction, actual) pairs, `errors` sums what the
    regression metrics need. `last` takes the newest so many labelled rows of the window instead of
    all; None takes all. `version` counts only rows predicted by that version, where the store says
    which version predicted; None counts all.
    """

    window: Window
    kind: Literal["classes", "errors"]
    last: int | None = None
    version: str | None = None


@dataclass(frozen=True)
class ArrivalRequest:
    """How labels have come in: the window in `parts` of equal length, computed in the database.

    Answer: `tuple[Arrival, ...]`, oldest first. The window has both ends; `kind` and `version` as in
    TallyRequest.
    """

    window: Window
    parts: int
    kind: Literal["classes", "errors"]
    version: str | None = None

    def windows(self) -> tuple[Window, ...]:
        """The parts, oldest first. Raises ValueError for a window that is open on a side."""
        start, end = self.window.start, self.window.end
        if start is None or end is None:
            raise ValueError("an open window has no parts")
        edges = [start + (end - start) * part / self.parts for part in range(self.parts)] + [end]
        return tuple(Window(*pair) for pair in pairwise(edges))


@dataclass(frozen=True)
class Arrival:
    """One part: the sums over rows that have a label, and how many rows with a prediction have none, by predicted class
    (of errors, which have no classes, all under an empty name)."""

    tally: Tally
    unlabelled: Mapping[str, int]


@dataclass(frozen=True)
class RowsRequest:
    """The rows themselves. Answer: `pyarrow.Table` with `columns` in that order, oldest first.

    `columns` are roles (`timestamp`, `prediction`, `score`, `actual`, `version`) or feature names.
    `labelled` takes only rows with an actual. `last` and `version` as in TallyRequest.
    """

    window: Window
    columns: tuple[str, ...]
    labelled: bool = False
    last: int | None = None
    version: str | None = None


@dataclass(frozen=True)
class TrainingRequest:
    """The data that the deployed model was trained on. Answer: `pyarrow.Table`, or None before the first deployment."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class TableFileRequest:
    """A CSV or Parquet file. Answer: `pyarrow.Table` with `columns`."""

    path: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class FilesRequest:
    """The regular files that match a glob, now. Answer: `Manifest`."""

    pattern: str
    hash_below_bytes: int


@dataclass(frozen=True)
class FileFact:
    """One file as a scan saw it. `digest` is a hash of its content; None for a file too large to hash each time."""

    size: int
    mtime_ns: int
    inode: int
    digest: str | None = None


@dataclass(frozen=True)
class Manifest:
    """One scan. `files` maps path, relative to the pattern's fixed part, to its facts; `root` is that part, resolved
    (a swapped symlink shows as another root). `missing` is True where the fixed part does not exist."""

    root: str
    files: Mapping[str, FileFact]
    missing: bool = False


@dataclass(frozen=True)
class MembersRequest:
    """The latest answers of the model's other triggers, by name. Answer: `Mapping[str, Member]`."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Member:
    """Another trigger's latest answer. None in either field: never looked at, never fired.

    Only confirmed firings count, where confirmations are asked for.
    """

    outcome: Outcome | None
    fired_at: datetime | None


@dataclass(frozen=True)
class ProfileRequest:
    """A reference as counts, for whoever keeps them. It must stay: `rows` of the store have a window with both ends.

    Answer: `triggers.known.Known`; `triggers.known.Refused` where its columns `names` cannot be counted;
    None where `rows` is answered by None. `lengths` are those of the windows whose natural variation
    is asked for, the longest first; with a `season` like is to be compared with like.
    """

    rows: "RowsRequest | TrainingRequest | TableFileRequest"
    names: tuple[str, ...]
    lengths: tuple[timedelta, ...] = ()
    season: Literal["day", "week"] | None = None


@dataclass(frozen=True)
class BucketsRequest:
    """Rows of the store over a reference's cells, in buckets that are kept from look to look.

    Answer: a tuple of `triggers.pairs.Counted`, the windows of several lengths that end with `rows`, the
    longest first; `triggers.known.Refused` where the rows cannot be counted. `rows` is a span of `window` or
    less, with both ends, and `without` are spans of it whose rows are left out (None: open). `version` as in
    TallyRequest.
    """

    reference: ProfileRequest
    window: timedelta
    rows: Window
    version: str | None = None
    without: tuple[tuple[datetime, datetime | None], ...] = ()


Request = (
    CountRequest
    | TallyRequest
    | ArrivalRequest
    | RowsRequest
    | TrainingRequest
    | TableFileRequest
    | FilesRequest
    | MembersRequest
    | ProfileRequest
    | BucketsRequest
)


@dataclass(frozen=True)
class Evidence:
    """All that a trigger may look at: the model's facts, its own state from the last look (empty at the first),
    and the answers to its requests under the names it gave them."""

    facts: ModelFacts
    state: Mapping[str, Any]
    answers: Mapping[str, Any]
