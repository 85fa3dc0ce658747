"""`retraind demo`: starts the system and the application, lets the year pass, and tells how it went.

1. A folder with the configuration (windows compressed), and an empty predictions table.
2. `retraind up` and the serving application start, and are waited for.
3. The year begins: January is laid into the store as history, predicted by a rule of thumb, and the triggers find
   that a model is due.
4. Until the year is over, the story is told from the audit log.
5. An open job is given time to end, everything stops, the summary is written.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from daemon.demo import report
from daemon.demo.audit import AuditReader, Event, deployed_versions, open_jobs
from daemon.demo.pace import PLAY_BEGINS, SECONDS_PER_DAY, YEAR_ENDS, Pace
from daemon.demo.place import Place
from daemon.demo.processes import Serving, System, call
from daemon.demo.screen import Screen
from daemon.demo.story import Teller
from retraind.clock import Clock, SystemClock
from retraind.errors import RetraindError

LOOK_SECONDS = 0.2
START_SECONDS = 60.0
DRAIN_SECONDS = 20.0
LAST_CHANCE_SECONDS = 90.0  # on a machine so slow or busy that no retrained model is deployed yet


def play(directory: Path | None, clock: Clock | None = None) -> int:
    """Plays the year in `directory` (new or empty; by default a temporary one). Returns the exit code: 0 only if a
    retrained model was deployed and the audit log verifies.

    Raises RetraindError when a part of it does not start or ends before its time.
    """
    signal.signal(signal.SIGTERM, _end)
    performance = _Performance(Place.make(directory), clock or SystemClock())
    try:
        performance.run()
    except (Exception, KeyboardInterrupt, SystemExit):
        performance.screen.say(f"The demo was ended before its time; what there is stays in {performance.place.root}")
        raise
    return performance.tell_how_it_went()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does: everything that it started is stopped first."""
    raise KeyboardInterrupt


@dataclass
class _Performance:
    """One year, from its preparation to its summary."""

    place: Place
    clock: Clock
    screen: Screen = field(default_factory=Screen)
    pace: Pace = field(init=False)
    teller: Teller = field(init=False)
    audit: AuditReader = field(init=False)

    def __post_init__(self) -> None:
        self.audit = AuditReader(self.place.audit)

    def run(self) -> None:
        """Steps 2 to 5, without the summary."""
        self.screen.say(f"A year of New York flights, {_DAYS:.0f} days in {_SECONDS:.0f} seconds, in {self.place.root}")
        self.screen.say("Starting broker, worker, daemon and the serving application ...")
        serving = Serving(self.place, SECONDS_PER_DAY)
        try:
            system = System(self.place)
            try:
                self._play(system, serving)
            finally:
                system.stop()
        finally:
            serving.stop()
        self._tell_new()

    def _play(self, system: System, serving: Serving) -> None:
        self._wait(lambda: serving.said("ready") and system.is_ready(), START_SECONDS, "the system did not start")
        self.pace = Pace(self.clock.now())
        self.teller = Teller(self.pace)
        serving.begin(self.pace.began)
        self._wait(lambda: serving.said("playing"), START_SECONDS, "the serving application did not begin")
        with self.screen:
            while not serving.is_over():
                self._look(system)
            over = self.clock.monotonic()
            while self.clock.monotonic() - over < patience(self.audit.events):
                self._look(system)

    def _look(self, system: System) -> None:
        system.check()
        self._tell_new()
        self.screen.passed(self.pace.date(self.clock.now()), _note(self.audit.events, self.teller))
        time.sleep(LOOK_SECONDS)

    def _tell_new(self) -> None:
        for event in self.audit.new():
            line = self.teller.line(event)
            if line is not None:
                self.screen.tell(line)

    def _wait(self, done: Callable[[], bool], seconds: float, otherwise: str) -> None:
        deadline = self.clock.monotonic() + seconds
        while not done():
            if self.clock.monotonic() > deadline:
                raise RetraindError(
                    f"{otherwise} within {seconds:.0f} seconds; {self.place.system_log} and "
                    f"{self.place.serving_log} say why"
                )
            time.sleep(LOOK_SECONDS)

    def tell_how_it_went(self) -> int:
        """Step 5's summary; returns the exit code."""
        verified = call(self.place, "audit", "verify")
        report.show(self.place, self.audit.events, self.teller, self.pace)
        self.screen.say((verified.stdout or verified.stderr).strip())
        retrained = deployed_versions(self.audit.events)[1:]
        if not retrained:
            self.screen.say("No retrained model was deployed, so this demo has failed.")
        return 0 if retrained and verified.returncode == 0 else 1


def patience(events: Sequence[Event]) -> float:
    """How many seconds after the year an open job is given to end; 0 when there is none."""
    if not open_jobs(events):
        return 0.0
    return DRAIN_SECONDS if len(deployed_versions(events)) > 1 else LAST_CHANCE_SECONDS


_DAYS = (YEAR_ENDS - PLAY_BEGINS).total_seconds() / 86_400
_SECONDS = _DAYS * SECONDS_PER_DAY


def _note(events: Sequence[Event], teller: Teller) -> str:
    """What stands now: the version that serves, and what a worker does."""
    versions = deployed_versions(events)
    note = f"version {versions[-1]} serves" if versions else "no model yet"
    doing = next((event for event in reversed(events) if event.event in {"stage.started", "job.closed"}), None)
    if doing is not None and doing.event == "stage.started":
        note += f", {teller.name(doing.job)}: {doing.data['stage']}"
    return note
