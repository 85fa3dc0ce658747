"""Runs one command as a child process group with a budget: all training and prediction goes through here.

The group is led by a guard (`retraind.guarded`), which ends the whole of it when told to, and by itself
when this process dies, however it dies. What even that cannot cover (the guard and the worker killed at
the same instant) is covered by the record: a file in the job's directory that names the group, by
which the next worker finds and kills what was left (`kill_leftover`) before it starts again.
"""

import json
import os
import re
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import IO

import psutil

from retraind import faults
from retraind.errors import BudgetExceeded, Interrupted, StageError, TransientFailure, UnknownFailure
from retraind.guarded import ASK, KILL, Guarded
from triggers.quantities import format_duration, format_size
from workers.durable import remove, write_json
from workers.hiding import hide
from workers.temporaries import private_directory

TOKEN = "RETRAIND_GROUP"  # noqa: S105 - the environment variable that marks every process of a group
POLL_SECONDS = 0.2
TAIL_BYTES = 16_384
WORDS_CHARACTERS = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Signals that come from outside; any other signal is a fault of the program itself.
SENT_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


@dataclass(frozen=True)
class Limits:
    """What a group may take. None: no bound."""

    seconds: float | None = None
    resident_bytes: int | None = None  # the sum over all its processes
    grace_seconds: float = 10.0  # between asking it to end and killing it


@dataclass(frozen=True)
class Command:
    """What to run and where. `what` names it in messages, as a noun phrase: "the training of delays"."""

    what: str
    arguments: Sequence[str]
    log: Path  # output is appended here
    record: Path  # names the group while it lives
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the worker's own
    directory: Path | None = None  # the working directory; None: the worker's
    umask: int | None = None  # None: the worker's, so that what it makes is private
    keep_open: Sequence[int] = ()  # descriptors that it inherits
    secrets: Sequence[str] = field(default=(), repr=False)  # taken out of the log once it has ended


@dataclass(frozen=True)
class Finished:
    """How a command ended by itself."""

    exit_code: int  # 128 + the signal's number where a signal ended it
    seconds: float
    peak_bytes: int  # the largest sum of resident memory seen
    output: str  # the end of what it printed


ShouldStop = Callable[[], str | None]  # asked several times a second; a reason ends the child, None lets it go on


def never() -> str | None:
    """Lets the child go on."""
    return None


def run(command: Command, limits: Limits, should_stop: ShouldStop = never) -> Finished:
    """Runs `command` to its end, with output captured and nothing on its standard input.

    Raises BudgetExceeded when it outgrew `limits`, Interrupted when `should_stop` gave a reason (the
    group is gone by then), TransientFailure when something else killed it, UnknownFailure when it
    could not be started. An exit code of its own, also one that is not 0, is the caller's to judge.
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    # Killed, a child cannot remove its own temporary files: they go with this directory, or are swept with it.
    with private_directory() as temporaries, command.log.open("ab") as log:
        command = replace(command, environment={"TMPDIR": str(temporaries), **command.environment})
        start = log.tell()
        group = _Group.start(command, limits, log)
        try:
            with faults.around("child.watch"):
                finished = group.watch(command, limits, should_stop, start)
        finally:
            group.guarded.close()
            hide(command.log, command.secrets)  # all of it: an earlier worker may have been killed before it could
            remove(command.record)
    number = finished.exit_code - 128
    if number in SENT_FROM_OUTSIDE:
        hint = " (137: most often the machine ran out of memory)" if number == signal.SIGKILL else ""
        raise TransientFailure(
            f"{_sentence(command.what)} was killed from outside by {signal.Signals(number).name}{hint}; "
            f"its output is in {command.log}."
        )
    return finished


def failure(command: Command, finished: Finished) -> StageError:
    """The error for a command that ended by itself and did not do its work: its last words and where the rest is.

    A program asks for a retry by the exit code that sysexits.h has for it, 75.
    """
    kind = TransientFailure if finished.exit_code == os.EX_TEMPFAIL else UnknownFailure
    said = _last_words(finished.output)
    return kind(
        f"{_sentence(command.what)} ended with {_exit(finished.exit_code)}; {said} Its output is in {command.log}."
    )


def kill_leftover(record: Path) -> int:
    """Kills what is left of the group that `record` names, and removes the record. The number of processes killed.

    Only processes that carry the group's mark in their environment are touched, so a stranger that
    was given an old process id is safe. A record of another host says nothing about this one and is
    removed: there the guard ends the group with its worker.
    """
    try:
        facts = json.loads(record.read_text())
    except FileNotFoundError:
        return 0
    except ValueError:
        facts = None
    killed: set[int] = set()
    if isinstance(facts, dict) and facts.get("host") == socket.gethostname():
        # Again until nothing is found: a process may fork while the others are being killed.
        while found := list(_marked(str(facts.get("token")))):
            for process in found:
                _kill(process)
                killed.add(process.pid)
            psutil.wait_procs(found, timeout=5)
    remove(record)
    return len(killed)


def _marked(token: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(TOKEN) == token:
                yield process
        except (psutil.Error, OSError):  # it ended meanwhile, or is another user's
            continue


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:  # it ended meanwhile
        return


class _Group:
    """A started group, held by its guard."""

    def __init__(self, guarded: Guarded, started: float) -> None:
        self.guarded = guarded
        self.started = started
        self.peak_bytes = 0

    @classmethod
    def start(cls, command: Command, limits: Limits, log: IO[bytes]) -> "_Group":
        token = uuid.uuid4().hex
        try:
            # Before the start, so that there is no instant at which a group lives unnamed.
            write_json(command.record, {"token": token, "host": socket.gethostname(), "worker": os.getpid()})
            with faults.around("child.start"):
                guarded = Guarded.start(
                    command.arguments,
                    grace_seconds=limits.grace_seconds,
                    output=log,
                    environment={"PYTHONUNBUFFERED": "1", **command.environment, TOKEN: token},
                    directory=command.directory,
                    umask=command.umask,
                    keep_open=command.keep_open,
                )
        except OSError as error:
            raise UnknownFailure(f"{_sentence(command.what)} could not be started: {error}.") from error
        return cls(guarded, time.monotonic())

    def watch(self, command: Command, limits: Limits, should_stop: ShouldStop, log_start: int) -> Finished:
        """Waits for the end, by itself or by us."""
        what = _sentence(command.what)
        while not self.guarded.ended_within(POLL_SECONDS):
            self._measure()
            if reason := should_stop():
                self.guarded.end()
                raise Interrupted(f"{what} was stopped: {reason}")
            excess = self._excess(limits)
            if excess:
                # A group that outgrows its memory is not asked first: while it tidies up the machine may run out.
                self.guarded.end(KILL if self._outgrew_memory(limits) else ASK)
                said = _last_words(_tail(command.log, log_start))
                raise BudgetExceeded(f"{what} {excess} and was killed; {said} Its output is in {command.log}.")
        return Finished(
            exit_code=self.guarded.exit_code or 0,
            seconds=time.monotonic() - self.started,
            peak_bytes=self.peak_bytes,
            output=_tail(command.log, log_start),
        )

    def _measure(self) -> None:
        """Adds up the resident memory of the group now. What left the session counts: the guard adopted it."""
        total = 0
        for process in self.guarded.descendants():
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it ended meanwhile
                continue
        self.peak_bytes = max(self.peak_bytes, total)

    def _outgrew_memory(self, limits: Limits) -> bool:
        return limits.resident_bytes is not None and self.peak_bytes > limits.resident_bytes

    def _excess(self, limits: Limits) -> str | None:
        """What was outgrown, as the middle of a sentence, or None."""
        if limits.resident_bytes is not None and self._outgrew_memory(limits):
            used, allowed = format_size(self.peak_bytes), format_size(limits.resident_bytes)
            return f"used {used} of memory, more than its budget of {allowed},"
        if limits.seconds is not None and time.monotonic() - self.started > limits.seconds:
            return f"took longer than its time budget of {format_duration(timedelta(seconds=limits.seconds))}"
        return None


def _tail(log: Path, start: int) -> str:
    """The end of what this run wrote to its log."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - TAIL_BYTES))
        return file.read().decode(errors="replace")


def _sentence(what: str) -> str:
    return what[:1].upper() + what[1:]


def _exit(code: int) -> str:
    try:
        return f"{signal.Signals(code - 128).name} (exit {code})" if code > 128 else f"exit code {code}"
    except ValueError:
        return f"exit code {code}"


def _last_words(output: str) -> str:
    """The last line of `output`, as the end of a sentence: only its beginning where it is long."""
    lines = [line.strip().rstrip(".") for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    if not lines:
        return "it printed nothing."
    return f"its last line was: {lines[-1][:WORDS_CHARACTERS]}{'...' if len(lines[-1]) > WORDS_CHARACTERS else '.'}"
