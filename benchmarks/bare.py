"""The least that could do the work: watchdog, Celery and a broker, with nothing recorded. Every figure's baseline.

`python -m benchmarks.bare BROKER NOTES` runs its worker, `python -m benchmarks.bare BROKER NOTES DIRECTORY` its
watcher, which sends a task for each file.
"""

import sys
import threading
import time
from pathlib import Path
from typing import Any

from celery import Celery, chain

STEPS = 6
PING, STEP = "bare.ping", "bare.step"


def application(broker: str, notes: Path | None = None) -> Any:
    """A Celery application on `broker`, with its tasks where `notes` names the file they write to."""
    app = Celery("bare", broker=broker)
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, task_default_queue="bare")
    if notes is not None:

        def note(what: str) -> None:
            with notes.open("a") as file:
                file.write(f"{time.time_ns()} {what}\n")

        app.task(note, name=PING)
        app.task(note, name=STEP)
    return app


def six_steps(app: Any, name: str) -> None:
    """Sends six chained tasks."""
    chain(*(app.signature(STEP, args=(f"{name}-{step}",), immutable=True) for step in range(STEPS))).apply_async()


def watch(app: Any, directory: Path) -> None:
    """Sends a task for each file that is complete in `directory`, until it is killed."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Handler(FileSystemEventHandler):
        def on_moved(self, event: FileSystemEvent) -> None:
            app.send_task(PING, args=(Path(str(event.dest_path)).name,))

    observer = Observer()
    observer.schedule(Handler(), str(directory))
    observer.start()
    threading.Event().wait()


def main() -> None:
    broker, notes = sys.argv[1], Path(sys.argv[2])
    if len(sys.argv) > 3:
        watch(application(broker), Path(sys.argv[3]))
        return
    app = application(broker, notes)
    app.Worker(concurrency=1, pool="prefork", without_gossip=True, without_mingle=True, quiet=True).start()


if __name__ == "__main__":
    main()
