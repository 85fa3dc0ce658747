"""The Celery application: `celery -A workers worker`, with RETRAIND_CONFIG naming the configuration.

Every stage is a task of its own name, so that `celery inspect` and Flower show what is going on and
a stage can be routed to its own hosts.
"""

import sys
from collections.abc import Callable
from typing import Any

from celery import signals

from retraind.errors import ConfigurationError
from retraind.logs import configure_logging
from retraind.messages import CONVERGE, EVERYTHING, TIDY, stage_task
from retraind.privacy import keep_private, refuse_writable
from retraind.queue import celery_app
from retraind.states import Stage
from workers import checking, doorway, ending, forking, presence
from workers.advance import advance
from workers.session import current


def _stage(stage: Stage) -> Callable[[object], None]:
    """The task body of one stage. What is not a job's id was forged, and is dropped."""

    def stage_task(job_id: object) -> None:
        if isinstance(job_id, str):
            advance(current(), job_id, stage)

    return stage_task


def _converge(model: object) -> None:
    from workers.convergence import converge_if_needed

    if isinstance(model, str):
        converge_if_needed(current(), model)


def _tidy(what: object) -> None:
    from workers.tidying import tidy_everything

    if what == EVERYTHING:
        tidy_everything(current())


def make_app() -> Any:
    """The application, with its tasks, on the broker of the configuration that the environment names."""
    keep_private()
    try:
        settings = current().settings
        refuse_writable(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"retraind: {error}\n")
        raise SystemExit(2) from None
    application = celery_app(settings, publisher=False)
    for stage in Stage:
        application.task(_stage(stage), name=stage_task(stage))
    application.task(_converge, name=CONVERGE)
    application.task(_tidy, name=TIDY)
    forking.begin(application)
    doorway.guard(application)
    return application


def _log(**_: object) -> None:
    configure_logging(current().settings)


def _ready(**_: object) -> None:
    presence.ready()
    checking.begin(current())


def _stopping(**_: object) -> None:
    ending.begin(current())


def _stopped(**_: object) -> None:
    presence.end(current())


signals.setup_logging.connect(_log)
signals.worker_ready.connect(_ready)
signals.worker_shutting_down.connect(_stopping)
signals.worker_shutdown.connect(_stopped)
app = make_app()
