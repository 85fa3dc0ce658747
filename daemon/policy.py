"""Turns a verdict into a decision. Pure: what stands, what was answered and what time it is go in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from retraind.clock import rfc3339
from retraind.config.policy import OnIncident, Policy, QuietHours, WhenBusy
from triggers.base import Action
from triggers.confirmations import Confirmations
from triggers.quantities import format_duration
from triggers.verdict import Verdict


class Course(StrEnum):
    """What is done about a verdict."""

    REQUEST = "request"  # a job is requested
    JOIN = "join"  # the firing joins the open job
    WAIT = "wait"  # the firing is kept until a job may be requested
    HOLD = "hold"  # nothing now; the trigger will answer again at its next look
    SKIP = "skip"  # the firing is recorded and left
    PROPOSE = "propose"  # a person is asked
    NOTIFY = "notify"  # a person is told
    NOTHING = "nothing"  # there is nothing to do


@dataclass(frozen=True)
class Decision:
    """A course, and the reason in words: "did not start a job, because ..." can always be asked for."""

    course: Course
    because: str


@dataclass(frozen=True)
class Standing:
    """How a model stands when a verdict comes in. Instants are aware UTC; None: not so."""

    open_job: str | None = None
    in_open_job: frozenset[str] = frozenset()  # triggers recorded with the open job
    waiting: frozenset[str] = frozenset()  # triggers with a firing that waits
    paused_because: str | None = None
    hold_until: datetime | None = None  # the breaker's
    last_closed_at: datetime | None = None
    requested_at: Sequence[datetime] = ()  # of the jobs in the last 24 hours, oldest first
    audit_unwritable: bool = False
    incident: str | None = None  # what is broken in the data, where nobody acknowledged it


@dataclass(frozen=True)
class Memory:
    """What is remembered of a trigger's earlier looks."""

    recent: Sequence[str] = ()  # outcomes, oldest first, this look's included
    armed: bool = True  # a propose or notify trigger has been quiet since it last spoke


def decide(
    trigger: str, action: Action, verdict: Verdict, memory: Memory, policy: Policy, standing: Standing, now: datetime
) -> Decision:
    """What to do about `verdict`, and why."""
    if not verdict.fired:
        return Decision(Course.NOTHING, f"answered {verdict.outcome}")
    if action is Action.NONE:
        return Decision(Course.NOTHING, "it only serves as a member of other triggers")
    if not counts(verdict, memory.recent, policy):
        return Decision(Course.HOLD, _lacking(memory.recent, policy.confirmations))
    if action is not Action.RETRAIN:
        if verdict.key is None and not memory.armed:
            return Decision(Course.NOTHING, "it has said so and has not been quiet since")
        return Decision(Course(str(action)), f"its action is {action}")
    return _retrain(trigger, verdict, policy, standing, now)


def _retrain(trigger: str, verdict: Verdict, policy: Policy, standing: Standing, now: datetime) -> Decision:
    if standing.paused_because is not None:
        return Decision(Course.SKIP if verdict.key else Course.HOLD, f"the model is paused: {standing.paused_because}")
    if standing.open_job is not None:
        return _busy(trigger, verdict, policy, standing)
    reason = held(policy, standing, now)
    if reason is None:
        return Decision(Course.REQUEST, "nothing holds it back")
    return Decision(Course.WAIT if verdict.key else Course.HOLD, reason)


def _busy(trigger: str, verdict: Verdict, policy: Policy, standing: Standing) -> Decision:
    job = standing.open_job
    known = trigger in (standing.waiting if policy.when_busy is WhenBusy.QUEUE else standing.in_open_job)
    if known and verdict.key is None:
        return Decision(Course.NOTHING, f"it is recorded with job {job} already")
    if policy.when_busy is WhenBusy.COALESCE:
        return Decision(Course.JOIN, f"job {job} is open and takes it in")
    if policy.when_busy is WhenBusy.QUEUE:
        return Decision(Course.WAIT, f"job {job} is open; one more follows it")
    return Decision(Course.SKIP, f"job {job} is open and when_busy is skip")


def held(policy: Policy, standing: Standing, now: datetime) -> str | None:
    """Why no job may be requested at `now`; None when one may. An open job is not asked about here."""
    if (unsafe := _unsafe(policy, standing)) is not None:
        return unsafe
    if standing.hold_until is not None and now < standing.hold_until:
        until = rfc3339(standing.hold_until)
        return f"the breaker is open until {until}: jobs in a row ended without a deployment"
    if policy.cooldown is not None and standing.last_closed_at is not None:
        until_cool = standing.last_closed_at + policy.cooldown
        if now < until_cool:
            return f"cooldown of {format_duration(policy.cooldown)} until {rfc3339(until_cool)}"
    if policy.quiet_hours is not None and _quiet(policy.quiet_hours, now):
        return f"quiet hours until {policy.quiet_hours.end:%H:%M} {policy.quiet_hours.timezone}"
    today = [instant for instant in standing.requested_at if instant > now - timedelta(days=1)]
    if policy.daily_cap is not None and len(today) >= policy.daily_cap:
        return f"{len(today)} jobs in the last 24 hours; the cap is {policy.daily_cap}"
    return None


def _unsafe(policy: Policy, standing: Standing) -> str | None:
    """What must be mended before a job is any good; None: nothing."""
    if standing.audit_unwritable:
        return "the audit log cannot be written and audit.required is true"
    if standing.incident is not None and policy.on_incident is OnIncident.HOLD:
        return f"an incident of the data is open: {standing.incident}"
    return None


def counts(verdict: Verdict, recent: Sequence[str], policy: Policy) -> bool:
    """Whether `verdict` is a firing that was confirmed often enough by the `recent` outcomes, its own included.

    A firing with a key (a scheduled instant, a set of files) is a fact; only samples are confirmed.
    """
    wanted = policy.confirmations
    return verdict.fired and (verdict.key is not None or wanted.fired(recent) >= wanted.needed)


def _lacking(recent: Sequence[str], wanted: Confirmations) -> str:
    return f"it fired in {wanted.fired(recent)} of its last {wanted.looks} looks; {wanted.needed} are needed"


def _quiet(hours: QuietHours, now: datetime) -> bool:
    local: time = now.astimezone(ZoneInfo(hours.timezone)).time()
    if hours.start <= hours.end:
        return hours.start <= local < hours.end
    return local >= hours.start or local < hours.end
