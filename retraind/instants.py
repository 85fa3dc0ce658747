"""What the ledger's instants are worth under wall clocks that are stepped.

Leases and waits are instants, because several hosts must read them. A clock that is set back would make
a dead worker's lease last for as long as the step. The one rule against it: an instant that a clock
which agrees with ours could not have written is void, and nobody waits for it. Clocks that work
together differ by less than `AGREE`, as a lease needs anyway. A holder that lives writes its next
instant with its next heartbeat; and what a dead one is taken for too early is only a repeated stage,
for its fencing token commits nothing any more.
"""

from datetime import datetime, timedelta

AGREE = timedelta(seconds=30)


def is_void(written: datetime, now: datetime) -> bool:
    """True for an instant that was `now` to whoever wrote it and is yet to come to us: that clock was set back since.

    What else was written with it is void too.
    """
    return written > now + AGREE


def holds(until: datetime | None, written: datetime, now: datetime) -> bool:
    """True while something written at `written` is to last: a lease, or a wait. None for `until`: there is nothing."""
    return until is not None and until > now and not is_void(written, now)


def outlasts(until: datetime, length: timedelta, now: datetime) -> bool:
    """True for the end of a lease of that length which ends too late to have been written by a clock like ours."""
    return until > now + 2 * length
