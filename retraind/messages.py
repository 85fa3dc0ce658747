"""The names under which daemon, command and workers wake each other.

A message is only a wake-up: it carries an id and no state, may be lost, doubled, late or forged, and
whoever receives it asks the ledger what there is to do.
"""

import re

from retraind.states import Stage

PREFIX = "retraind."
CONVERGE = PREFIX + "converge"
TIDY = PREFIX + "tidy"
EVERYTHING = "everything"  # what TIDY is told, for a message carries one id
DEFAULT_QUEUE = "retraind"
JOB_ID = re.compile(r"[0-9]{6}-[0-9]{6}-[0-9a-f]{6}")  # as retraind.ledger.jobs makes them


def stage_task(stage: Stage) -> str:
    """The Celery task that advances a job through `stage`; its one argument is the job's id."""
    return PREFIX + str(stage)


TASKS = frozenset({CONVERGE, TIDY, *(stage_task(stage) for stage in Stage)})
