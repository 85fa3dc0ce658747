"""Answers the triggers' requests from the predictions store, files and the ledger.

One reader per model; equal requests of one round of looks are answered by one read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.profiles import Profiles
from daemon.scanning import Memory, scan
from retraind.config.settings import Model
from retraind.errors import StoreError
from retraind.ledger import Ledger, looks, models
from retraind.store import PredictionsStore, open_store
from retraind.tables import read_table
from triggers.evidence import (
    ArrivalRequest,
    BucketsRequest,
    CountRequest,
    FilesRequest,
    Manifest,
    Member,
    MembersRequest,
    ProfileRequest,
    Request,
    RowsRequest,
    TableFileRequest,
    TallyRequest,
    TrainingRequest,
)
from triggers.verdict import Outcome


class EvidenceReader:
    """Reads for one model. Not for use by two threads at once. It holds no transaction of the ledger while it reads.

    `store` takes the place of the predictions store that the model names.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        ledger: Ledger,
        profiles: Path | None = None,
        *,
        store: PredictionsStore | None = None,
    ) -> None:
        """`profiles` is the directory that counts are kept in from look to look; None: none are kept."""
        self.name = name
        self.model = model
        self.ledger = ledger
        self._store = store
        self._cache: dict[Request, Any] = {}
        self._manifests: dict[str, Manifest] = {}
        self._memory = Memory()
        self._profiles = None if profiles is None else Profiles(profiles, lambda: self.store, self.answer, self._stamp)

    @property
    def store(self) -> PredictionsStore:
        """The predictions store. Raises StoreError when it cannot be opened."""
        if self._store is None:
            self._store = open_store(self.model.predictions)
        return self._store

    @property
    def keeps_counts(self) -> bool:
        """Whether it answers ProfileRequest and BucketsRequest."""
        return self._profiles is not None

    def begin_round(self) -> None:
        """Forgets earlier answers."""
        self._cache.clear()

    def end_round(self) -> None:
        """Holds no connection to the store until the next round: a thousand models would hold a thousand, and a server
        takes a hundred."""
        if self._store is not None:
            self._store.rest()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def answer(self, request: Request) -> Any:
        """The answer to `request`. Raises StoreError, FilesUnreadable, or ConfigurationError for a file of no table."""
        if request not in self._cache:
            self._cache[request] = self._read(request)
        return self._cache[request]

    def _read(self, request: Request) -> Any:
        if isinstance(request, (CountRequest, TallyRequest, ArrivalRequest, RowsRequest)):
            return self._from_store(request)
        if isinstance(request, TableFileRequest):
            return read_table(request.path, request.columns)
        if isinstance(request, FilesRequest):
            return self._scan(request)
        if isinstance(request, TrainingRequest):
            return self._training(request)
        if isinstance(request, MembersRequest):
            return self._members(request)
        return self._from_counts(request)

    def _from_counts(self, request: ProfileRequest | BucketsRequest) -> Any:
        if self._profiles is None:
            raise TypeError(f"{type(request).__name__} is answered where counts are kept")
        if isinstance(request, ProfileRequest):
            return self._profiles.known(request)
        return self._profiles.counted(request, self.answer(request.reference))

    def _stamp(self, request: ProfileRequest) -> str | None:
        """What tells one content of a reference's rows from the next. None: there is no reference."""
        rows = request.rows
        if isinstance(rows, RowsRequest):
            window = rows.window
            assert window.start is not None  # noqa: S101 - as ProfileRequest says
            assert window.end is not None  # noqa: S101
            return f"{sum(self.store.census(window, window.end - window.start, rows.version).values())} rows"
        if isinstance(rows, TableFileRequest):
            return _facts(rows.path)
        with self.ledger.read() as connection:
            champion = models.champions(connection, self.name).current
        if champion is None or champion.reference is None:
            return None
        return f"{champion.version} {champion.reference} {_facts(champion.reference)}"

    def _from_store(self, request: CountRequest | TallyRequest | ArrivalRequest | RowsRequest) -> Any:
        if isinstance(request, CountRequest):
            return self.store.counts(request.window)
        if isinstance(request, TallyRequest):
            return self.store.tally(request)
        if isinstance(request, ArrivalRequest):
            return self.store.arrivals(request)
        return self.store.rows(request)

    def _scan(self, request: FilesRequest) -> Manifest:
        found = scan(request.pattern, request.hash_below_bytes, self._manifests.get(request.pattern), self._memory)
        self._manifests[request.pattern] = found
        return found

    def _training(self, request: TrainingRequest) -> Any:
        """Those of the columns that the champion's training data has; None before the first deployment."""
        with self.ledger.read() as connection:
            champion = models.champions(connection, self.name).current
        if champion is None or champion.reference is None:
            return None
        from pyarrow import parquet  # slow to import, and many looks need none of it

        try:
            file = parquet.ParquetFile(champion.reference)
            have = set(file.schema_arrow.names)
            return file.read(columns=[column for column in request.columns if column in have])
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the training data of version {champion.version} cannot be read from {champion.reference}: {error}; "
                "bring it back, or retrain to make a new reference"
            ) from error

    def _members(self, request: MembersRequest) -> Mapping[str, Member]:
        answers = {}
        with self.ledger.read() as connection:
            records = {name: looks.record(connection, self.name, name) for name in request.names}
        for name, record in records.items():
            outcome = Outcome(record.outcome) if record.outcome else None
            if outcome is Outcome.FIRED and record.fired_at != record.last_look_at:
                outcome = Outcome.QUIET  # it awaits its confirmations
            answers[name] = Member(outcome, record.fired_at)
        return answers


def _facts(path: str) -> str:
    """What a file's change shows in. Of one that is not there: whoever reads it says so."""
    try:
        found = Path(path).stat()
    except OSError:
        return "missing"
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
