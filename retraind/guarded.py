"""Starts a command that cannot outlive this process: training by a worker, the embedded broker by `retraind up`.

The command runs under `retraind/guard.py`, in a session of its own. The guard ends everything that
descends from it when told to, and by itself when this process dies, however it dies: it reads a pipe
whose other end only this process holds. Nothing here depends on the thread that called, as
PR_SET_PDEATHSIG alone would.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from retraind.notify import NOT_INHERITED

if TYPE_CHECKING:
    import psutil

_GUARD = Path(__file__).with_name("guard.py")
ASK = b"T"  # SIGTERM first, SIGKILL after the grace
KILL = b"K"  # SIGKILL at once
ANSWER_SECONDS = 15.0  # a guard that has not done as told by then, beyond the command's grace, is stuck


class Guarded:
    """A started command, held by its guard."""

    def __init__(self, guard: "subprocess.Popen[bytes]", control: int, grace_seconds: float) -> None:
        self._guard = guard
        self._control: int | None = control
        self._grace_seconds = grace_seconds

    @classmethod
    def start(
        cls,
        arguments: Sequence[str],
        *,
        grace_seconds: float,
        output: IO[bytes],
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        keep_open: Sequence[int] = (),
        umask: int | None = None,
    ) -> "Guarded":
        """Starts `arguments` with nothing on its standard input and both outputs appended to `output`.

        `environment` comes on top of this process's own, without what belongs to its supervision.
        `grace_seconds` is the time between asking it to end and killing it. The descriptors of
        `keep_open` stay open in it, so that a lock on one is held as long as anything of it lives.
        None for `umask` is this process's own.
        Raises OSError when it cannot be started; a program that does not exist ends with exit code 127 instead.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        readable, control = os.pipe()
        guard_call = [sys.executable, "-I", "-S", str(_GUARD), str(readable), str(os.getpid()), str(grace_seconds)]
        try:
            guard = subprocess.Popen(
                [*guard_call, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, **(environment or {})},
                cwd=directory,
                start_new_session=True,
                pass_fds=(readable, *keep_open),
                umask=-1 if umask is None else umask,
            )
        except OSError:
            os.close(control)
            raise
        finally:
            os.close(readable)
        return cls(guard, control, grace_seconds)

    @property
    def exit_code(self) -> int | None:
        """The command's, 128 + the signal's number where a signal ended it. None while it runs."""
        code = self._guard.poll()
        return code if code is None or code >= 0 else 128 - code

    def ended_within(self, seconds: float) -> bool:
        """Waits so long for the end. True when it has ended."""
        try:
            self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def descendants(self) -> list["psutil.Process"]:
        """Every living process of the command, also what left its session: the guard adopted it."""
        import psutil  # 5 MiB that a process which only waits for its command does without

        try:
            return psutil.Process(self._guard.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def ask_to_end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """A signal to the command alone, which ends its own children as it sees fit. Nothing where it has ended."""
        import psutil

        try:
            adopted = psutil.Process(self._guard.pid).children()
            min(adopted, key=lambda child: child.create_time()).send_signal(number)  # what it adopted came later
        except (psutil.NoSuchProcess, ValueError):
            return

    def end(self, order: bytes = ASK) -> None:
        """Ends the command with all that descends from it, and waits for that. Twice does nothing more."""
        if self._control is None or self._guard.poll() is not None:
            return
        try:
            os.write(self._control, order)
        except BrokenPipeError:  # the guard has ended
            return
        self._wait_or_kill(self._grace_seconds + ANSWER_SECONDS)

    def close(self) -> None:
        """Lets go of the command: what is left of it ends. Twice does nothing more."""
        if self._control is None:
            return
        os.close(self._control)
        self._control = None
        self._wait_or_kill(self._grace_seconds + ANSWER_SECONDS)

    def _wait_or_kill(self, seconds: float) -> None:
        """Waits for the guard; one that does not answer (it was stopped) is killed with all that descends from it."""
        if self.ended_within(seconds):
            return
        import psutil

        processes = self.descendants()
        self._guard.kill()
        for process in processes:
            try:
                process.kill()
            except psutil.Error:
                continue
        self._guard.wait()
