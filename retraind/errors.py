"""Every error that retraind raises on purpose.

    RetraindError                 the base; its message names the object, the value and the mend
    ├── ConfigurationError        the configuration or the call is wrong (exit 2)
    ├── StoreError                the predictions store cannot answer
    │   └── StoreBusy             ... just now (locked, restarting): the next look will try again
    ├── FilesUnreadable           watched files cannot be read; the next look will try again
    ├── BrokerUnreachable         the broker does not answer; what waits in the ledger is published later
    ├── AlertUndelivered          an alert's receiver refused it or did not answer; it is tried again
    ├── LedgerError               the ledger cannot be used
    │   ├── LedgerAbsent          ... just now (down, busy, full): what was to be done is tried again
    │   └── LedgerNewer           ... by this version: its schema is one for newer ones; waiting mends nothing
    ├── Conflict                  somebody else won, or the state does not allow it (exit 1)
    │   └── LeaseLost             this process's lease was taken: it may commit nothing more
    ├── Interrupted               a stage was asked to stop, and did (cancelled, shutting down, lease lost)
    ├── AuditUnwritable           the audit log cannot be written; the events stand in the ledger
    └── StageError                a stage of a job failed, by kind
        ├── TransientFailure      a retry may help (network, broker, MLflow, a killed child)
        ├── DataFailure           bad or missing training data
        ├── BudgetExceeded        the time or memory budget was spent
        └── UnknownFailure        anything else: a person must look

Foreign exceptions are translated at the edge where they arise, with `from`.
"""

from enum import StrEnum


class RetraindError(Exception):
    """The base of every error here. `str(error)` is one plain sentence, or several lines of them."""


class ConfigurationError(RetraindError):
    """The configuration or the call is wrong."""


class StoreError(RetraindError):
    """The predictions store cannot answer."""


class StoreBusy(StoreError):
    """The predictions store cannot answer just now."""


class FilesUnreadable(RetraindError):
    """Watched files cannot be read just now, or not by this user."""


class BrokerUnreachable(RetraindError):
    """The broker does not answer within its deadline."""


class AlertUndelivered(RetraindError):
    """A receiver of alerts refused one, or did not answer in time."""


class LedgerError(RetraindError):
    """The ledger cannot be used."""


class LedgerAbsent(LedgerError):
    """The ledger does not answer just now."""


class LedgerNewer(LedgerError):
    """The ledger's schema was made by a newer retraind, for newer ones only."""


class Conflict(RetraindError):
    """Somebody else won, or the state does not allow the change."""


class LeaseLost(Conflict):
    """The lease was taken by another process; nothing may be committed under it."""


class Interrupted(RetraindError):
    """A stage was asked to stop and did; what it had under way is gone. Whoever asked knows what comes next."""


class AuditUnwritable(RetraindError):
    """The audit log cannot be written."""


class FailureKind(StrEnum):
    """How a failed stage is treated."""

    TRANSIENT = "transient"  # retried with growing delay, a stated number of times
    DATA = "data"  # not retried; the data channel is alerted
    BUDGET = "budget"  # killed; not retried
    UNKNOWN = "unknown"  # not retried; on-call is alerted


class StageError(RetraindError):
    """A stage failed. `kind` decides what happens next."""

    kind = FailureKind.UNKNOWN


class TransientFailure(StageError):
    """A retry may help."""

    kind = FailureKind.TRANSIENT


class DataFailure(StageError):
    """The training data is bad or missing."""

    kind = FailureKind.DATA


class BudgetExceeded(StageError):
    """The time or memory budget was spent."""

    kind = FailureKind.BUDGET


class UnknownFailure(StageError):
    """A failure that only a person can judge."""
