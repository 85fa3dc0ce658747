"""Keeps an idle worker small: its children leave when there is nothing to do, and come back with the next message.

A stage brings libraries with it (mlflow and pyarrow: 200 MiB) that no process ever gives back, and even
a child that did nothing costs 15 MiB beside its parent. Celery's own limit, `worker_max_memory_per_child`,
looks after each task: a child would leave between two stages of one job, and the next would import mlflow
again, which takes seconds. So the parent looks instead, once nothing has been under way for a while. A
fresh child is a fork of the parent, which has imported what every stage needs: it is there in some
hundredths of a second.
"""

import gc
from typing import Any

import structlog
from celery import bootsteps, signals
from celery.worker import state

_log = structlog.get_logger(__name__)
LOOK_SECONDS = 10.0  # children leave after one to two of these without work


class Rest(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Sends idle children away. Part of the consumer, so that it begins anew with each connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._children = consumer.controller.concurrency
        self._begun = -1
        self._timer: Any = None
        # Without this no message would be taken while there are no children: see worker_disable_prefetch.
        consumer.controller.max_concurrency = self._children

    def start(self, consumer: Any) -> None:
        # The loop's own timer: what it calls and the handing out of tasks never happen at the same time.
        self._timer = consumer.timer.call_repeatedly(LOOK_SECONDS, self.look, (consumer,))
        signals.task_received.connect(self.wake)

    def stop(self, consumer: Any) -> None:  # noqa: ARG002  # as celery calls it
        signals.task_received.disconnect(self.wake)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self, consumer: Any) -> None:
        """Lets the children go if nothing was begun since the last look, and nothing is under way."""
        before, self._begun = self._begun, sum(state.total_count.values())
        quiet = self._begun == before and not state.reserved_requests and not state.active_requests
        present = consumer.pool.num_processes
        if not quiet or not present:
            return
        try:
            consumer.pool.shrink(present)
        except ValueError:  # one is busy after all: some other time
            consumer.pool.grow(self._children - consumer.pool.num_processes)

    def wake(self, sender: Any, **_: Any) -> None:
        """A task came in: there must be children to hand it to."""
        missing = self._children - sender.pool.num_processes
        if missing > 0:
            sender.pool.grow(missing)
            sender.pool.maintain_pool()


def share_memory(**_: object) -> None:
    """Called before each fork. A collection writes to every object that it looks at, which would give the child a
    copy of each of their pages: what lives by now is kept out of collections, in both."""
    gc.collect()
    gc.freeze()


def begin(application: Any) -> None:
    """Has the children of `application`'s worker share memory, and rest."""
    application.steps["consumer"].add(Rest)
    signals.worker_before_create_process.connect(share_memory)
