"""The monitor on a clock that is moved: rounds of looks at their due times, one after another, without waiting.

`daemon.monitor` looks, `daemon.looking` commits, `daemon.policy` decides, `daemon.reconciler` starts what
waited; here is only what moves the clock, and what stands for a worker when a job is announced.
"""

import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

from daemon.backtest.history import History
from daemon.evidence import EvidenceReader
from daemon.idling import Bells
from daemon.monitor import Monitor
from daemon.reconciler import Reconciler
from retraind.audit import AuditLog
from retraind.config.predictions import Predictions
from retraind.config.settings import Model, Settings
from retraind.ledger import Ledger, Transaction, jobs, looks, models

STEPS = 1500  # so many looks at a trigger are made at most where its own pace asks for more


class SimulatedClock:
    """Stands where it was moved to. Both of its faces move together: nothing was ever stepped."""

    def __init__(self, now: datetime) -> None:
        self.instant = now

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()


class Worker(Protocol):
    """What stands for the workers."""

    def do(self, ledger: Ledger, job: str) -> None:
        """Brings the job to its end, at the instant of the ledger's clock."""


@dataclass
class _Announcements:
    """In place of the queue: what is announced in a round is done when the round is over."""

    waiting: list[str] = field(default_factory=list)

    def announce(self, job: str, _actor: str) -> None:
        self.waiting.append(job)


class _Past(Bells):
    """Rings for what the history shows."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def token(self, predictions: Predictions) -> str:  # noqa: ARG002  # there is one store
        return self._history.change_token()


class Replay(Monitor):
    """Watches one model from `since` on. `finest` is the shortest time between looks that a trigger makes by its pace
    alone; schedules keep their instants."""

    def __init__(self, settings: Settings, name: str, history: History, ledger: Ledger, worker: Worker) -> None:
        self._announced, self._worker = _Announcements(), worker
        # Both take what announces jobs as the queue's own type; nothing else of it is called in a replay.
        announcements: Any = self._announced
        super().__init__(settings, ledger, announcements, _unguarded, lambda: False)
        audit = AuditLog(settings.state / "audit.jsonl", ledger, settings.audit.rotate)
        self._reconciler = Reconciler(settings, ledger, audit, announcements, _unguarded)
        self.name = name
        self.history = history
        self._one = self._watched[name]
        self._one.reader = EvidenceReader(name, self._one.model, ledger, settings.profiles / name, store=history)
        self._bells = _Past(history)

    def begin(self, since: datetime) -> None:
        """At `since` the model is known, and a first version is deployed as if somebody had asked for it."""
        self._move(since)
        with self.ledger.write("backtest") as transaction:
            models.make_known(transaction, self.name)
            job = jobs.request(transaction, self.name, reason="the first version, at the beginning of the replay")
        if job is not None:
            self._worker.do(self.ledger, job)
        with self.ledger.read() as connection:
            self._plan(connection, self._one, since)

    def go_on(self, until: datetime, finest: timedelta, progress: Callable[[datetime], None]) -> int:
        """Makes every round that is due before `until`. Returns how many looks there were."""
        made, again = 0, None  # when what waits is asked after again: nothing says when what holds it back is over
        while (due := self._next(again)) is not None and due < until:
            self._move(max(due, self.ledger.clock.now()))
            names = self._chosen(self._one, self.ledger.clock.now())
            self._round(self._one, names)
            made += len(names)
            self._work()
            again = self.ledger.clock.now() + finest if self._start_waiting() else None
            self._space(names, finest)
            progress(self.ledger.clock.now())
        return made

    def _next(self, again: datetime | None) -> datetime | None:
        """The next instant at which there is something to do; None: there never is."""
        return min((due for due in (again, *self._one.due.values()) if due is not None), default=None)

    def _start_waiting(self) -> bool:
        """Firings that waited become a job when nothing holds them back any more. True: some still wait."""
        with self.ledger.read() as connection:
            if not looks.waiting(connection, self.name):
                return False
        self._reconciler.start_waiting()
        with self.ledger.read() as connection:
            job, waiting = jobs.open_job(connection, self.name), bool(looks.waiting(connection, self.name))
        if job is not None:
            self._worker.do(self.ledger, job.id)
        return waiting

    def _work(self) -> None:
        """Does the jobs that the round announced: all that fired in it could join them, as while a training runs."""
        for job in self._announced.waiting:
            self._worker.do(self.ledger, job)
        self._announced.waiting.clear()

    def _space(self, names: list[str], finest: timedelta) -> None:
        """Puts off looks that are due sooner than `finest`. A schedule keeps its instants, and so does an interval that
        is not due yet."""
        now = self.ledger.clock.now()
        for name in names:
            trigger, due = self._one.model.triggers[name], self._one.due.get(name)
            if due is None or due >= now + finest or trigger.type == "cron":
                continue
            if trigger.type != "interval" or due <= now + trigger.cadence():
                self._one.due[name] = now + finest

    def _move(self, now: datetime) -> None:
        clock: Any = self.ledger.clock
        clock.instant = now
        self.history.move(now)


def _unguarded(_transaction: Transaction) -> None:
    """Nobody else decides in a replay's ledger."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for all that a replay writes; it goes whatever ends the replay, SIGTERM too."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with tempfile.TemporaryDirectory(prefix="retraind-backtest-") as directory:
            yield Path(directory)
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def ledger_in(directory: Path, now: datetime) -> Iterator[Ledger]:
    """An empty ledger on a simulated clock."""
    directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(f"sqlite:///{directory / 'ledger.db'}", SimulatedClock(now), lasting=False)
    try:
        yield ledger
    finally:
        ledger.close()


def settings_for(settings: Settings, name: str, model: Model, directory: Path) -> Settings:
    """The settings with nothing but this model, and whatever is kept in `directory`."""
    return settings.model_copy(update={"models": {name: model}, "state": directory})


def replayed_every(model: Model, finest: timedelta) -> Mapping[str, timedelta]:
    """The triggers that are looked at less often than by their own pace, and how often."""
    return {name: finest for name, each in model.triggers.items() if each.cadence() < finest and each.type != "cron"}
