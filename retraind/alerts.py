"""What an alert says, and who wants it. Pure: `daemon.alerting` sends.

A message says what happened to which model, why with its numbers, which job it was, and what to do next.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retraind.events import alert_names
from retraind.redaction import redact
from retraind.states import JobState
from retraind.telling import figures, gate_sentence, instant, tell

Event = Mapping[str, Any]  # an audit record: seq, time, event, model, job, actor, data
_MOST_LINES = 30


class Tone(StrEnum):
    """How a receiver may colour a message."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Message:
    """Plain text; the title fits on a line."""

    title: str
    body: str
    tone: Tone


_TONES = {
    "deployed": Tone.SUCCESS,
    "model.deployed": Tone.SUCCESS,
    "breaker.closed": Tone.SUCCESS,
    "trigger.recovered": Tone.SUCCESS,
    "data.cleared": Tone.SUCCESS,
    "target.repaired": Tone.SUCCESS,
    "audit.repaired": Tone.SUCCESS,
    "failed": Tone.FAILURE,
    "stage.failed": Tone.FAILURE,
    "target.failed": Tone.FAILURE,
    "audit.unwritable": Tone.FAILURE,
    "awaiting_approval": Tone.WARNING,
    "gate_failed": Tone.WARNING,
    "gate.failed": Tone.WARNING,
    "expired": Tone.WARNING,
    "rejected": Tone.WARNING,
    "model.rolled_back": Tone.WARNING,
    "breaker.opened": Tone.WARNING,
    "trigger.error": Tone.WARNING,
    "trigger.stale": Tone.WARNING,
    "data.incident": Tone.WARNING,
    "trigger.proposed": Tone.WARNING,
}

# What to do next, by the first name of the event that stands here.
_NEXT = {
    "awaiting_approval": "`retraind approve {job}` deploys it, `retraind reject {job}` refuses it.",
    "deployed": "`retraind rollback {model}` goes back to the version before.",
    "model.deployed": "`retraind rollback {model}` goes back to the version before.",
    "gate_failed": "The deployed version keeps serving; `retraind show {job}` compares both.",
    "failed": "The deployed version keeps serving; `retraind show {job}` tells what happened, "
    "`retraind trigger {model}` tries again once it is mended.",
    "stage.failed": "`retraind show {job}` tells what happened.",
    "expired": "`retraind trigger {model}` starts a new one.",
    "rejected": "The deployed version keeps serving.",
    "skipped": "`retraind trigger {model} --force` trains on the same data again.",
    "trigger.proposed": "`retraind trigger {model}` starts it.",
    "trigger.error": "`retraind evaluate {model}` shows what it says now.",
    "trigger.stale": "`retraind status` shows whether a daemon leads, and what it looks at.",
    "data.incident": "No job starts until it is over, unless policy.on_incident is ignore; "
    "`retraind clear {model}` says that the data is right.",
    "breaker.opened": "`retraind resume {model}` lifts the hold once you have looked.",
    "model.paused": "`retraind resume {model}` lifts the pause.",
    "model.rolled_back": "`retraind show {model}` tells what is deployed.",
    "target.failed": "It is tried again; the ledger says what should be shown.",
    "audit.unwritable": "The events stand in the ledger and are written once the file can be; see to its disk.",
}

_TITLES = {
    str(JobState.DEPLOYED): "version {version} is deployed",
    str(JobState.FAILED): "the retraining failed",
    str(JobState.GATE_FAILED): "the challenger failed its gates",
    str(JobState.REJECTED): "version {version} was rejected",
    str(JobState.EXPIRED): "nobody approved version {version} in time",
    str(JobState.SKIPPED): "the retraining was skipped",
    str(JobState.CANCELLED): "the retraining was cancelled",
    str(JobState.AWAITING_APPROVAL): "version {version} waits for your approval",
    "model.deployed": "version {version} is deployed",
    "model.rolled_back": "back at version {version}",
    "breaker.opened": "retraining does not help",
    "stage.failed": "{stage} failed",
    "trigger.fired": "{trigger} fired",
    "trigger.proposed": "{trigger} proposes a retraining",
    "trigger.error": "{trigger} cannot answer",
    "trigger.stale": "{trigger} is not looked at",
    "data.incident": "the data is broken",
    "data.cleared": "an incident of the data is over",
    "audit.unwritable": "the audit log cannot be written",
}


def receiver_key(url: str) -> str:
    """What the ledger calls a receiver: a hash, for the URL is a secret."""
    return hashlib.sha256(url.encode()).hexdigest()


def receiver_name(url: str) -> str:
    """What logs call a receiver: `slack://*** (1a2b3c4d)`."""
    return f"{url.partition('://')[0]}://*** ({receiver_key(url)[:8]})"


def is_wanted(event: Event, on: Collection[str]) -> bool:
    """True when a receiver that asks for `on` asks for this event."""
    return not alert_names(event["event"], event["data"] or {}).isdisjoint(on)


def compose(event: Event, history: Sequence[Event] = ()) -> Message:
    """The message of one event. `history` are the earlier events of its job, for the gates and the reason."""
    sentence = tell(event)
    lines = [f"{sentence[:1].upper()}{sentence[1:]}.", *_numbers(event, history), *_reason(event, history)]
    job = f"Job {event['job']}, " if event["job"] else ""
    lines.append(f"{job}{instant(event['time'])}.")
    following = _first(event, _NEXT)
    if following and (event["job"] or "{job}" not in following):
        lines.append(following.format(job=event["job"], model=event["model"]))
    return Message(redact(_title(event)), redact("\n".join(lines)), _first(event, _TONES) or Tone.INFO)


def digest(events: Sequence[Event]) -> Message:
    """One message of several events, oldest first, with a line for each of the newest."""
    models = sorted({event["model"] for event in events if event["model"]})
    left_out = len(events) - _MOST_LINES
    lines = [f"{left_out} earlier ones are left out; `retraind audit tail` has them all."] if left_out > 0 else []
    for event in events[-_MOST_LINES:]:
        about = ", ".join(part for part in (event["model"], event["job"]) if part)
        lines.append(f"{instant(event['time'])} {about}: {tell(event)}." if about else f"{tell(event)}.")
    tones = {_first(event, _TONES) for event in events}
    tone = next((tone for tone in (Tone.FAILURE, Tone.WARNING, Tone.SUCCESS) if tone in tones), Tone.INFO)
    title = f"retraind: {len(events)} events" + (f" of {', '.join(models[:3])}" if models else "")
    return Message(redact(title), redact("\n".join(lines)), tone)


def _title(event: Event) -> str:
    data = dict(event["data"] or {})
    told = _first(event, _TITLES)
    try:
        about = told.format(**data) if told else tell(event)
    except KeyError:  # data of another version of retraind
        about = tell(event)
    return f"{event['model'] or 'retraind'}: {about}"


def _numbers(event: Event, history: Iterable[Event]) -> list[str]:
    """The challenger's figures and how it did at each gate, where the event is about one."""
    data = event["data"] or {}
    told = figures(data.get("metrics"))
    gates = [past for past in history if past["event"] in {"gate.passed", "gate.failed"}]
    return ([f"Figures: {told}."] if told else []) + [
        f"Gate {past['event'].removeprefix('gate.')}: {gate_sentence(past['data'])}." for past in gates
    ]


def _reason(event: Event, history: Iterable[Event]) -> list[str]:
    """Why the job was started, where the event is about one and does not say itself."""
    asked = [event, *history] if event["event"] == "job.closed" else history
    for past in asked:
        reason = (past["data"] or {}).get("reason")
        if past["event"] in {"job.closed", "job.requested"} and reason:
            return [f"It was started because: {str(reason).rstrip('.')}."]
    return []


def _first(event: Event, table: Mapping[str, Any]) -> Any:
    """What `table` has under a name of the event, a job's state before the event's own name. None: nothing."""
    names = alert_names(event["event"], event["data"] or {})
    return next((table[name] for name in sorted(names, key=lambda name: "." in name) if name in table), None)
