"""How a daemon is asked to end, and that it does: in good order within seconds, whatever hangs, and at once when told.

Nothing is lost by ending at once: what was decided stands in the ledger, and a lead that was not given
back is taken by the next daemon of this machine, or runs out.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

import structlog

from retraind import notify

_log = structlog.get_logger(__name__)
STOP_SECONDS = 4.5  # service managers and people are promised five


class Ending:
    """The process's signals. The first SIGTERM or SIGINT calls `stop` in a thread; a second, or SIGQUIT, ends at once.

    To be made in the main thread, which must then do nothing but `wait`: a signal is only seen between two
    steps of it, and a busy SQLite keeps its caller for half a minute.
    """

    def __init__(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        self._stop = stop
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))
        # A handler interrupts whatever the main thread does, locks held included: another thread acts.
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reload, daemon=True).start())

    def wait(self, work: Callable[[], None]) -> None:
        """Does `work` in a thread of its own and waits for its end. Raises what it raised."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # it is raised again where it can be told
                raised.append(error)

        thread = threading.Thread(target=run, name="daemon", daemon=True)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            os._exit(0)
        self._asked = True
        threading.Thread(target=self._end_in_order, name="ending", daemon=True).start()

    def _end_in_order(self) -> None:
        last = threading.Timer(STOP_SECONDS, _end_now)
        last.daemon = True  # it strikes as long as the process lives, also while threads are waited for at its exit
        last.start()
        notify.stopping()
        self._stop()


def _end_now() -> None:
    _log.warning("stopped_short", seconds=STOP_SECONDS)
    os._exit(0)
