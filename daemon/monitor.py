"""The monitor: one loop, one queue of wake-ups, and a pool that looks at models.

Due times (a heap) and file changes fill the queue; a wake-up names a model. A model is looked at by
one thread at a time, and a slow or broken one delays no other.
"""

import heapq
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from daemon import looking
from daemon.announcer import Announcer
from daemon.evidence import EvidenceReader
from daemon.idling import Bells, Due, Idle, Note, Notes, Place, pass_over
from daemon.turns import first_due, rank
from daemon.watching import FileWatcher
from retraind.clock import StepWatch
from retraind.config.settings import Model, Settings
from retraind.errors import BrokerUnreachable, Conflict, LeaseLost, LedgerError, StoreError
from retraind.ledger import Connection, Ledger, Transaction, looks, models
from retraind.queue import Queue
from triggers.verdict import Outcome

_log = structlog.get_logger(__name__)
END_SECONDS = 1.5
LONGEST_SLEEP_SECONDS = 30.0  # wall clocks are stepped: never trust one wait further than this


@dataclass
class Watched:
    """One model under watch."""

    name: str
    model: Model
    reader: EvidenceReader
    due: dict[str, datetime | None] = field(default_factory=dict)  # per trigger; None: only when woken
    woken: set[str] = field(default_factory=set)  # triggers to look at now, whatever their due time
    judged: dict[str, str] = field(default_factory=dict)  # per trigger: the state of things at its last look
    answered: dict[str, Outcome] = field(default_factory=dict)  # per trigger: at its last look
    token: str | None = None  # the store's change token at the last round
    notes: Notes = field(default_factory=Notes)  # of triggers that were passed over at their last looks
    searched: set[str] = field(default_factory=set)  # triggers that have looked for incidents in this round
    looking_since: datetime | None = None  # None: nobody looks at it now

    def __post_init__(self) -> None:
        self.order = sorted(self.model.triggers, key=lambda name: rank(self.model.triggers[name]))  # of looks


class Monitor:
    """Watches every model of `settings` until it is stopped or loses the lead."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        announcements: Queue | Announcer,
        guard: Callable[[Transaction], None],
        audit_unwritable: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.announcements = announcements
        self.guard = guard
        self.audit_unwritable = audit_unwritable
        self.stopped = threading.Event()
        self._steps = StepWatch(ledger.clock)
        self._plan_anew = False
        self.progress = ledger.clock.monotonic()  # when the loop last went round
        self._wakes: queue.Queue[str | None] = queue.Queue()
        self._heap: list[tuple[datetime, str]] = []
        self._lock = threading.Lock()
        self._watched = {
            name: Watched(name, model, EvidenceReader(name, model, ledger, settings.profiles / name))
            for name, model in settings.models.items()
        }
        self._bells = Bells()
        self._pool = ThreadPoolExecutor(settings.monitor.threads, thread_name_prefix="look")
        self._rounds: set[Future[None]] = set()  # under way
        self._watcher: FileWatcher[tuple[str, str]] | None = None

    def run(self) -> None:
        """Loops until `stop`. Raises LeaseLost when another daemon leads."""
        self._begin()
        try:
            while not self.stopped.is_set():
                self.progress = self.ledger.clock.monotonic()
                self._wait_for_wakes(self._look_at_due())
        finally:
            self._end()

    def stop(self) -> None:
        """Asks the loop to end; looks under way are finished."""
        self.stopped.set()
        self._wakes.put(None)

    def wake(self, model: str, *triggers: str) -> None:
        """Brings forward a look at these triggers of `model`."""
        with self._lock:
            self._watched[model].woken.update(triggers)
        self._wakes.put(model)

    def busy(self) -> Mapping[str, datetime]:
        """The models being looked at now, and since when."""
        return {name: watched.looking_since for name, watched in self._watched.items() if watched.looking_since}

    def check_files(self) -> None:
        """Mends watches whose directory was replaced or came back; called now and then."""
        if self._watcher is not None:
            self._watcher.check()

    def _begin(self) -> None:
        now = self.ledger.clock.now()
        with self.ledger.write("daemon") as transaction:
            self.guard(transaction)
            for name in self._watched:
                models.make_known(transaction, name)
        with self.ledger.read() as connection:
            for watched in self._watched.values():
                self._plan(connection, watched, now)
        for watched in self._watched.values():
            self._schedule(watched)
        self._watch_files()

    def _watch_files(self) -> None:
        patterns = {
            (watched.name, trigger_name): trigger.path  # type: ignore[attr-defined]  # every file trigger has one
            for watched in self._watched.values()
            for trigger_name, trigger in watched.model.triggers.items()
            if trigger.wakes_on_files
        }
        if patterns:
            self._watcher = FileWatcher(patterns, lambda key: self.wake(*key), self.settings.monitor.files)

    def _end(self) -> None:
        """Waits a little for looks under way. One that hangs is left alone: it can commit nothing without the lead."""
        if self._watcher is not None:
            self._watcher.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait(list(self._rounds), timeout=END_SECONDS)
        closing = threading.Thread(target=self._close_readers, name="closing", daemon=True)
        closing.start()
        closing.join(END_SECONDS / 2)

    def _close_readers(self) -> None:
        for watched in self._watched.values():
            if watched.looking_since is None:
                watched.reader.close()
        self._bells.close()

    def _look_at_due(self) -> float:
        """Starts a round of looks at every model that is due. Returns the seconds until the next is."""
        if self._steps.look() < 0:
            self._plan_anew = True
        if self._plan_anew:
            self._bring_forward()
        now = self.ledger.clock.now()
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(self._watched[heapq.heappop(self._heap)[1]])
        self._start(due, now)
        if not self._heap:
            return LONGEST_SLEEP_SECONDS
        return min((self._heap[0][0] - now).total_seconds(), LONGEST_SLEEP_SECONDS)

    def _bring_forward(self) -> None:
        """The clock was set back: what was planned by it before may lie as far ahead as the step was."""
        now = self.ledger.clock.now()
        try:
            with self.ledger.read() as connection:
                for watched in self._watched.values():
                    self._plan(connection, watched, now)
        except LedgerError as error:
            _log.info("plans_kept", error=str(error))
            return
        self._plan_anew = False
        for watched in self._watched.values():
            self._schedule(watched)

    def _plan(self, connection: Connection, watched: Watched, now: datetime) -> None:
        facts = models.facts(connection, watched.name, watched.model.predictions.columns.feature_names, now)
        for trigger_name, trigger in watched.model.triggers.items():
            record = looks.record(connection, watched.name, trigger_name)
            watched.due[trigger_name] = first_due(trigger, record, facts, now)

    def _wait_for_wakes(self, seconds: float) -> None:
        try:
            name = self._wakes.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return
        if name is not None:
            self._start([self._watched[name]], self.ledger.clock.now())

    def _start(self, models: Sequence[Watched], now: datetime) -> None:
        """Starts a round of each model, but asks together about those of which nothing was new the last time."""
        idle: dict[Place, list[tuple[Watched, list[str]]]] = defaultdict(list)
        for watched in models:
            chosen = self._taken(watched, now)
            if chosen and watched.notes.cover(chosen):
                idle[self._bells.place(watched.model.predictions)].append((watched, chosen))
            elif chosen:
                self._start_round(watched, chosen)
        for group in idle.values():
            together = self._pool.submit(self._pass_over_all, group)
            self._rounds.add(together)
            together.add_done_callback(self._rounds.discard)

    def _taken(self, watched: Watched, now: datetime) -> list[str]:
        """The triggers to look at now, and the model is being looked at; empty: none, or it is already."""
        with self._lock:
            if watched.looking_since is not None or self.stopped.is_set():
                return []  # what woke it is looked at when the round under way has ended
            chosen = self._chosen(watched, now)
            if chosen:
                watched.looking_since = now
        return chosen

    def _chosen(self, watched: Watched, now: datetime) -> list[str]:
        """The triggers that are due or were woken, in the order of their looks."""
        due, woken = watched.due, watched.woken
        chosen = [name for name in watched.order if name in woken or ((at := due.get(name)) is not None and at <= now)]
        woken.clear()
        return chosen

    def _pass_over_all(self, group: Sequence[tuple[Watched, list[str]]]) -> None:
        """Passes over the models of one database of which nothing is new, and starts rounds of the others."""
        found: Mapping[str, Sequence[Due]] = {}
        try:
            token = self._bells.token(group[0][0].model.predictions)
            models = [Idle(watched.name, watched.model, watched.notes, names) for watched, names in group]
            found = pass_over(self.ledger, self.guard, token, models)
        except LeaseLost as error:
            self._lose(error)
        except Exception as error:  # noqa: BLE001  # each model's own round finds out, and says it
            _log.info("change_check_failed", error=str(error))
        for watched, names in group:
            if watched.name not in found and not self.stopped.is_set():
                watched.notes.clear()
                self._start_round(watched, names)
                continue
            for due, triggers in found.get(watched.name, ()):
                watched.due.update(dict.fromkeys(triggers, due))
            with self._lock:
                watched.looking_since = None
            self._schedule(watched)
            if watched.woken:
                self._wakes.put(watched.name)
        self._wakes.put(None)

    def _start_round(self, watched: Watched, chosen: list[str]) -> None:
        look = self._pool.submit(self._round, watched, chosen)
        self._rounds.add(look)
        look.add_done_callback(lambda done: self._after(watched, done))

    def _after(self, watched: Watched, done: "Future[None]") -> None:
        self._rounds.discard(done)
        with self._lock:
            watched.looking_since = None
        error = None if done.cancelled() else done.exception()
        if isinstance(error, LeaseLost):
            self._lose(error)
        elif error is not None:
            _log.error("round_failed", model=watched.name, exc_info=error)
            soon = self.ledger.clock.now() + self.settings.lease.heartbeat  # at once would be again and again
            watched.due = {name: due and max(due, soon) for name, due in watched.due.items()}
        self._schedule(watched)
        self._wakes.put(watched.name if watched.woken else None)

    def _lose(self, error: LeaseLost) -> None:
        if not self.stopped.is_set():  # else it was given back
            _log.warning("lead_lost", reason=str(error))
        self.stop()

    def _schedule(self, watched: Watched) -> None:
        instants = [due for due in watched.due.values() if due is not None]
        if instants:
            heapq.heappush(self._heap, (min(instants), watched.name))

    def _round(self, watched: Watched, trigger_names: list[str]) -> None:
        """Looks at the triggers in turn, members before those that combine them, sharing what is read."""
        watched.reader.begin_round()
        try:
            self._look_at_each(watched, trigger_names)
        finally:
            watched.reader.end_round()

    def _look_at_each(self, watched: Watched, trigger_names: list[str]) -> None:
        watched.searched.clear()
        things = self._state_of_things(watched, trigger_names)
        for name in trigger_names:
            if self.stopped.is_set():
                return
            try:
                self._look(watched, name, things)
            except LedgerError as error:
                _log.info("look_uncommitted", model=watched.name, trigger=name, error=str(error))
                watched.due[name] = self.ledger.clock.now() + self.settings.lease.heartbeat
            except Conflict as error:
                if isinstance(error, LeaseLost):
                    raise
                _log.info("look_again", model=watched.name, trigger=name, reason=str(error))
                watched.due[name] = self.ledger.clock.now()
            except Exception:  # noqa: BLE001  # the boundary of a look: the model's other triggers are looked at
                _log.exception("look_failed", model=watched.name, trigger=name)
                watched.due[name] = self.ledger.clock.now() + self.settings.lease.heartbeat

    def _look(self, watched: Watched, name: str, things: str | None) -> None:
        trigger = watched.model.triggers[name]
        known = things is not None and things == watched.judged.get(name)
        watched.notes.drop(name)
        if trigger.wakes_on_rows and known and self._pass_over(watched, name):
            return
        look = looking.examine(watched.reader, name, self.ledger.clock.now())
        if trigger.finds_incidents:
            watched.searched.add(name)
        elif look.verdict.fired:
            self._search(watched, look)
        decision, job = looking.commit(
            self.ledger, look, watched.model, audit_unwritable=self.audit_unwritable(), guard=self.guard
        )
        watched.due[name] = look.due
        if things is not None:
            watched.judged[name] = things
        looking.tell(look, decision, watched.answered.get(name))
        watched.answered[name] = look.verdict.outcome
        if job is not None:
            self._announce(job)

    def _search(self, watched: Watched, look: looking.Look) -> None:
        """Before a job starts: an incident of the data since the last look for one would be trained on."""
        finders = {name for name, trigger in watched.model.triggers.items() if trigger.finds_incidents}
        unwritable = self.audit_unwritable()
        if finders - watched.searched and looking.would_start(
            self.ledger, look, watched.model, audit_unwritable=unwritable
        ):
            for name in sorted(finders - watched.searched):
                self._look(watched, name, None)

    def _pass_over(self, watched: Watched, name: str) -> bool:
        """Nothing new came: notes the look without computing anything. False where one is due all the same."""
        trigger = watched.model.triggers[name]
        with self.ledger.write("daemon") as transaction:
            self.guard(transaction)
            record = looks.record(transaction.connection, watched.name, name)
            if record.outcome not in {Outcome.QUIET, Outcome.INSUFFICIENT}:
                return False
            insists = trigger.insists(record.state or {})
            if insists is not None and transaction.now >= insists:
                return False
            features = watched.model.predictions.columns.feature_names
            facts = models.facts(transaction.connection, watched.name, features, transaction.now)
            due = trigger.next_look(facts, record.state or {}, transaction.now)
            values = {"last_look_at": transaction.now, "next_look_at": due, "decision": looks.NOTHING_NEW}
            looks.save(transaction, watched.name, name, values)
            seq, _ = looks.events_since(transaction.connection, 0)
        watched.due[name] = due
        if watched.token is not None:
            watched.notes.put(name, Note.of(trigger, watched.token, facts, record.state or {}, seq))
        return True

    def _state_of_things(self, watched: Watched, trigger_names: list[str]) -> str | None:
        """What an answer from the store hangs on: its change token, and which version is deployed, trained until when.

        Each trigger remembers its own, because they are looked at at different times. None where no
        trigger needs it, where rows come of age by time alone, or the store does not answer.
        """
        if watched.model.predictions.label_delay is not None:
            return None
        if not any(watched.model.triggers[name].wakes_on_rows for name in trigger_names):
            return None
        features = watched.model.predictions.columns.feature_names
        try:
            watched.token = token = self._bells.token(watched.model.predictions)
            with self.ledger.read() as connection:
                facts = models.facts(connection, watched.name, features, self.ledger.clock.now())
        except (StoreError, LedgerError) as error:
            _log.info("change_check_failed", model=watched.name, error=str(error))
            return None
        return f"{facts.version} {facts.trained_until} {facts.deployed_at} {token}"

    def _announce(self, job: str) -> None:
        try:
            self.announcements.announce(job, "daemon")
        except (BrokerUnreachable, LedgerError) as error:
            _log.info("announce_failed", job=job, error=str(error))
