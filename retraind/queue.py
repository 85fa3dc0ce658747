"""The one home of Celery's configuration, and of publishing: messages are wake-ups and carry ids only.

`announce` is called after the ledger's commit by whoever committed; what it cannot publish, the
daemon's reconciler publishes again.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from retraind import faults
from retraind.broker import broker_url, must_answer, must_listen, waiting_messages
from retraind.config.settings import Settings
from retraind.errors import BrokerUnreachable
from retraind.instants import holds
from retraind.lean import redis_client
from retraind.ledger import Ledger, jobs, work
from retraind.ledger.rows import Job
from retraind.messages import CONVERGE, DEFAULT_QUEUE, EVERYTHING, TIDY, stage_task
from retraind.outage import Outage
from retraind.states import CLAIMABLE_STATES, Stage


def celery_app(settings: Settings, *, publisher: bool) -> Any:
    """A Celery application on the configured broker.

    Messages are acknowledged at once and results are not kept, so that neither the visibility
    timeout nor a result backend matters: the ledger owns time and results. A `publisher` gives up
    soon, because the reconciler will try again; a worker keeps trying to connect.
    """
    redis_client()
    from celery import Celery  # a tenth of a second that `status` need not spend

    app = Celery("retraind")
    url = broker_url(settings)
    # A worker asks once a second; one whose broker hung must not wait much longer for what was never answered.
    transport: dict[str, Any] = {"health_check_interval": 15, "retry_on_timeout": False}
    transport |= {"socket_timeout": 5 if publisher else 10, "socket_connect_timeout": 3}
    if not url.startswith("redis+socket"):
        transport["socket_keepalive"] = True
    app.conf.update(
        broker_url=url,
        broker_transport_options=transport,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        accept_content=["json"],
        task_serializer="json",
        result_accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=DEFAULT_QUEUE,
        task_create_missing_queues=True,
        task_send_sent_event=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_max_tasks_per_child=200,
        worker_concurrency=settings.workers.concurrency,
        enable_utc=True,
        timezone="UTC",
    )
    return app


def queues(settings: Settings) -> list[str]:
    """Every queue that messages of this configuration go to, the common one first."""
    named = {model.training.queue for model in settings.models.values() if model.training.queue}
    return [DEFAULT_QUEUE, *sorted((named | set(settings.workers.queues.values())) - {DEFAULT_QUEUE})]


class Queue:
    """Publishes wake-ups. Opened once per process.

    With an `outage`, as long-running processes give it, a broker that does not answer is told once, and so is its
    return; whoever gets the BrokerUnreachable need not.
    """

    def __init__(self, settings: Settings, ledger: Ledger, outage: Outage | None = None) -> None:
        self.settings = settings
        self.ledger = ledger
        self.outage = outage
        self._app: Any = None

    def prepare(self) -> "Queue":
        """Imports what publishing takes, a fifth of a second, before there is something to publish. Asks nobody."""
        self._application().connection_for_write().get_transport_cls()
        return self

    def announce(self, job_id: str, actor: str) -> None:
        """Wakes a worker for the job's next stage. Does nothing for a job that needs none, or waits for a retry.

        Raises BrokerUnreachable; the job then stays as it is and is announced again later.
        """
        now = self.ledger.clock.now()
        with self.ledger.read() as connection:
            job = jobs.get(connection, job_id)
            done = work.done_stages(connection, job_id)
        if job is None or job.state not in CLAIMABLE_STATES or holds(job.not_before, job.updated_at, now):
            return
        self.announce_stage(job, _next_stage(done), actor)

    def announce_stage(self, job: Job, stage: Stage, actor: str) -> None:
        """Wakes a worker for a stage that is known to be the job's next. Raises BrokerUnreachable."""
        self._send(stage_task(stage), job.id, self._queue_of(job.model, stage))
        with self.ledger.write(actor) as transaction:
            jobs.announced(transaction, job.id)

    def converge(self, model: str) -> None:
        """Wakes a worker to make every target of `model` show what the ledger says. Raises BrokerUnreachable."""
        self._send(CONVERGE, model, DEFAULT_QUEUE)

    def tidy(self) -> None:
        """Wakes a worker to free the disk of what was kept long enough. Raises BrokerUnreachable."""
        self._send(TIDY, EVERYTHING, DEFAULT_QUEUE)

    def probe(self) -> None:
        """Does nothing but see whether the broker answers. Raises BrokerUnreachable."""
        with self._told():
            must_listen(broker_url(self.settings))

    def lost(self, announced: Sequence[Job]) -> set[str]:
        """The ids of those announced jobs, of all that nobody has claimed, whose messages cannot all be waiting.

        A queue that holds fewer messages than jobs were announced in it lost some: then each may be the one.
        Raises BrokerUnreachable.
        """
        by_queue: dict[str, list[str]] = {}
        with self.ledger.read() as connection:
            for job in announced:
                done = work.done_stages(connection, job.id)
                by_queue.setdefault(self._queue_of(job.model, _next_stage(done)), []).append(job.id)
        with self._told():
            lengths = waiting_messages(broker_url(self.settings), list(by_queue))
        short = [ids for queue, ids in by_queue.items() if lengths.get(queue, len(ids)) < len(ids)]
        return {job for ids in short for job in ids}

    def _queue_of(self, model: str, stage: Stage) -> str:
        """The stage's queue: what the model says of its training, else what is said of the stage."""
        configured = self.settings.models.get(model)
        own = configured.training.queue if configured is not None and stage is Stage.TRAIN else None
        return own or self.settings.workers.queues.get(stage, DEFAULT_QUEUE)

    def _send(self, task: str, argument: str, queue: str) -> None:
        with self._told():
            must_answer(broker_url(self.settings))
            try:
                self._publish(task, argument, queue)
            except BrokerUnreachable:
                # The connection may be one of before the broker's restart: a fresh one tells.
                self._app = None
                self._publish(task, argument, queue)

    def _publish(self, task: str, argument: str, queue: str) -> None:
        from kombu.exceptions import KombuError  # OperationalError, which wraps whatever the transport raised

        try:
            with faults.around(f"publish.{task}"):
                self._application().send_task(task, args=[argument], queue=queue, retry=False)
        except (OSError, KombuError) as error:
            raise BrokerUnreachable(f"the broker took no message ({error}); see that it runs") from error

    def _application(self) -> Any:
        if self._app is None:
            self._app = celery_app(self.settings, publisher=True)
        return self._app

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokerUnreachable as error:
            if self.outage is not None:
                self.outage.enter(error)
            raise
        if self.outage is not None:
            self.outage.leave()


def _next_stage(done: Collection[Stage]) -> Stage:
    return next((stage for stage in Stage if stage not in done), Stage.DEPLOY)
