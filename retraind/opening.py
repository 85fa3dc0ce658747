"""Opens the ledger together with its audit log, as every process does."""

import structlog

from retraind.audit import AuditLog
from retraind.clock import Clock, SystemClock
from retraind.config.settings import Settings
from retraind.errors import AuditUnwritable, LedgerAbsent, LedgerError
from retraind.ledger import Ledger
from retraind.outage import Outage
from retraind.privacy import refuse_writable
from retraind.redaction import redact_data

_log = structlog.get_logger(__name__)


def open_ledger(
    settings: Settings, clock: Clock | None = None, outage: Outage | None = None
) -> tuple[Ledger, AuditLog]:
    """The ledger, which lets the audit log catch up after each commit, and that log.

    `outage` is where it is told that the ledger does not answer, from now on.

    Raises LedgerError or ConfigurationError when the ledger cannot be opened, or everybody could write to it.
    """
    refuse_writable(settings)
    try:
        ledger = Ledger.open(settings.ledger_url, clock or SystemClock())
    except LedgerAbsent as error:
        if outage is not None:
            outage.enter(error)
        raise
    ledger.outage = outage
    ledger.redact = lambda data: redact_data(data, settings)
    audit = AuditLog(settings.audit.path, ledger, settings.audit.rotate)

    def catch_up() -> None:
        # The commit stands whatever becomes of the file: the daemon's reconciler raises the alarm
        # and catches up.
        try:
            repaired = audit.project()
        except (AuditUnwritable, LedgerError) as error:
            _log.warning("audit_behind", error=str(error))
        else:
            for sentence in repaired:
                _log.warning("audit_repaired", repair=sentence)

    ledger.after_commit = catch_up
    return ledger, audit
