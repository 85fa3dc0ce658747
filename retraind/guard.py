"""The first process of a guarded command; it ends the command when its starter says so, or dies.

`retraind.guarded` starts it as `python guard.py CONTROL PARENT GRACE COMMAND...` in a session of its
own. It runs COMMAND in that session and ends with its exit code (128 + the signal's number where a
signal ended it, 127 where it could not be started). It must outlive no starter: CONTROL is the read
end of a pipe whose other end only the starter holds, so that a starter killed with SIGKILL shows as
its end of file. A byte `K` on it ends the command at once; any other byte, or the end of file, first
asks with SIGTERM and kills after GRACE seconds.

On Linux it also adopts every descendant (as a subreaper), so that a process which left the session
is still found, and its child dies with it should the guard itself be killed. It imports little, of the
standard library alone, and is imported by nobody: one stands beside every process for as long as that runs.
"""

import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
AFTERMATH_SECONDS = 2.0  # what the command leaves behind when it ends gets this long to end too
KILL_SECONDS = 10.0  # a process in uninterruptible sleep is waited for no longer than this
NOT_RUN = 127  # as a shell says it

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing and collections.abc are 2 MiB more
    from collections.abc import Callable
    from typing import NoReturn


def main() -> int:
    control, parent, grace, command = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    os.set_inheritable(control, False)  # noqa: FBT003 - takes no keywords
    prctl = _prctl()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake = _wake_on_signals()
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, guard, prctl)
    order, code = _wait(child, control, wake, parent)
    if code is None:
        end_group(0.0 if order == b"K" else grace)
        return 128 + signal.SIGKILL
    end_group(AFTERMATH_SECONDS)
    return code


def _prctl() -> "Callable[[int, int], object]":
    """Linux's prctl(2); elsewhere a call that does nothing."""
    if sys.platform != "linux":
        return lambda _option, _value: None
    libc = ctypes.CDLL(None)
    return lambda option, value: libc.prctl(option, value, 0, 0, 0)


def _become(command: list[str], guard: int, prctl: "Callable[[int, int], object]") -> "NoReturn":
    """In the child: replaces this program by the command."""
    prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != guard:  # the guard died before the line above
        os._exit(128 + signal.SIGKILL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored stays so across exec
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command is the user's, as a list
    except OSError as error:
        os.write(2, f"{command[0]!r} cannot be run: {error.strerror}.\n".encode(errors="replace"))
    os._exit(NOT_RUN)


def _wake_on_signals() -> int:
    """A descriptor that turns readable when a child ends. Polite signals must not end the guard, whose order is the
    pipe: a group asked to end is still watched until it has."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return readable


def _wait(child: int, control: int, wake: int, parent: int) -> tuple[bytes, int | None]:
    """Waits for the command's end (its code) or for its starter's order (its byte; b"" where that is gone)."""
    while True:
        code = _reap(child)
        if code is not None:
            return b"", code
        ready, _, _ = select.select([control, wake], [], [], 1.0)
        if wake in ready:
            os.read(wake, 4096)
        if control in ready:
            return os.read(control, 1), None
        # A copy of the pipe's other end, inherited by a fork of the starter, would hide its death.
        if os.getppid() != parent:
            return b"", None


def _reap(child: int | None = None) -> int | None:
    """Collects every child that has ended, adopted ones too. The code of `child`, if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            result = os.waitstatus_to_exitcode(status)
            code = result if result >= 0 else 128 - result


def end_group(grace: float) -> None:
    """Asks every process of the group to end, and kills what is left after `grace` seconds."""
    started = time.monotonic()
    asked: set[int] = set()
    while members := _members():
        elapsed = time.monotonic() - started
        if elapsed > grace + KILL_SECONDS:
            return
        if elapsed >= grace:
            _signal(members, signal.SIGKILL)
        else:
            _signal(members - asked, signal.SIGTERM)
            asked |= members
        time.sleep(0.02)
        _reap()


def _signal(members: set[int], number: signal.Signals) -> None:
    for pid in members:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):  # it ended meanwhile, or became another user's
            continue


def _members() -> set[int]:
    """The living processes of the guard's group or descent, without the guard."""
    guard = os.getpid()
    table = _processes()
    members = {guard} | {pid for pid, (_, group) in table.items() if group == guard}
    while more := {pid for pid, (parent, _) in table.items() if parent in members} - members:
        members |= more
    return members - {guard}


def _processes() -> dict[int, tuple[int, int]]:
    """pid -> (parent, group) of every living process; zombies do not live."""
    table = {}
    for pid, parent, group, state in _process_rows():
        if state[:1] not in "ZX":
            table[int(pid)] = (int(parent), int(group))
    return table


def _process_rows() -> list[list[str]]:
    """[pid, parent, group, state] of every process."""
    if sys.platform != "linux":
        import subprocess

        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True, check=False
        )
        return [line.split()[:4] for line in listing.stdout.splitlines()]
    rows = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib is another 2 MiB
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", errors="replace") as file:  # noqa: PTH123
                    # The name in parentheses may hold spaces and parentheses of its own.
                    state, parent, group = file.read().rpartition(")")[2].split()[:3]
            except OSError:
                continue  # it ended meanwhile
            rows.append([name, parent, group, state])
    return rows


if __name__ == "__main__":
    sys.exit(main())
