"""How a worker ends. Asked once (SIGTERM, SIGINT), it takes no more work and gives the stage under way its grace,
then has it handed over; asked again, or with SIGQUIT, it ends now. Called in the parent.

To end now is to kill the children with all that they started, to give back what they held if the
ledger answers within a second, and to exit. Whatever that leaves undone, others do later: every child
is known to be dead on this machine, and its lease runs out elsewhere.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from retraind import notify
from workers.session import STOPPING, Session

_log = structlog.get_logger(__name__)
GIVING_BACK_SECONDS = 1.0
HANDING_OVER_SECONDS = 13.0  # beyond the grace; a training that is asked to end is killed after ten


@dataclass
class _Ending:
    asked: bool = False
    timers: list[threading.Timer] = field(default_factory=list)


_ending = _Ending()


def take_signals(session: Session) -> None:
    """Called in the main thread, once Celery has installed handlers of its own."""
    signal.signal(signal.SIGQUIT, lambda *_: now(session))


def begin(session: Session) -> None:
    """Called when the worker is first asked to stop, from the signal's handler."""
    notify.stopping()
    if _ending.asked:
        return
    _ending.asked = True
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: now(session))
    grace = session.settings.workers.grace.total_seconds()
    _ending.timers = [
        threading.Timer(grace, STOPPING.set),
        threading.Timer(grace + HANDING_OVER_SECONDS, now, [session]),  # a stage that does not listen
    ]
    for timer in _ending.timers:
        timer.daemon = True
        timer.start()


def was_asked() -> bool:
    """True when the worker ends because it was asked to."""
    return _ending.asked


def over() -> None:
    """Called when nothing is under way any more."""
    for timer in _ending.timers:
        timer.cancel()


def now(session: Session) -> NoReturn:
    """Ends this process and all that descends from it."""
    from workers.presence import free_orphans

    _kill_descendants()
    giving_back = threading.Thread(target=_quietly, args=(free_orphans, session), daemon=True)
    giving_back.start()
    giving_back.join(GIVING_BACK_SECONDS)
    os._exit(0)


def _quietly(step: Callable[[Session], None], session: Session) -> None:
    try:
        step(session)
    except Exception as error:  # noqa: BLE001  # this process ends in any case
        _log.info("not_given_back", error=str(error))


def _kill_descendants() -> None:
    """Twice, because one may have started another meanwhile; each with its whole group."""
    import psutil  # 5 MiB that the parent does without as long as it lives

    own_group = os.getpgrp()
    for _ in range(2):
        family = psutil.Process().children(recursive=True)
        groups = set()
        for member in family:
            try:
                groups.add(os.getpgid(member.pid))
            except ProcessLookupError:
                continue
        for group in groups - {own_group}:
            _kill_group(group)
        for member in family:
            try:
                member.kill()
            except psutil.Error:  # it ended meanwhile
                continue
        time.sleep(0.05)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it ended meanwhile, or became another user's
        return
