"""`make chaos`: every fault at every point once, then faults at random, and the proof that nothing came of them.

Each round is a process of its own with a world of its own; a failing one is kept and says how to run it alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from random import SystemRandom
from typing import Any

from faultlist import at_every_point, at_random, deal
from world import KINDS

HERE = Path(__file__).parent

PER_ROUND = 60
POINTS = HERE / "points.json"  # as the last discovery found them: what a slice starts from
LONGEST_ROUND_SECONDS = 900


def main() -> int:
    chosen = _arguments()
    seed = chosen.seed if chosen.seed is not None else SystemRandom().randrange(10**6)
    kinds = (chosen.world,) if chosen.world else KINDS
    print(f"seed {seed}; worlds {', '.join(kinds)}; {chosen.jobs} rounds at a time", flush=True)
    output = Path(chosen.output or tempfile.mkdtemp(prefix="retraind-chaos-run-"))
    campaign = Campaign(seed, kinds, chosen.jobs, chosen.most_failures, chosen.recovery, output)
    if chosen.replay:
        campaign.run([(chosen.world or KINDS[0], json.loads(chosen.replay.read_text()))])
    elif chosen.slice:
        campaign.run(campaign.slice(chosen.faults))
    elif chosen.missed_in:
        campaign.run(deal(missed(_results(chosen.missed_in)), kinds, PER_ROUND, seed, 0))
    else:
        campaign.discover()
        campaign.run(deal(at_every_point(campaign.points), kinds, PER_ROUND, seed))
        campaign.run(campaign.second_rounds(chosen.minutes))
        campaign.run(campaign.random_rounds(chosen.faults, chosen.minutes))
    return campaign.report()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the schedule; chosen and printed where it is not given")
    parser.add_argument("--world", choices=KINDS, help="only this ledger and broker")
    parser.add_argument("--faults", type=int, default=1000, help="at least so many are struck (default 1000)")
    parser.add_argument("--minutes", type=float, default=55, help="no new round begins later than this (default 55)")
    parser.add_argument("--jobs", type=int, default=2, help="rounds at a time (default 2)")
    parser.add_argument(
        "--most-failures", type=int, default=1, metavar="ROUNDS", help="end after so many failing rounds (default 1)"
    )
    parser.add_argument("--slice", action="store_true", help="one round at random, without discovery")
    parser.add_argument(
        "--recovery",
        type=float,
        default=60,
        metavar="SECONDS",
        help="by then all is well after the faults (default 60; more where other work takes the processors)",
    )
    parser.add_argument("--replay", type=Path, help="a schedule.json: that round alone (with --world and --seed)")
    parser.add_argument(
        "--missed-in", type=Path, metavar="OUTPUT", help="only what was never reached in the run with that output"
    )
    parser.add_argument("--output", help="where schedules, results and failing worlds go (default: a new folder)")
    return parser.parse_args()


class Campaign:
    """Rounds, their results, and what they add up to."""

    def __init__(
        self, seed: int, kinds: tuple[str, ...], jobs: int, most_failures: int, recovery: float, output: Path
    ) -> None:
        self.seed = seed
        self.kinds = kinds
        self.jobs = jobs
        self.most_failures = most_failures
        self.recovery = recovery
        self.output = output
        self.points: set[str] = set(json.loads(POINTS.read_text())) if POINTS.exists() else set()
        self.results: list[dict[str, Any]] = []
        self.began = time.monotonic()
        self._number = 0
        output.mkdir(parents=True, exist_ok=True)

    def discover(self) -> None:
        """A round without faults in each world: which points there are, and that all is well without faults."""
        self.run([(kind, []) for kind in self.kinds])
        found = {point for result in self.results for point in result["points"]}
        self.points = found
        print(f"{len(found)} points", flush=True)

    def slice(self, faults: int) -> list[tuple[str, list[str]]]:
        """One round in one world, whichever the seed says."""
        kind = self.kinds[self.seed % len(self.kinds)]
        return [(kind, at_random(self.points, kind, faults, self.seed))]

    def second_rounds(self, minutes: float) -> Iterator[tuple[str, list[str]]]:
        """Once more what nobody passed by while it was armed, until the time is up."""
        for each in deal(missed(self.results), self.kinds, PER_ROUND, self.seed + 500, 0):
            if not self._in_time(minutes):
                return
            yield each

    def random_rounds(self, faults: int, minutes: float) -> Iterator[tuple[str, list[str]]]:
        """Rounds until enough was struck or the time is up."""
        number = 0
        while self._struck() < faults and self._in_time(minutes):
            kind = self.kinds[number % len(self.kinds)]
            yield kind, at_random(self.points, kind, PER_ROUND, self.seed + 1000 + number)
            number += 1

    def run(self, rounds: Any) -> None:
        """Runs the rounds, some at a time; stops early when too many find a violation."""
        source = iter(rounds)
        with ThreadPoolExecutor(self.jobs) as pool:
            running: set[Future[dict[str, Any]]] = set()
            while True:
                while (
                    len(running) < self.jobs
                    and self._failed() < self.most_failures
                    and (following := next(source, None))
                ):
                    running.add(pool.submit(self._round, *following, self._next()))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    self._tell(each.result())

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _round(self, kind: str, faults: list[str], number: int) -> dict[str, Any]:
        folder = self.output / f"round-{number:03d}"
        folder.mkdir()
        (folder / "schedule.json").write_text(json.dumps(faults, indent=1))
        command = [sys.executable, str(HERE / "round.py"), "--world", kind, "--seed", str(self.seed + number)]
        command += ["--faults", str(folder / "schedule.json"), "--result", str(folder / "result.json")]
        command += ["--keep", str(folder / "world"), "--recovery", str(self.recovery)]
        with (folder / "log").open("wb") as log:
            try:
                ended = subprocess.run(command, stdout=log, stderr=log, timeout=LONGEST_ROUND_SECONDS, check=False)
                log.write(f"\nit ended with {ended.returncode}\n".encode())
            except subprocess.TimeoutExpired:
                log.write(b"\nthe round took too long\n")
        try:
            result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        except FileNotFoundError:
            said = (folder / "log").read_text(errors="replace").strip().splitlines()
            result = {**EMPTY, "world": kind, "violations": [f"late: the round broke off: {' / '.join(said[-3:])}"]}
        replay = f"python tests/chaos --world {kind} --seed {self.seed + number - 1} --replay {folder}/schedule.json"
        return {**result, "number": number, "replay": replay}

    def _tell(self, result: dict[str, Any]) -> None:
        self.results.append(result)
        minutes = (time.monotonic() - self.began) / 60
        print(
            f"{minutes:5.1f} min  round {result['number']:3d}  {result['world']:<18} {result['faults']:3d} faults "
            f"({len(result['unreached'])} not reached)  {result['jobs']:3d} jobs  "
            f"recovery {result['slowest_recovery']:4.1f} s"
            f"{''.join(chr(10) + '    ' + each for each in result['violations'])}"
            + (f"\n    alone: {result['replay']}" if result["violations"] else ""),
            flush=True,
        )

    def _in_time(self, minutes: float) -> bool:
        return time.monotonic() - self.began < minutes * 60

    def _struck(self) -> int:
        return sum(result["faults"] for result in self.results)

    def _failed(self) -> int:
        return sum(bool(result["violations"]) for result in self.results)

    def report(self) -> int:
        """Prints what it all added up to. Returns the exit code."""
        names = [
            "world",
            "rounds",
            "faults",
            "kills",
            "jobs",
            "deployed",
            "lost",
            "doubled",
            "torn",
            "gaps",
            "left",
            "late",
        ]
        names += ["repaired", "recovery"]
        print("\n" + "  ".join(f"{name:>9}" if name != "world" else f"{name:<18}" for name in names))
        for kind in [*self.kinds, "all"]:
            chosen = [each for each in self.results if kind in {each["world"], "all"}]
            told = [sentence for each in chosen for sentence in each["violations"]]
            figures: list[object] = [
                len(chosen),
                *(sum(each[name] for each in chosen) for name in ("faults", "kills", "jobs", "deployed")),
            ]
            figures += [
                sum(each.startswith(f"{name}:") for each in told)
                for name in ("lost", "doubled", "torn", "gap", "left", "late")
            ]
            figures += [
                sum(each["repaired"] for each in chosen),
                f"{max((each['slowest_recovery'] for each in chosen), default=0):.1f} s",
            ]
            print(f"{kind:<18}  " + "  ".join(f"{figure!s:>9}" for figure in figures))
        struck = {fault for each in self.results for fault in each["struck"]}
        never = missed(self.results)
        looks = sum(each["looks"] for each in self.results)
        print(
            f"{len(struck)} different faults struck, {len(never)} never reached; "
            f"the champion was looked up {looks} times"
        )
        for fault in never:
            print(f"    never reached: {fault}")
        print(f"schedules and results: {self.output}")
        return 1 if self._failed() else 0


def missed(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """The faults at points that nobody passed by in any round."""
    results = list(results)
    struck = {fault for each in results for fault in each["struck"]}
    return sorted({fault for each in results for fault in each["unreached"] if "@" in fault} - struck)


def _results(output: Path) -> list[dict[str, Any]]:
    """Of the rounds of an earlier run."""
    return [json.loads(path.read_text()) for path in sorted(output.glob("round-*/result.json"))]


EMPTY = {
    "seed": 0,
    "faults": 0,
    "struck": [],
    "unreached": [],
    "kills": 0,
    "jobs": 0,
    "deployed": 0,
    "repaired": 0,
    "looks": 0,
    "slowest_recovery": 0.0,
    "points": [],
}

if __name__ == "__main__":
    sys.exit(main())
