"""What stands for the workers in a replay: brings each job to its end at the instant at which it was requested.

Without a `Trainer` the job is taken to have made a version at once, on the rows that were there; what was
recorded as predicted stands. With one the rows are really trained on, gates are asked, and from then on the
rows hold what the new version predicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from daemon.backtest.history import History, Predicted
from daemon.backtest.training import Asked, Challenger, Trainer
from retraind.config.policy import OnIncident
from retraind.config.settings import Model
from retraind.errors import ConfigurationError
from retraind.ledger import Ledger, incidents, jobs, models, work
from retraind.ledger.rows import Version
from retraind.states import JobState, Stage
from retraind.training_rows import holdout_begins, outside, window_of
from triggers.evidence import TIME, RowsRequest, Window

_ACTOR = "backtest"
_LEASE = timedelta(days=1)


@dataclass(frozen=True)
class Retraining:
    """One job of a replay. `seconds` is what the training took; 0 where nothing was trained."""

    at: datetime
    fired: tuple[
        tuple[str, datetime], ...
    ]  # the triggers that caused or joined it, and when; none for the first version
    reason: str
    outcome: str  # deployed, gate_failed or failed
    because: str | None
    rows: int  # labelled rows of its window
    challenger: Challenger | None

    @property
    def triggers(self) -> list[str]:
        return list(dict.fromkeys(trigger for trigger, _ in self.fired))

    @property
    def seconds(self) -> float:
        return 0.0 if self.challenger is None else self.challenger.seconds


@dataclass
class Retrainer:
    """Of one policy. `made` is every job that came to its end, the first version's first."""

    name: str
    model: Model
    config: Path
    history: History
    directory: Path
    trainer: Trainer | None
    made: list[Retraining] = field(default_factory=list)
    champion: Challenger | None = None

    def do(self, ledger: Ledger, job: str) -> None:
        """Raises ConfigurationError where no first version can be made, RetraindError where no training can."""
        now = ledger.clock.now()
        with ledger.write(_ACTOR) as transaction:
            held = work.claim(transaction, job, _ACTOR, _LEASE)
            causes = jobs.causes(transaction.connection, job)
            spoilt = incidents.spoilt(transaction.connection, self.name, self.model.triggers)
        if held is None:
            return
        ignored = self.model.policy.on_incident is OnIncident.IGNORE
        window = window_of(self.model.training.data, now)
        rows = self._rows(window, [] if ignored else spoilt)
        fired = tuple((cause["trigger"], cause["at"]) for cause in causes)
        made = Retraining(now, fired, held.job.reason, "deployed", None, rows.num_rows, None)
        made = made if self.trainer is None else self._trained(made, rows, self.trainer)
        self.made.append(made)
        self._close(ledger, held, made, window, rows)

    def _rows(self, window: Window, spoilt: Sequence[tuple[datetime, datetime | None]]) -> pa.Table:
        """The window's labelled rows, as `workers.sources` reads them from the store."""
        names, data = self.model.predictions.columns, self.model.training.data
        columns = dict.fromkeys([TIME, *(data.features or ()), *names.feature_names, "actual", "prediction"])
        table = outside(self.history.rows(RowsRequest(window, tuple(columns), labelled=True)), TIME, spoilt)
        return table.rename_columns([data.target if name == "actual" else name for name in table.column_names])

    def _trained(self, made: Retraining, rows: pa.Table, trainer: Trainer) -> Retraining:
        first = not self.made
        champion = None if self.champion is None else self.champion.directory / "challenger" / "model"
        asked = Asked(self.config, self.name, self.model, made.at, rows, champion, first)
        found = trainer.train(asked)
        if first and found.outcome != "deployed":
            raise ConfigurationError(
                f"no first version can be trained at {made.at:%Y-%m-%d %H:%M} UTC: {found.because}; "
                "choose a later --since"
            )
        return replace(made, outcome=found.outcome, because=found.because, challenger=found)

    def _close(self, ledger: Ledger, held: work.Claim, made: Retraining, window: Window, rows: pa.Table) -> None:
        """Ends the job in the ledger and, where it is deployed, lets its version serve."""
        deployed = made.outcome == "deployed"
        breaker = self.model.policy.breaker
        version = self._version(held.job, made, window, rows) if deployed else None
        with ledger.write(_ACTOR) as transaction:
            columns: dict[str, Any] = {"window_start": window.start, "window_end": window.end}
            job = work.hold(transaction, held, trained_at=made.at, **columns)
            if version is None:
                jobs.close(transaction, job, JobState(made.outcome), breaker, error=made.because)
                return
            if made.challenger is not None and made.challenger.importance is not None:
                work.begin_stage(transaction, held, Stage.EVALUATE)  # what drift is weighed by is read from its result
                work.succeed(transaction, held, Stage.EVALUATE, {"importance": made.challenger.importance})
            work.record_version(transaction, held, version)
            models.deploy(transaction, self.name, version.version, job.id)
            jobs.close(transaction, job, JobState.DEPLOYED, breaker)
        found = self.champion = made.challenger
        start = self.history.row_at(made.at)
        said = (None, None) if found is None else (found.prediction, found.score)
        self.history.deploy(Predicted(version.version, start, *said))

    def _version(self, job: Any, made: Retraining, window: Window, rows: pa.Table) -> Version:
        number = str(sum(each.outcome == "deployed" for each in self.made))
        found = made.challenger
        directory = self.directory / number if found is None else found.directory
        reference = directory / "train.parquet" if found is None else found.directory / "data" / "train.parquet"
        if found is None:
            directory.mkdir(parents=True, exist_ok=True)
            older = rows.slice(0, holdout_begins(rows, TIME, self._holdout))
            pq.write_table(older, reference)
        return Version(
            model=self.name,
            version=number,
            job=job.id,
            uri="",
            directory=str(directory),
            reference=str(reference),
            window_start=window.start,
            window_end=window.end,
            metrics=None if found is None else found.metrics,
            trained_at=made.at,
            registered_at=made.at,
        )

    @property
    def _holdout(self) -> float:
        holdout = self.model.training.holdout
        return 0.0 if holdout.file is not None else holdout.share
