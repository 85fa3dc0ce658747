"""When a trigger counts as no longer looked at: one rule for the reconciler's alarm and for `status`."""

from datetime import datetime, timedelta

from retraind.ledger.looks import TriggerRecord

_PLANS_MISSED = 3
_PATIENCE = timedelta(minutes=2)  # a busy moment is no alarm


def overdue(record: TriggerRecord, now: datetime) -> timedelta | None:
    """How late the next look is, once that is three times its planned distance and two minutes. None: it is not."""
    if record.next_look_at is None:
        return None
    planned = record.next_look_at - (record.last_look_at or record.next_look_at)
    late = now - record.next_look_at
    return late if late > max(_PLANS_MISSED * planned, _PATIENCE) else None
