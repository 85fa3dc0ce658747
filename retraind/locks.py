"""Locks that say who holds them and that no crash leaves behind: one `retraind up` per state directory.

A lock is a flock on a file that is never removed; the file names its last holder.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from retraind.errors import Conflict
from retraind.privacy import PRIVATE_FILE

if TYPE_CHECKING:
    from retraind.config.settings import Settings

_POLL_SECONDS = 0.05
_KILLED_SECONDS = 5.0  # within which a killed process has ended


class PidLock:
    """One lock of this process. Its descriptor may be handed to children: then it is held until they have ended too."""

    def __init__(self, path: Path, purpose: str) -> None:
        self._path = path
        self._purpose = purpose  # as in "`retraind up` runs"
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """Raises ValueError while the lock is not held."""
        if self._descriptor is None:
            raise ValueError(f"the lock {self._path} is not held")
        return self._descriptor

    def acquire(self, wait_seconds: float = 0.0) -> None:
        """Takes the lock. Children that a dead holder left with it are given so long to end, and killed then.

        Raises Conflict, which names the holder, when it is held; OSError where the file cannot be made.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(descriptor, 400, 0).decode(errors="replace").split()
                late = time.monotonic() >= deadline
                if _lives(holder) or (late and not (wait_seconds and _kill_who_holds(self._path))):
                    os.close(descriptor)
                    raise Conflict(self._refusal(holder)) from None
            time.sleep(_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Lets go of the lock; children that were handed the descriptor keep it until they end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _refusal(self, holder: list[str]) -> str:
        pid, host = [*holder, "unknown", "unknown"][:2] if len(holder) != 1 else (holder[0], "unknown")
        where = "" if host in {"unknown", socket.gethostname()} else f" on {host}"
        return (
            f"{self._purpose} already in {self._path.parent} (pid {pid}{where}); "
            "stop it first, or set another `state` directory for this one"
        )


def _lives(holder: list[str]) -> bool:
    """True unless the holder is known to be dead: another host's processes cannot be seen from here."""
    if len(holder) != 2 or not holder[0].isdigit():
        return False
    import psutil  # not wanted by a process that only holds a lock

    return holder[1] != socket.gethostname() or psutil.pid_exists(int(holder[0]))


def _kill_who_holds(path: Path) -> bool:
    """Kills this user's other processes that have the file open. True when there were any, and they have ended."""
    import psutil

    held = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and str(path.resolve()) in [file.path for file in process.open_files()]:
                process.kill()
                held.append(process)
    _, alive = psutil.wait_procs(held, timeout=_KILLED_SECONDS)
    return bool(held) and not alive


def up_lock(settings: "Settings") -> PidLock:
    """The lock, held, of the one `retraind up` on a state directory. Raises Conflict, naming its pid."""
    settings.state.mkdir(parents=True, exist_ok=True)
    lock = PidLock(settings.state / "up.lock", "`retraind up` runs")
    lock.acquire()
    return lock


@contextmanager
def only_up(settings: "Settings") -> Iterator[None]:
    """Holds off every other `retraind up` on the same state directory. Raises Conflict, naming its pid."""
    lock = up_lock(settings)
    try:
        yield
    finally:
        lock.release()
