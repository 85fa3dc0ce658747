"""What every deploy target is told and may use. Third-party targets are written against this file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from workers.lifeline import unfenced
from workers.registry import Registry


@dataclass(frozen=True)
class DeployableVersion:
    """A model version that is to be shown."""

    model: str  # the model's name in the configuration
    registered: str  # the registered model's name
    version: str
    previous: str | None  # the version before it; None: it is the first
    job: str  # the job that trained it
    directory: Path  # its MLflow model directory, on this host
    uri: str  # models:/NAME/VERSION
    digest: str | None = None  # of the directory's files, as `workers.model_files` takes it; None: not known


@dataclass(frozen=True)
class Means:
    """What a target may use."""

    model: str  # the model's name in the configuration
    registry: Registry
    project: Path  # the directory of the configuration file
    records: Path  # a directory for what a target must remember; made if it is missing
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what must be left in no log
    fence: Callable[[], None] = unfenced  # to be called right before a write that others see; may raise LeaseLost


class DeployTarget(Protocol):
    """A place where a champion is shown.

    One whose attribute `shows_again` is True is asked to show also what it shows already, now and then: that is cheap
    there, and mends what stands beside the version itself.
    """

    def show(self, version: DeployableVersion) -> None:
        """Makes the place show `version`. Asked again it changes nothing; cut short it is asked again.

        Raises TransientFailure where a retry may help, UnknownFailure or BudgetExceeded otherwise.
        """

    def shown(self) -> str | None:
        """The version that the place shows now. None: none that retraind put there.

        Raises TransientFailure where the place does not answer.
        """
