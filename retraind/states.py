"""The states of a job and the stages it goes through: one word, one meaning, everywhere."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands. A model has at most one job in an open state."""

    REQUESTED = "requested"  # decided and recorded; nobody was told yet
    QUEUED = "queued"  # a message was published; no worker has claimed it yet
    RUNNING = "running"  # a worker has claimed it at least once
    AWAITING_APPROVAL = "awaiting_approval"  # the challenger passed its gates; a person decides
    DEPLOYING = "deploying"  # approved; the targets are being converged
    DEPLOYED = "deployed"  # ended: the challenger is the champion
    FAILED = "failed"  # ended: a stage failed for good
    GATE_FAILED = "gate_failed"  # ended: the challenger is not good enough
    REJECTED = "rejected"  # ended: a person said no
    EXPIRED = "expired"  # ended: nobody approved in time
    SKIPPED = "skipped"  # ended: the same window and recipe were trained on before
    CANCELLED = "cancelled"  # ended: a person stopped it


OPEN_STATES = frozenset(
    {JobState.REQUESTED, JobState.QUEUED, JobState.RUNNING, JobState.AWAITING_APPROVAL, JobState.DEPLOYING}
)
CLOSED_STATES = frozenset(JobState) - OPEN_STATES
CLAIMABLE_STATES = frozenset({JobState.REQUESTED, JobState.QUEUED, JobState.RUNNING, JobState.DEPLOYING})


class Stage(StrEnum):
    """A step of a job, in this order."""

    INGEST = "ingest"  # the window is resolved and materialised, once
    VALIDATE = "validate"  # the data is checked
    TRAIN = "train"  # the challenger is trained
    EVALUATE = "evaluate"  # challenger and champion are compared, and the gates asked
    REGISTER = "register"  # the challenger becomes a model version
    DEPLOY = "deploy"  # every target is made to show it


STAGES = tuple(Stage)
