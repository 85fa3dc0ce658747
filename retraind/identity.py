"""Who holds a lease: a process's name, with a mark by which others on its machine can tell that it is gone.

A lease stands until it runs out, because nobody can know whether a silent holder is dead. Only a
process beside it can: it is gone when no process of its number lives, or one that started at
another time (numbers are given again). The mark therefore names the machine's boot and the process
namespace, in which alone numbers mean anything, and the instant of the start. Where /proc does not
tell these there is no mark, and the lease has to run out.
"""

import hashlib
import os
import re
from pathlib import Path

_PROC = Path("/proc")
_MARKED = re.compile(r"[a-z]+:.+:(?P<pid>\d+)@(?P<place>[0-9a-f]{12})\.(?P<start>\d+)")
_DEAD = frozenset("ZXx")  # states of a process that runs no more, though its row is still there


def marked(name: str) -> str:
    """`name` (KIND:HOST:PID of this very process) with its mark."""
    place, found = _place(), _row(os.getpid())
    return name if place is None or found is None else f"{name}@{place}.{found[1]}"


def name_of(owner: str) -> str:
    """The name in `owner`, for people."""
    return owner.rpartition("@")[0] or owner


def is_gone(owner: str) -> bool:
    """True only when the holder is known to have ended. False for a living one and wherever that cannot be told."""
    found = _MARKED.fullmatch(owner)
    if found is None or found["place"] != _place():
        return False
    row = _row(int(found["pid"]))
    if row is None:
        return not _exists(int(found["pid"]))
    return row[0] in _DEAD or row[1] != found["start"]


def is_alive(owner: str) -> bool:
    """True only when the holder is known to live: it runs on this machine."""
    found = _MARKED.fullmatch(owner)
    return found is not None and found["place"] == _place() and not is_gone(owner)


def _place() -> str | None:
    """The boot of this machine and the process namespace within it, in which process numbers mean something."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return None
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]


def _exists(pid: int) -> bool:
    """Asked where /proc shows no such process: it may be mounted to hide those of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _row(pid: int) -> tuple[str, str] | None:
    """The state and the start (clock ticks since boot) of a process. None where there is none."""
    try:
        # The name in parentheses may hold spaces and parentheses of its own.
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], fields[19]
