"""Keeps a lease alive from a thread of its own, and tells the work under it when to stop."""

import threading
from collections.abc import Callable
from types import TracebackType

import structlog

from retraind.clock import Clock
from retraind.errors import LeaseLost, LedgerError

_log = structlog.get_logger(__name__)


def unfenced() -> None:
    """The fence where nobody can take the work away. A fence is asked right before each outside write, which no token
    guards: it raises LeaseLost, or the lease is whole again for what comes."""


class Lifeline:
    """Renews every `heartbeat_seconds` by `renew`, which returns a reason to stop or None and may raise LeaseLost.

    `reason()` is None as long as the work may go on. A ledger that does not answer is asked again
    until the lease must have run out; from then on somebody else may hold it.
    """

    def __init__(
        self,
        renew: Callable[[], str | None],
        clock: Clock,
        *,
        heartbeat_seconds: float,
        lease_seconds: float,
    ) -> None:
        self._renew = renew
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._lease_seconds = lease_seconds
        self._ended = threading.Event()
        self._reason: str | None = None
        self._lost = False
        self._renewed = clock.monotonic()
        self._thread = threading.Thread(target=self._beat, name="lifeline", daemon=True)

    @property
    def lost(self) -> bool:
        """True when the lease is known to be another's: nothing can be committed under it."""
        return self._lost

    def reason(self) -> str | None:
        """Why the work should stop. A lease that could not be renewed in time may be another's, who would be disturbed;
        only the ledger knows, when it answers again."""
        if self._reason is None and self._clock.monotonic() - self._renewed >= self._lease_seconds:
            self._reason = "the lease ran out while the ledger did not answer"
            _log.warning("lease_run_out")
        return self._reason

    def __enter__(self) -> "Lifeline":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat_seconds):
            asked = self._clock.monotonic()
            try:
                self._reason = self._renew() or self._reason
                self._renewed = asked  # it counts from then on, however long the answer took
            except LeaseLost as error:
                self._lost = True
                self._reason = str(error)
                _log.warning("lease_lost", reason=str(error))
                return
            except LedgerError as error:
                _log.debug("heartbeat_failed", error=str(error))  # told where it arose
