"""`retraind worker`: an ordinary Celery worker with our settings, in this process."""

import os
from collections.abc import Sequence

from retraind.config.settings import Settings
from retraind.errors import LedgerNewer
from retraind.lean import redis_client
from retraind.queue import queues as every_queue


def run(settings: Settings, queues: Sequence[str] = (), concurrency: int | None = None) -> int:
    """Runs until SIGTERM or SIGINT, then lets the stage under way finish or hands it over. Returns the exit code.

    `queues` defaults to the common queue and every queue that the configuration names. Raises LedgerNewer for a
    ledger that a newer retraind has made its own.
    """
    os.environ["RETRAIND_CONFIG"] = str(settings.source_path)
    redis_client()
    from celery.utils.nodenames import host_format

    from workers import ending, presence
    from workers.celery import app  # reads RETRAIND_CONFIG

    chosen = list(queues) or every_queue(settings)
    worker = app.Worker(
        queues=chosen,
        concurrency=concurrency or settings.workers.concurrency,
        hostname=host_format(f"retraind-{os.getpid()}@%h"),
        pool="prefork",
        loglevel=os.environ.get("RETRAIND_LOG_LEVEL", "INFO"),
        without_mingle=True,
        without_gossip=True,  # what other workers do is in the ledger
        heartbeat_interval=20,  # seconds; for Flower alone, which reckons with what it is told
        quiet=True,
    )
    worker.start()
    if refusal := presence.refusal():
        raise LedgerNewer(refusal)
    return 0 if ending.was_asked() else int(worker.exitcode or 0)
