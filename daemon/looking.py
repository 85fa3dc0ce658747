"""One look at one trigger: gather its evidence, ask it, and (for the daemon) commit what follows.

`evaluate` asks and changes nothing; `commit` writes the look, the decision, the job and their
events in one transaction, under the leader's token.
"""

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from daemon.evidence import EvidenceReader
from daemon.policy import Course, Decision, Memory, Standing, counts, decide
from retraind.config.policy import Policy
from retraind.config.settings import Model
from retraind.errors import Conflict, LedgerError, RetraindError
from retraind.ledger import Connection, Ledger, Transaction, incidents, jobs, looks, models
from retraind.ledger.looks import RECENT_LOOKS, TriggerRecord
from triggers.base import Trigger
from triggers.evidence import Evidence, ModelFacts, Request
from triggers.incident_state import IncidentState
from triggers.verdict import Outcome, Verdict

_log = structlog.get_logger(__name__)
_ERROR_BACKOFF = timedelta(seconds=10)
_LONGEST_BACKOFF = timedelta(hours=1)


@dataclass
class Look:
    """A verdict on its way into the ledger.

    `facts` are those that it was reached on; None: a commit reads its own. `due` is the next look at the trigger,
    known with the commit; None: only when woken, or never.
    """

    model: str
    trigger_name: str
    trigger: Trigger
    policy: Policy
    verdict: Verdict
    facts: ModelFacts | None = None
    due: datetime | None = None

    @property
    def own_policy(self) -> Policy:
        """The model's policy, with what the trigger asks for itself."""
        return self.policy.of_trigger(self.trigger.confirmations)


def examine(reader: EvidenceReader, trigger_name: str, now: datetime) -> Look:
    """A look at the trigger at `now`. One that cannot be judged answers `error`; nothing is written.

    Raises LedgerError: a ledger that does not answer says nothing of a trigger.
    """
    trigger = reader.model.triggers[trigger_name]
    with reader.ledger.read() as connection:
        facts = _facts(connection, reader.name, reader.model, now)
        state = looks.record(connection, reader.name, trigger_name).state or {}
    verdict = _judge(reader, trigger_name, facts, state, now)
    return Look(reader.name, trigger_name, trigger, reader.model.policy, verdict, facts)


def evaluate(reader: EvidenceReader, trigger_name: str, now: datetime) -> Verdict:
    """The verdict of `examine`."""
    return examine(reader, trigger_name, now).verdict


def _facts(connection: Connection, name: str, model: Model, now: datetime) -> ModelFacts:
    known = models.facts(connection, name, model.predictions.columns.feature_names, now)
    return replace(known, label_delay=model.predictions.label_delay)


def _judge(
    reader: EvidenceReader, trigger_name: str, facts: ModelFacts, state: Mapping[str, Any], now: datetime
) -> Verdict:
    trigger = reader.model.triggers[trigger_name]
    try:
        if reader.keeps_counts:
            return _conversation(reader, trigger.look(facts, state, now))
        requests = trigger.requests(facts, state, now)
        answers = {name: reader.answer(request) for name, request in requests.items()}
        return trigger.evaluate(Evidence(facts, state, answers), now)
    except LedgerError:
        raise
    except RetraindError as error:
        return Verdict(Outcome.ERROR, str(error))
    except Exception as error:  # noqa: BLE001  # the boundary of a look
        _log.exception("look_raised", model=reader.name, trigger=trigger_name)
        return Verdict(Outcome.ERROR, f"the trigger raised {type(error).__name__}: {error}")


def _conversation(
    reader: EvidenceReader, look: Generator[Mapping[str, Request], Mapping[str, Any], Verdict]
) -> Verdict:
    """Answers whatever the trigger asks, until it has its verdict."""
    requests = next(look)
    while True:
        answers = {name: reader.answer(request) for name, request in requests.items()}
        try:
            requests = look.send(answers)
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict


def standing(connection: Connection, name: str, model: Model, now: datetime, *, audit_unwritable: bool) -> Standing:
    """How the model stands in the ledger, as far as its policy asks."""
    row = models.standing(connection, name)
    job = row.open_job
    broken = incidents.holding(connection, name, model.triggers)
    policy = model.policy
    return Standing(
        open_job=job,
        in_open_job=frozenset(cause["trigger"] for cause in jobs.causes(connection, job)) if job else frozenset(),
        waiting=frozenset(row.trigger for row in looks.waiting(connection, name)) if job else frozenset(),
        paused_because=(row.pause_reason or "no reason given") if row.paused_at else None,
        hold_until=row.hold_until,
        last_closed_at=jobs.last_closed_at(connection, name) if policy.cooldown else None,
        requested_at=jobs.requested_since(connection, name, now - timedelta(days=1)) if policy.daily_cap else (),
        audit_unwritable=audit_unwritable,
        incident=broken[0].open.incident.sentence if broken else None,
    )


def commit(
    ledger: Ledger, look: Look, settings: Model, *, audit_unwritable: bool, guard: Callable[[Transaction], None]
) -> tuple[Decision, str | None]:
    """Decides about the verdict and writes everything that follows. Returns the decision and a job to announce.

    `guard` checks the leader's token inside the transaction and raises LeaseLost.
    """
    with ledger.write("daemon") as transaction:
        guard(transaction)
        connection, now = transaction.connection, transaction.now
        facts = look.facts or _facts(connection, look.model, settings, now)
        record, memory, decision = _decide(look, settings, facts, connection, now, audit_unwritable=audit_unwritable)
        _follow_incidents(transaction, look, record)
        job = _carry_out(transaction, look, decision, record)
        values = _to_remember(look, record, memory, decision, now)
        values["next_look_at"] = look.due = _next_look(look, facts, values, now)
        looks.save(transaction, look.model, look.trigger_name, values)
        looks.keep(transaction, look.model, look.trigger_name, look.verdict, decision.because, job)
        _tell_health(transaction, look, record)
    return decision, job if decision.course is Course.REQUEST else None


def tell(look: Look, decision: Decision, before: Outcome | None) -> None:
    """Logs the look; one that is quiet, as the one `before` was, only for those who ask for all. None: the first."""
    still_quiet = look.verdict.outcome is Outcome.QUIET is before
    _log.log(
        logging.DEBUG if still_quiet else logging.INFO,
        "look",
        model=look.model,
        trigger=look.trigger_name,
        outcome=str(look.verdict.outcome),
        sentence=look.verdict.sentence,
        decision=decision.because,
    )


def would_start(ledger: Ledger, look: Look, settings: Model, *, audit_unwritable: bool) -> bool:
    """Whether the verdict, committed as things stand, would request a job. Nothing is written."""
    with ledger.read() as connection:
        now = ledger.clock.now()
        facts = look.facts or _facts(connection, look.model, settings, now)
        _, _, decision = _decide(look, settings, facts, connection, now, audit_unwritable=audit_unwritable)
    return decision.course is Course.REQUEST


def remembered(record: TriggerRecord, verdict: Verdict, facts: ModelFacts) -> Memory:
    """The trigger's earlier looks, with `verdict` as the latest.

    What was answered before a training ended, or before another version was deployed, was said of
    another model and confirms nothing about this one.
    """
    changed = max((each for each in (facts.trained_at, facts.deployed_at) if each is not None), default=None)
    stale = changed is not None and record.last_look_at is not None and record.last_look_at <= changed
    earlier = [] if stale else record.recent or []
    return Memory([*earlier, str(verdict.outcome)][-RECENT_LOOKS:], record.armed)


def _follow_incidents(transaction: Transaction, look: Look, record: TriggerRecord) -> None:
    """Tells what opened and what is gone. What was acknowledged since the verdict was reached stays so."""
    if not look.trigger.finds_incidents or look.verdict.state is None:
        return
    before, after = IncidentState.of(record.state), IncidentState.of(look.verdict.state)
    for each in before.open:
        if each.acknowledged_by is not None:
            after = after.acknowledged([each.incident.key], each.acknowledged_by)
    look.verdict = replace(look.verdict, state=after.within(look.verdict.state))
    incidents.follow(transaction, look.model, look.trigger_name, before, after)


def _decide(
    look: Look,
    settings: Model,
    facts: ModelFacts,
    connection: Connection,
    now: datetime,
    *,
    audit_unwritable: bool,
) -> tuple[TriggerRecord, Memory, Decision]:
    """What is decided of the verdict, after the trigger's record and its earlier looks."""
    verdict = look.verdict
    record, counted = looks.record_and_count(connection, look.model, look.trigger_name, verdict.key)
    memory = remembered(record, verdict, facts)
    if verdict.fired and counted:
        return record, memory, Decision(Course.NOTHING, "this firing was counted before")
    stands = Standing()  # what did not fire is held against nothing
    if verdict.fired:
        stands = standing(connection, look.model, settings, now, audit_unwritable=audit_unwritable)
    decision = decide(look.trigger_name, look.trigger.action, verdict, memory, look.own_policy, stands, now)
    return record, memory, decision


def _carry_out(transaction: Transaction, look: Look, decision: Decision, record: TriggerRecord) -> str | None:
    """Writes what the decision says, with its events. Returns the job it belongs to."""
    told = {"trigger": look.trigger_name, "sentence": look.verdict.sentence, "numbers": dict(look.verdict.numbers)}
    course = decision.course
    if course is Course.NOTHING:
        return None
    held_before = record.decision == decision.because  # said at the last look already
    if course is Course.HOLD and held_before:
        return None
    transaction.event("trigger.fired", model=look.model, data={**told, "decision": course, "because": decision.because})
    if course is Course.HOLD:
        data = {"trigger": look.trigger_name, "reason": decision.because}
        transaction.event("trigger.held", model=look.model, data=data)
        return None
    return _write_fire(transaction, look, decision, told)


def _write_fire(transaction: Transaction, look: Look, decision: Decision, told: dict[str, Any]) -> str | None:
    course, job = decision.course, None
    if course is Course.REQUEST:
        job = jobs.request(transaction, look.model, reason=look.verdict.sentence, causes=[told])
        if job is None:  # the open-job index: somebody was faster, in another process
            raise Conflict(f"model {look.model} got an open job while this look was committed")
    elif course is Course.JOIN:
        open_job = jobs.open_job(transaction.connection, look.model)
        job = open_job.id if open_job else None
        transaction.event("job.joined", model=look.model, job=job, data=told)
    elif course in {Course.WAIT, Course.SKIP}:
        data = {"trigger": look.trigger_name, "reason": decision.because}
        transaction.event("trigger.held", model=look.model, data=data)
    elif course is Course.PROPOSE:
        transaction.event("trigger.proposed", model=look.model, data=told)
    elif course is Course.NOTIFY:
        transaction.event("trigger.notified", model=look.model, data=told)
    roles = {
        Course.REQUEST: "cause",
        Course.JOIN: "joined",
        Course.WAIT: "waiting",
        Course.SKIP: "skipped",
        Course.PROPOSE: "proposed",
        Course.NOTIFY: "notified",
    }
    looks.fire(transaction, look.model, look.trigger_name, look.verdict, role=roles[course], job=job)
    return job


def _to_remember(
    look: Look, record: TriggerRecord, memory: Memory, decision: Decision, now: datetime
) -> dict[str, Any]:
    """The trigger's record after this look."""
    verdict = look.verdict
    quiet = record.quiet_looks + 1 if verdict.outcome is Outcome.QUIET else 0
    spoke = decision.course in {Course.PROPOSE, Course.NOTIFY}
    armed = not spoke and (record.armed or quiet >= look.policy.rearm)
    return {
        "state": dict(verdict.state) if verdict.state is not None else record.state,
        "last_look_at": now,
        "outcome": str(verdict.outcome),
        "sentence": verdict.sentence,
        "decision": decision.because,
        "fired_at": now if counts(verdict, memory.recent, look.own_policy) else record.fired_at,
        "recent": list(memory.recent),
        "armed": armed,
        "quiet_looks": quiet,
        "errors": record.errors + 1 if verdict.outcome is Outcome.ERROR else 0,
    }


def _next_look(look: Look, facts: ModelFacts, values: dict[str, Any], now: datetime) -> datetime | None:
    if look.verdict.outcome is Outcome.ERROR:
        errors: int = values["errors"]
        return now + min(_ERROR_BACKOFF * (1 << min(errors - 1, 20)), _LONGEST_BACKOFF)
    return look.trigger.next_look(facts, values["state"] or {}, now)


def _tell_health(transaction: Transaction, look: Look, record: TriggerRecord) -> None:
    """Entering and leaving an error are events, once each."""
    failing = look.verdict.outcome is Outcome.ERROR
    if failing and record.errors == 0:
        data = {"trigger": look.trigger_name, "sentence": look.verdict.sentence}
        transaction.event("trigger.error", model=look.model, data=data)
    elif not failing and record.errors > 0:
        transaction.event("trigger.recovered", model=look.model, data={"trigger": look.trigger_name})
