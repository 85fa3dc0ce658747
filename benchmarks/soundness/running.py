"""Many seeds through one function, in several processes, with progress on stderr."""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Run:
    """How many streams a part is to be measured on, and in how many processes. Equal streams give equal figures,
    whatever the processes."""

    streams: int
    jobs: int = 1
    quiet: bool = True

    def part_of(self, share: float, least: int = 1) -> int:
        """So much of the streams, for what is costly or only shown."""
        return max(round(share * self.streams), least)

    def over(self, told: str, work: Callable[[int], _Found], seeds: Iterable[int]) -> list[_Found]:
        """`work` of each seed, in the order of the seeds. With several processes it can be pickled."""
        seeds = list(seeds)
        return list(self._counted(told, len(seeds), self._results(work, seeds)))

    def _results(self, work: Callable[[int], _Found], seeds: list[int]) -> Iterator[_Found]:
        if self.jobs == 1:
            yield from map(work, seeds)
            return
        with ProcessPoolExecutor(self.jobs) as pool:
            yield from pool.map(work, seeds, chunksize=max(1, min(len(seeds) // (4 * self.jobs), 5)))

    def _counted(self, told: str, number: int, results: Iterator[_Found]) -> Iterator[_Found]:
        for done, each in enumerate(results, 1):
            yield each
            if not self.quiet and (done % 20 == 0 or done == number):
                print(f"  {told}: {done:,} of {number:,}", file=sys.stderr, flush=True)
