"""One round: a fresh world, a seed, the faults it brings, and the proof afterwards. `python round.py --help`."""

import argparse
import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import project
from checker import unsteady, violations
from faultlist import is_early
from outside import LASTS, OUTSIDE, Blow
from plan import Strike
from provoking import APPROVE, BY_HAND, REJECT, ROLLBACK, TRIGGER, acts_for, acts_left, models_for
from watchers import ChampionWatch, LogReader
from world import KINDS, World

COMES_UP_SECONDS = 300.0  # nothing is claimed of it: beside other work the first trainings take their time
EVERYTHING_SECONDS = 60.0  # a round that looks for points has each act lead to them within that
PATIENCE_SECONDS = 45.0  # a point that nobody passed by then is given up for this round
LAST_PATIENCE_SECONDS = 75.0  # the second time, when little else is left to strike
ARMED_AT_ONCE = 12
BETWEEN_SECONDS = (0.3, 1.5)  # between two faults from outside
BESIDE_POINTS_SECONDS = (4.0, 8.0)  # as long as points wait, which a world that is struck all the time seldom passes
LONG_TRAINING_SECONDS = 3.0  # while one is to be struck
LANDINGS_SECONDS = (1.5, 4.0)
BY_HAND_SECONDS = 6.0  # between two acts of one kind: what the first led to is over
REASON = ("--reason", "chaos")


@dataclass
class Result:
    """What a round found."""

    world: str
    seed: int
    faults: int = 0
    struck: list[str] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    kills: int = 0
    jobs: int = 0
    deployed: int = 0
    repaired: int = 0
    looks: int = 0
    slowest_recovery: float = 0.0
    violations: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    folder: str | None = None


class Round:
    """Drives one world: work to do, faults to strike, rest and proof now and then."""

    def __init__(self, world: World, seed: int, faults: list[str], rest_every: int, recovery: float) -> None:
        self.world = world
        self.recovery = recovery  # seconds within which all must be well once the faults have stopped
        self.random = Random(seed)
        self.result = Result(world.kind, seed)
        self.todo = list(faults)  # OUTSIDE names, or FAULT@POINT
        self.rest_every = rest_every
        self.landed: dict[str, list[str]] = {model: [] for model in project.MODELS}
        self.pending: dict[str, float] = {}  # armed points, and until when they are waited for
        self.ends: list[tuple[float, Blow]] = []
        self.calls: list[tuple[tuple[str, ...], subprocess.Popen[bytes]]] = []  # what people ask for
        self._stopped: set[int] = set()
        self._asked_until: dict[str, float] = {}
        self._put_off: set[str] = set()  # faults that are armed a second time
        self._not_again_before: dict[str, float] = {}  # acts by hand
        self._wanted_anyway: set[str] = set()
        self._next_landing = 0.0
        self._next_blow = 0.0
        self._since_rest = 0

    def run(self) -> Result:
        world, faults = self.world, len(self.todo)
        world.plan.record()
        for model in project.MODELS:
            project.add_rows(world.folder, model, 300, self.random)
        reader = LogReader(world.folder)
        watch = ChampionWatch(world.folder)
        try:
            self._arm_early()
            self._first_deployments()
            if not faults:
                self._do_everything()
            while (self.todo or self.pending or self.ends) and not self.result.violations:
                self._tick()
                if self._since_rest >= self.rest_every:
                    self._rest(reader)
            if not self.result.violations:
                self._rest(reader)
        finally:
            reader.stop()
            watch.stop()
        self.result.looks = watch.looks
        self.result.violations += [f"gap: {each}" for each in watch.gaps[:5]]
        self.result.points = world.plan.passed()
        return self.result

    def _arm_early(self) -> None:
        """What is passed once in a world's life is armed before it begins."""
        for fault in [fault for fault in self.todo if is_early(fault)]:
            kind, _, point = fault.partition("@")
            if point not in self.pending:
                self.world.plan.arm(point, kind)
                self.pending[point] = time.monotonic() + PATIENCE_SECONDS
                self.todo.remove(fault)

    def _first_deployments(self) -> None:
        """Every model has a champion before anything is struck, so that it can be missed."""
        for model in project.MODELS:
            self._land(model)
        deadline = time.monotonic() + COMES_UP_SECONDS
        while waiting := unsteady(self.world, self.landed):
            self._watch_over()
            self._decide(set())
            if time.monotonic() > deadline:
                self.result.violations += [f"late: not up after {COMES_UP_SECONDS:g} s: {each}" for each in waiting]
                return
            time.sleep(0.1)

    def _do_everything(self) -> None:
        """In a round without faults: every act, until all that they lead to was passed, and is known."""
        until = time.monotonic() + EVERYTHING_SECONDS
        while not self.result.violations and time.monotonic() < until:
            self._wanted_anyway = acts_left(self.world.plan.passed())
            if not self._wanted_anyway:
                return
            look = time.monotonic() + 1.0
            while time.monotonic() < look:
                self._tick()

    def _watch_over(self) -> float:
        """Starts again what died, ends what has lasted, and sees what struck. Returns the time."""
        self.world.keep()
        now = time.monotonic()
        for at, blow in [each for each in self.ends if each[0] <= now]:
            self.ends.remove((at, blow))
            if blow.end is not None:
                blow.end()
        for strike in self.world.plan.strikes():
            self._struck(strike, now)
        return now

    def _tick(self) -> None:
        now = self._watch_over()
        self._give_up(now)
        if now >= self._next_landing:
            self._work(now)
            self._next_landing = now + self.random.uniform(*LANDINGS_SECONDS)
        self._next_fault(now)
        time.sleep(0.03)

    def _struck(self, strike: Strike, now: float) -> None:
        self.pending.pop(strike.point, None)
        self._count(f"{strike.fault}@{strike.point}", killed="kill" in strike.fault or "terminate" in strike.fault)
        if strike.fault == "stop":
            pid = strike.pid
            self._stopped.add(pid)
            blow = Blow(f"stop {pid}", lambda: _go_on(pid))
            self.ends.append((now + self.random.uniform(*LASTS), blow))
        if strike.fault == "hold":
            if self.world.postgres is not None:
                self.world.postgres.cut_connections()
            self.world.plan.release(strike)

    def _count(self, what: str, *, killed: bool) -> None:
        self.result.faults += 1
        self.result.kills += killed
        self.result.struck.append(what)
        self._since_rest += 1

    def _give_up(self, now: float) -> None:
        """What nobody passed while much was armed or waited is armed once more after that."""
        crowded = bool(self.todo) or len(self.pending) > ARMED_AT_ONCE // 2
        for point, until in list(self.pending.items()):
            if now > until:
                del self.pending[point]
                if fault := self._armed_fault(point):
                    (self.world.plan.directory / "armed" / point).unlink(missing_ok=True)
                    self._put_off_or_leave(f"{fault}@{point}", crowded=crowded)

    def _put_off_or_leave(self, fault: str, *, crowded: bool) -> None:
        if crowded and fault not in self._put_off:
            self._put_off.add(fault)
            self.todo.append(fault)
        else:
            self.result.unreached.append(fault)

    def _armed_fault(self, point: str) -> str | None:
        """None: it was taken a moment ago, and `_struck` will hear of it."""
        try:
            return (self.world.plan.directory / "armed" / point).read_text()
        except FileNotFoundError:
            return None

    def _next_fault(self, now: float) -> None:
        for index, fault in enumerate(self.todo):
            kind, _, point = fault.partition("@")
            if point and (len(self.pending) >= ARMED_AT_ONCE or point in self.pending):
                continue
            if not point and now < self._next_blow:
                continue
            del self.todo[index]
            if point:
                self.world.plan.arm(point, kind)
                self.pending[point] = now + (LAST_PATIENCE_SECONDS if fault in self._put_off else PATIENCE_SECONDS)
            else:
                struck = self._strike_outside(kind, now)
                crowded = struck and any("@" in each for each in self.todo)
                self._next_blow = now + self.random.uniform(*(BESIDE_POINTS_SECONDS if crowded else BETWEEN_SECONDS))
            return

    def _strike_outside(self, name: str, now: float) -> bool:
        blow = OUTSIDE[name](self.world, self.random)
        # Nobody of that role just now: asked again later, for a while.
        waits = blow is None and now < self._asked_until.setdefault(name, now + PATIENCE_SECONDS)
        if name.endswith(" training"):
            project.let_training_take(self.world.folder, LONG_TRAINING_SECONDS if waits else project.TRAINING_SECONDS)
        if waits:
            self.todo.append(name)
        elif blow is None:
            self.result.unreached.append(name)
        else:
            self._asked_until.pop(name, None)
            self._count(name, killed=name.startswith(("kill", "terminate")))
            if blow.end is not None:
                self.ends.append((now + blow.seconds, blow))
        return blow is not None

    def _work(self, now: float) -> None:
        """Files land, and people do what people do: what leads to the armed points, and a little of everything."""
        wanted = acts_for(self.pending) | self._wanted_anyway
        self._land(self.random.choice(models_for(wanted)))
        for act in sorted(wanted & BY_HAND.keys()):
            if now >= self._not_again_before.get(act, 0.0):
                BY_HAND[act](self.world, self.random)
                self._not_again_before[act] = now + BY_HAND_SECONDS
        if len(self._asking()) > 2:
            return
        self._decide(wanted)
        chance = self.random.random()
        if verbs := sorted(wanted & {ROLLBACK, TRIGGER}):
            self._ask(self.random.choice(verbs), self.random.choice(project.MODELS), *REASON)
        elif chance < 0.1:
            self._ask("rollback", "alpha", *REASON)
        elif chance < 0.2:
            self._ask("trigger", "beta", *REASON)
        elif chance < 0.25:
            self._ask("evaluate", "alpha")

    def _decide(self, wanted: set[str]) -> None:
        """Approves or rejects what waits for that."""
        from checker import waiting_for_approval

        rejected = {REJECT: 1.0, APPROVE: 0.0}
        chances = [rejected[act] for act in sorted(wanted & rejected.keys())] or [0.1]
        answered = {words[1] for words in self._asking()}
        for job in waiting_for_approval(self.world):
            if job in answered:  # the command takes its time, and more of them would take all of it
                continue
            if self.random.random() < self.random.choice(chances):
                self._ask("reject", job, *REASON)
            else:
                self._ask("approve", job)

    def _ask(self, *words: str) -> None:
        self.calls.append((words, self.world.call(*words)))

    def _asking(self) -> list[tuple[str, ...]]:
        """The commands that still run."""
        self.calls = [(words, process) for words, process in self.calls if process.poll() is None]
        return [words for words, _ in self.calls]

    def _land(self, model: str) -> None:
        project.add_rows(self.world.folder, model, 3, self.random)
        name = f"{len(self.landed[model]):05d}.csv"
        project.land(self.world.folder, model, name)
        self.landed[model].append(name)

    def _rest(self, reader: LogReader) -> None:
        """No more faults: soon everything is as it should be."""
        armed = [(self._armed_fault(point), point) for point in self.pending]
        self.todo = [f"{fault}@{point}" for fault, point in armed if fault] + self.todo  # for after the rest
        self.world.plan.disarm()
        self.pending.clear()
        for _, blow in self.ends:
            if blow.end is not None:
                blow.end()
        self.ends.clear()
        started = time.monotonic()
        while waiting := self._under_way():
            self.world.keep()
            self._let_go()
            if time.monotonic() - started > self.recovery:
                self.result.violations += [f"{_kind(each)}: after {self.recovery:g} s {each}" for each in waiting]
                return
            time.sleep(0.1)
        seconds = time.monotonic() - started
        self.result.slowest_recovery = max(self.result.slowest_recovery, seconds)
        self.result.violations += violations(self.world, reader.lines())
        self._since_rest = 0

    def _under_way(self) -> list[str]:
        """What people asked for counts: it may begin a job."""
        return [f"`retraind {' '.join(words)}` runs" for words in self._asking()] or unsteady(self.world, self.landed)

    def _let_go(self) -> None:
        """Whoever took a fault in the last moment is let go too: it may stop itself after the first time it is told."""
        for strike in self.world.plan.strikes():
            self._stopped.add(strike.pid)
            self.world.plan.release(strike)
        for pid in self._stopped:
            _go_on(pid)


def _kind(waited_for: str) -> str:
    return "left" if waited_for.endswith(" was left") else "late"


def _go_on(pid: int) -> None:
    import os

    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", choices=KINDS, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--faults", type=Path, help="a JSON list of faults; the schedule of another run replays it")
    parser.add_argument("--rest-every", type=int, default=30)
    parser.add_argument("--recovery", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--result", type=Path, help="where the result goes, as JSON")
    parser.add_argument("--keep", type=Path, help="where the world's folder is copied when something is violated")
    chosen = parser.parse_args()
    faults = json.loads(chosen.faults.read_text()) if chosen.faults else []
    with World(chosen.world) as world:
        result = Round(world, chosen.seed, faults, chosen.rest_every, chosen.recovery).run()
        result.jobs, result.deployed, result.repaired = world.counts()
        if result.violations and chosen.keep:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", f"{world.folder}/.", str(chosen.keep)], check=False)
            result.folder = str(chosen.keep)
    world.delete()
    answer = json.dumps(asdict(result), indent=1)
    if chosen.result:
        chosen.result.write_text(answer)
    else:
        sys.stdout.write(answer + "\n")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
