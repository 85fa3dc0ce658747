"""An event as one sentence for people, and spans of time as people say them.

Called by whatever shows events to somebody: the command, the demo, alerts. Takes audit records and
rows of the ledger alike, and never fails on data that an older or newer version wrote.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from triggers import wording
from triggers.wording import age

Data = Mapping[str, Any]


def tell(event: Mapping[str, Any]) -> str:
    """One sentence without a full stop. `event` has the keys event, model, job, actor and data."""
    told = _SENTENCES.get(event["event"])
    data = event.get("data") or {}
    return told(event, data) if told else str(event["event"])


def span(seconds: float) -> str:
    """A span of time to a sensible unit: `0.4s`, `40s`, `2h5m`, `3d4h`."""
    seconds = abs(seconds)
    return f"{seconds:.1f}s" if seconds < 10 else age(timedelta(seconds=seconds))


def ago(moment: datetime, now: datetime) -> str:
    """`12s ago`, or `in 3m` for an instant after `now`."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    told = age(timedelta(seconds=abs(seconds)))
    return f"{told} ago" if seconds > 0 else f"in {told}"


def figure(value: Any) -> str:
    """A number as verdicts write it; `-` for None, anything else as it is."""
    if value is None:
        return "-"
    return wording.figure(value) if isinstance(value, float) else str(value)


def figures(metrics: Mapping[str, Any] | None) -> str:
    """`accuracy 0.91, roc_auc 0.95`; nested mappings are left out; empty where there is nothing."""
    plain = {k: v for k, v in (metrics or {}).items() if not isinstance(v, Mapping | list)}
    return ", ".join(f"{name} {figure(value)}" for name, value in plain.items())


def instant(value: Any) -> str:
    """`2026-01-31 14:05:09 UTC` of a datetime or its RFC 3339 text; `-` for None."""
    if value is None:
        return "-"
    return wording.instant(value if isinstance(value, datetime) else datetime.fromisoformat(str(value)))


def gate_sentence(data: Data) -> str:
    """The gate's own sentence, or `accuracy at least 0.85: challenger 0.912, champion 0.877`."""
    if data.get("sentence"):
        return _joined(data["sentence"])
    against = f", champion {figure(data['champion'])}" if data.get("champion") is not None else ""
    return f"{data.get('gate')}: challenger {figure(data.get('challenger'))}{against}"


def _joined(sentence: Any) -> str:
    return str(sentence or "").rstrip(".")


def _trigger(verb: str) -> Callable[[Data, Data], str]:
    def told(_event: Data, data: Data) -> str:
        why = _joined(data.get("sentence") or data.get("reason"))
        return f"{data.get('trigger')} {verb}: {why}" if why else f"{data.get('trigger')} {verb}"

    return told


def _requested(event: Data, data: Data) -> str:
    forced = ", even on data trained on before" if data.get("forced") else ""
    return f"{event.get('actor')} asked for a retraining{forced}: {_joined(data.get('reason'))}"


def _cleared(event: Data, data: Data) -> str:
    about = _after(" of the column ", data.get("column"))
    kind = _after(" (", data.get("kind")) + (")" if data.get("kind") else "")
    over = f"the incident of the data{kind}{about} is over"
    return over + _after(f", says {event.get('actor')}: ", _joined(data.get("reason")))


def _stage_failed(_event: Data, data: Data) -> str:
    retry = f"; tried again at {instant(data['retry_at'])}" if data.get("retry_at") else ""
    return f"{data.get('stage')} failed ({data.get('kind')}): {_joined(data.get('error'))}{retry}"


def _stage_succeeded(_event: Data, data: Data) -> str:
    took = f" in {span(data['seconds'])}" if isinstance(data.get("seconds"), int | float) else ""
    return f"{data.get('stage')} done{took}"


def _stage_started(_event: Data, data: Data) -> str:
    again = f", attempt {data['attempt']}" if (data.get("attempt") or 1) > 1 else ""
    return f"{data.get('stage')} begins{again}"


def _registered(_event: Data, data: Data) -> str:
    return f"registered as version {data.get('version')}" + _after(" with ", figures(data.get("metrics")))


def _closed(_event: Data, data: Data) -> str:
    outcome = str(data.get("outcome")).replace("_", " ")
    version = f" with version {data['version']}" if data.get("version") and data.get("success") else ""
    return f"the job ended as {outcome}{version}" + _after(": ", _joined(data.get("error")))


def _deployed(_event: Data, data: Data) -> str:
    return f"version {data.get('version')} is deployed" + _after(", in place of version ", data.get("previous"))


def _rolled_back(event: Data, data: Data) -> str:
    reason = _after(": ", _joined(data.get("reason")))
    return f"{event.get('actor')} went back from version {data.get('previous')} to {data.get('version')}{reason}"


def _awaiting(_event: Data, data: Data) -> str:
    until = _after(" until ", instant(data["expires"]) if data.get("expires") else "")
    return f"version {data.get('version')} passed its gates and waits for approval{until}"


def _recovered(_event: Data, data: Data) -> str:
    return f"{data.get('worker')} took the job over from {data.get('lost')}, which fell silent"


def _breaker_opened(_event: Data, data: Data) -> str:
    return (
        f"{data.get('jobs')} jobs in a row ended without a deployment; new ones are held until "
        f"{instant(data.get('until'))}: retraining does not seem to help, look at the data and the gates"
    )


def _after(words: str, value: Any) -> str:
    return f"{words}{value}" if value else ""


def _pruned(_event: Data, data: Data) -> str:
    what = ", ".join(f"{value} {name}" for name, value in data.items() if name != "through" and isinstance(value, int))
    return f"what had been kept long enough was removed: {what}"


def _registry_repaired(_event: Data, data: Data) -> str:
    said = [
        f"{done} {', '.join(map(str, data[key]))}"
        for key, done in (("deleted", "deleted the surplus versions"), ("terminated", "ended the abandoned runs"))
        if data.get(key)
    ]
    return f"MLflow's {data.get('registered')} was mended" + _after(": ", "; ".join(said))


_SENTENCES: Mapping[str, Callable[[Data, Data], str]] = {
    "daemon.started": lambda _, d: f"a daemon started on {d.get('host')} (pid {d.get('pid')})",
    "daemon.led": lambda e, _: f"{e.get('actor')} took the lead",
    "daemon.stopped": lambda _, d: "a daemon stopped" + _after(" on ", d.get("host")),
    "trigger.fired": _trigger("fired"),
    "trigger.held": _trigger("fired, and no job was started"),
    "trigger.proposed": _trigger("proposes a retraining"),
    "trigger.notified": _trigger("tells"),
    "trigger.error": _trigger("cannot answer"),
    "trigger.recovered": _trigger("answers again"),
    "trigger.stale": lambda _, d: f"{d.get('trigger')} has not been looked at for {span(d.get('seconds') or 0)}",
    "data.incident": lambda _, d: "the data is broken" + _after(": ", _joined(d.get("sentence"))),
    "data.cleared": _cleared,
    "job.requested": _requested,
    "job.joined": _trigger("fired and joined the open job"),
    "job.queued": lambda _e, _d: "announced to the workers",
    "job.started": lambda _, d: f"{d.get('worker')} took the job",
    "job.recovered": _recovered,
    "job.interrupted": lambda _, d: f"{d.get('stage')} was handed over, because its worker was asked to stop",
    "stage.started": _stage_started,
    "stage.succeeded": _stage_succeeded,
    "stage.failed": _stage_failed,
    "gate.passed": lambda _, d: f"gate passed: {gate_sentence(d)}",
    "gate.failed": lambda _, d: f"gate failed: {gate_sentence(d)}",
    "model.registered": _registered,
    "job.awaiting_approval": _awaiting,
    "job.approved": lambda e, d: f"{e.get('actor')} approved" + _after(" version ", d.get("version")),
    "job.closed": _closed,
    "model.deployed": _deployed,
    "model.rolled_back": _rolled_back,
    "target.repaired": lambda _, d: f"{d.get('target')} showed {d.get('found')} and shows {d.get('version')} again",
    "target.failed": lambda _, d: f"{d.get('target')} cannot show {d.get('version')}: {_joined(d.get('error'))}",
    "registry.repaired": _registry_repaired,
    "model.paused": lambda e, d: f"{e.get('actor')} paused the model" + _after(": ", _joined(d.get("reason"))),
    "model.resumed": lambda e, _: f"{e.get('actor')} resumed the model",
    "breaker.opened": _breaker_opened,
    "breaker.closed": lambda _e, _d: "a deployment closed the breaker",
    "retention.pruned": _pruned,
    "audit.unwritable": lambda _, d: f"the audit log cannot be written: {_joined(d.get('error'))}",
    "audit.repaired": lambda _, d: "the audit log was mended" + _after(": ", "; ".join(d.get("repairs") or ())),
}
