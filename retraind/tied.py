"""A process that the kernel ends when the one that started it dies, on Linux: prctl(2), PR_SET_PDEATHSIG.

For processes whose own children are looked after otherwise, it does with no guard beside it what
`retraind.guarded` does elsewhere: 5 MiB less each. The kernel means the starter's *thread*, so that only a thread
which lives as long as its process may start one: the main thread.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import IO

from retraind.notify import NOT_INHERITED

PR_SET_PDEATHSIG = 1
POSSIBLE = sys.platform == "linux"


class Tied:
    """A started command. Its end is the starter's to wait for; it gets signals as any process does."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @classmethod
    def start(cls, arguments: Sequence[str], *, output: IO[bytes], umask: int) -> "Tied":
        """Starts `arguments` in a session of its own, nothing on its standard input, both outputs appended to `output`.

        Called in the main thread. Raises OSError when it cannot be started.
        """
        tying = _tying(os.getpid())
        return cls(
            subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if name not in NOT_INHERITED},
                start_new_session=True,
                umask=umask,
                preexec_fn=tying,  # noqa: PLW1509  # this process has one thread
            )
        )

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


def _tying(starter: int) -> Callable[[], None]:
    """What a fork of the process `starter` calls: made ready before it, because a fork may look nothing up."""
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != starter:  # it died before the line above
            os._exit(128 + signal.SIGKILL)

    return tie
