"""What one worker process has open: configuration, ledger, audit log, queue, and the wish to stop.

Opened once per process and only after a fork: connections must not be shared with the parent.
"""

import os
import socket
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from multiprocessing.synchronize import Event

from retraind.audit import AuditLog
from retraind.clock import Clock, SystemClock
from retraind.config.deploy import MlflowTarget
from retraind.config.loading import find_configuration, load
from retraind.config.settings import Settings
from retraind.identity import marked
from retraind.ledger import Ledger
from retraind.opening import open_ledger
from retraind.outage import Outage
from retraind.queue import Queue
from workers.registry import Registry

# Made before the pool forks, so that the parent can tell every child at once.
STOPPING: Event = get_context("fork").Event()


@dataclass
class Session:
    """One process's view of the system."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def name(self) -> str:
        """Who acts, in the ledger and the audit log."""
        return f"worker:{socket.gethostname()}:{os.getpid()}"

    @cached_property
    def owner(self) -> str:
        """The same, as the holder of leases: others on this machine can tell when it is gone."""
        return marked(self.name)

    @cached_property
    def broker(self) -> Outage:
        """Whether the broker is absent, as this process sees it."""
        return Outage("broker", self.clock)

    @cached_property
    def _ledger_outage(self) -> Outage:
        return Outage("ledger", self.clock)

    @cached_property
    def _opened(self) -> tuple[Ledger, AuditLog]:
        return open_ledger(self.settings, self.clock, self._ledger_outage)

    @property
    def ledger(self) -> Ledger:
        return self._opened[0]

    @cached_property
    def queue(self) -> Queue:
        return Queue(self.settings, self.ledger, self.broker)

    @cached_property
    def registry(self) -> Registry:
        state = self.settings.state
        return Registry(self.settings.mlflow_url, state / "artifacts", state / "mlflow.lock")

    def registered_name(self, model: str) -> str:
        """The registered model that the model's versions are numbered in: that of its first MLflow target."""
        targets = self.settings.models[model].deploy
        return next((target.mlflow for target in targets if isinstance(target, MlflowTarget)), model)


_sessions: dict[int, Session] = {}


def current() -> Session:
    """This process's session, opened from the configuration that the environment names.

    A child goes by the configuration that its parent read, whenever it was forked.
    """
    if os.getpid() not in _sessions:
        settings = next((session.settings for session in _sessions.values()), None)
        _sessions.clear()  # what the parent had open is the parent's
        _sessions[os.getpid()] = Session(settings or load(find_configuration(None, os.environ), os.environ))
    return _sessions[os.getpid()]
