"""A process that the kernel ends when the one that started it dies, on Linux: prctl(2), PR_SET_PDEATHSIG.

For processes whose own children are looked after otherwise, it does with no guard beside it what
`retraind.guarded` does elsewhere: 5 MiB less each. The kernel means the starter's *thread*, so that only a thread
which lives as long as its process may start one: the main thread. `start` takes a guard where this cannot be.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from retraind.guarded import ASK, Guarded
from retraind.notify import NOT_INHERITED

PR_SET_PDEATHSIG = 1


def start(
    arguments: Sequence[str],
    *,
    grace_seconds: float,
    output: IO[bytes],
    told: signal.Signals = signal.SIGKILL,
    directory: Path | None = None,
    keep_open: Sequence[int] = (),
    umask: int | None = None,
) -> "Tied | Guarded":
    """Starts a command that looks after its own children and cannot outlive this process.

    `told` is the signal by which the kernel ends it then; a guard asks, and kills after `grace_seconds`. The rest is
    as for `Guarded.start`. Raises OSError when it cannot be started.
    """
    possible = sys.platform == "linux" and threading.current_thread() is threading.main_thread()
    if not possible:
        return Guarded.start(
            arguments,
            grace_seconds=grace_seconds,
            output=output,
            directory=directory,
            keep_open=keep_open,
            umask=umask,
        )
    tying = _tying(os.getpid(), told)
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if name not in NOT_INHERITED},
        cwd=directory,
        start_new_session=True,
        pass_fds=keep_open,
        umask=-1 if umask is None else umask,
        preexec_fn=tying,  # noqa: PLW1509  # it only calls what was made ready before
    )
    return Tied(process, grace_seconds)


class Tied:
    """A started command. Its end is the starter's to wait for; it gets signals as any process does."""

    def __init__(self, process: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
        self._process = process
        self._grace_seconds = grace_seconds

    @property
    def exit_code(self) -> int | None:
        """128 + the signal's number where a signal ended it. None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def ended_within(self, seconds: float) -> bool:
        """Waits so long for the end. True when it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ask_to_end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """A signal to the command alone, which ends its own children as it sees fit. Nothing where it has ended."""
        self._process.send_signal(number)

    def end(self, order: bytes = ASK) -> None:
        """Ends the command, asked first unless `order` is KILL, and waits for that. Twice does nothing more."""
        if order == ASK:
            self.ask_to_end()
            if self.ended_within(self._grace_seconds):
                return
        self.close()

    def close(self) -> None:
        """Lets go of the command: one that still runs is killed with all that it started. Twice does nothing more."""
        if self._process.poll() is not None:
            return
        import psutil  # 5 MiB that a process which only waits does without

        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:  # it was tied, or guarded
                continue


def _tying(starter: int, told: signal.Signals) -> Callable[[], None]:
    """What a fork of the process `starter` calls: made ready before it, because a fork may look nothing up."""
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(told), 0, 0, 0)
        if os.getppid() != starter:  # it died before the line above
            os._exit(128 + signal.SIGKILL)

    return tie
