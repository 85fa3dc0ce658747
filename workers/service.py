"""`retraind worker`: an ordinary Celery worker with our settings, in this process."""

import os
from collections.abc import Sequence

from retraind.config.settings import Settings
from retraind.queue import queues as every_queue


def run(settings: Settings, queues: Sequence[str] = (), concurrency: int | None = None) -> int:
    """Runs until SIGTERM or SIGINT, then lets the stage under way finish or hands it over. Returns the exit code.

    `queues` defaults to the common queue and every queue that the configuration names.
    """
    os.environ["RETRAIND_CONFIG"] = str(settings.source_path)
    from celery.utils.nodenames import host_format

    from workers.celery import app  # reads RETRAIND_CONFIG

    chosen = list(queues) or every_queue(settings)
    worker = app.Worker(
        queues=chosen,
        concurrency=concurrency or settings.workers.concurrency,
        hostname=host_format(f"retraind-{os.getpid()}@%h"),
        pool="prefork",
        loglevel=os.environ.get("RETRAIND_LOG_LEVEL", "INFO"),
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
