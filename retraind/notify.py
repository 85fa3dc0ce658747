"""Tells systemd how this process fares (sd_notify): ready, stopping, alive, and what it is doing.

Called by the daemon and by workers. Without systemd, or outside its unit, everything here does
nothing; and nothing here ever raises: a service manager that cannot be told is no reason to stop.
The protocol is one datagram per message, see sd_notify(3) and sd_watchdog_enabled(3).
"""

import os
import socket
import time
from collections.abc import MutableMapping

# What belongs to a process's own supervision; a child that used it would speak in its parent's name.
NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class Notifier:
    """One process's line to its service manager. `address` as in NOTIFY_SOCKET; None or "": there is none."""

    send_timeout_seconds = 1.0  # a manager that is too busy to take a message is not waited for longer

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = _socket_address(address or "")
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def of_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """The line that `environment` names, taken out of it so that no child finds it."""
        taken = {name: environment.pop(name) for name in NOT_INHERITED if name in environment}
        return cls(taken.get("NOTIFY_SOCKET"), _watchdog_seconds(taken))

    def send(self, message: str) -> bool:
        """Sends one message (`NAME=value` lines). True when the service manager was handed it."""
        if self._address is None:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as sock:
                sock.settimeout(self.send_timeout_seconds)
                sock.sendto(message.encode(errors="replace"), self._address)
        except OSError:
            return False
        return True


def _socket_address(name: str) -> bytes | None:
    """A leading @ stands for the NUL byte of Linux's abstract sockets; anything but that or a path is not ours."""
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else None


def _watchdog_seconds(environment: MutableMapping[str, str]) -> float | None:
    """The time within which the manager wants a ping from this very process. None: it wants none."""
    try:
        seconds = int(environment.get("WATCHDOG_USEC", "")) / 1_000_000
        pid = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return seconds if seconds > 0 and pid == os.getpid() else None


_of_this_process: dict[int, Notifier] = {}


def _notifier() -> Notifier:
    """This process's own. A fork is another process, and speaks to nobody: the line was its parent's."""
    if os.getpid() not in _of_this_process:
        inherited = bool(_of_this_process)
        _of_this_process.clear()
        _of_this_process[os.getpid()] = Notifier(None) if inherited else Notifier.of_environment(os.environ)
    return _of_this_process[os.getpid()]


def claim() -> None:
    """Takes the line out of the environment, before any child is started. The first message does it too."""
    _notifier()


def ready() -> None:
    """The process does its work from now on."""
    _notifier().send("READY=1")


def reloading() -> None:
    """The configuration is being read again; `ready` follows."""
    _notifier().send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """The process was asked to stop and is about to."""
    _notifier().send("STOPPING=1")


def status(text: str) -> None:
    """One line for `systemctl status`."""
    _notifier().send("STATUS=" + " ".join(text.split()))


def watchdog() -> None:
    """A sign of life. To be sent by the very loop that must not hang."""
    _notifier().send("WATCHDOG=1")


def watchdog_interval() -> float | None:
    """Seconds between two signs of life: half of what the manager allows. None: it does not watch this process."""
    allowed = _notifier().watchdog_seconds
    return None if allowed is None else allowed / 2
