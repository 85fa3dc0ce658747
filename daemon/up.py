"""`retraind up`: everything on one machine: the embedded broker, a worker and the daemon, kept running.

Each is the very process that a service manager would run. This one prepares: it takes the state
directory for itself and brings the ledger's schema up to date, so that the processes which stay need
not load what that takes. Then it becomes the small process of `daemon.keeping`.
"""

import sys

from daemon.keeping import Kept
from retraind.config.settings import Settings
from retraind.errors import LedgerError
from retraind.ledger import Ledger
from retraind.locks import up_lock
from retraind.logs import configure_logging
from retraind.privacy import users_umask


def up(settings: Settings) -> None:
    """Ends in another program, or raises.

    Raises Conflict when another `retraind up` runs on the same state directory, and ConfigurationError.
    """
    configure_logging(settings)
    lock = up_lock(settings)
    _prepare_ledger(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    Kept(
        configuration=str(settings.source_path),
        state=settings.state,
        embedded_broker=settings.broker == "embedded",
        worker_grace_seconds=settings.workers.grace.total_seconds(),
        umask=users_umask(),
        lock=lock.descriptor,
    ).replace_this_process()


def _prepare_ledger(settings: Settings) -> None:
    """A ledger that does not answer now is the daemon's to wait for, and to complain of."""
    try:
        Ledger.open(settings.ledger_url).close()
    except LedgerError:
        return
