"""What a model's triggers would answer now, and what would be done about it.

Called by `retraind evaluate`. Reads the predictions store and the ledger; writes nothing, fires nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.evidence import EvidenceReader
from daemon.looking import evaluate, remembered, standing
from daemon.policy import decide
from retraind.config.settings import Settings
from retraind.errors import ConfigurationError
from retraind.ledger import Ledger, looks, models
from retraind.nearest import did_you_mean


@dataclass(frozen=True)
class VerdictReport:
    """One trigger's answer. `course` is what the daemon would do about it, `because` why; `numbers` the evidence."""

    model: str
    trigger: str
    type: str
    outcome: str
    sentence: str
    numbers: Mapping[str, Any]
    course: str
    because: str


def verdicts(settings: Settings, ledger: Ledger, model: str, trigger: str | None, now: datetime) -> list[VerdictReport]:
    """The answers of the model's triggers, or of the one named. Raises ConfigurationError for an unknown trigger."""
    configured = settings.models[model].triggers
    if trigger is not None and trigger not in configured:
        names = ", ".join(configured) or "none"
        raise ConfigurationError(
            f"model {model!r} has no trigger {trigger!r}{did_you_mean(trigger, configured)}; it has: {names}"
        )
    reader = EvidenceReader(model, settings.models[model], ledger)
    try:
        names_asked = [trigger] if trigger is not None else list(configured)
        return [_verdict(settings, reader, name, now) for name in names_asked]
    finally:
        reader.close()


def _verdict(settings: Settings, reader: EvidenceReader, name: str, now: datetime) -> VerdictReport:
    model = settings.models[reader.name]
    trigger = model.triggers[name]
    verdict = evaluate(reader, name, now)
    with reader.ledger.read() as connection:
        record, counted = looks.record_and_count(connection, reader.name, name, verdict.key)
        stands = standing(connection, reader.name, model, now, audit_unwritable=False)
        facts = models.facts(connection, reader.name, model.predictions.columns.feature_names, now)
    if counted:
        course, because = "nothing", "this firing was counted before"
    else:
        policy = model.policy.of_trigger(trigger.confirmations)
        decision = decide(name, trigger.action, verdict, remembered(record, verdict, facts), policy, stands, now)
        course, because = str(decision.course), decision.because
    return VerdictReport(
        reader.name, name, trigger.type, str(verdict.outcome), verdict.sentence, dict(verdict.numbers), course, because
    )
