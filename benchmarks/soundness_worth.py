"""When the `worth` trigger fires, on streams of a model that stays, decays or breaks, looked at daily.

`python -m benchmarks.soundness_worth` prints the long version of what tests/triggers/test_worth_soundness.py holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggers.evidence import Arrival, ArrivalRequest, Counts, Evidence, ModelFacts
from triggers.metrics import Tally
from triggers.verdict import Verdict
from triggers.worth import WorthTrigger

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_HOURS = 24

# The accuracy on a day, so many days after the model was deployed.
Course = Callable[[float], float]


def stays(_day: float) -> float:
    return 0.9


def decays(points_a_day: float) -> Course:
    return lambda day: 0.9 - points_a_day / 100 * day


def breaks(after: float, points: float) -> Course:
    return lambda day: 0.9 - (points / 100 if day >= after else 0.0)


@dataclass
class Stream:
    """Rows of every hour, all with labels, and what daily looks at them answer."""

    random: np.random.Generator
    course: Course
    trigger: WorthTrigger
    rows_a_day: int = 500
    spread_of_days: float = 0.0  # a standard deviation of the accuracy from day to day, correlated 0.7
    days: int = 90

    def __post_init__(self) -> None:
        self.deployed = 0
        self.hits: NDArray[np.int64] = np.zeros(self.days * _HOURS + 1, dtype=np.int64)
        self.rows = np.arange(self.days * _HOURS + 1) * self.rows_a_day // _HOURS
        self._effects = self._day_effects()
        self._draw()

    def _day_effects(self) -> NDArray[np.float64]:
        noise = self.random.normal(0, 1, self.days)
        for day in range(1, self.days):
            noise[day] = 0.7 * noise[day - 1] + np.sqrt(1 - 0.49) * noise[day]
        return noise * self.spread_of_days

    def _draw(self) -> None:
        """From the hour of the deployment on."""
        since = self.deployed * _HOURS
        hours = np.arange(since, self.days * _HOURS)
        chance = np.array([self.course((hour - since) / _HOURS) for hour in hours]) + self._effects[hours // _HOURS]
        drawn = self.random.binomial(np.diff(self.rows)[since:], np.clip(chance, 0, 1))
        self.hits[since + 1 :] = self.hits[since] + np.cumsum(drawn)

    def redeploy(self, day: int) -> None:
        self.deployed = day
        self._draw()

    def look(self, day: int) -> Verdict:
        now, deployed = START + day * DAY, START + self.deployed * DAY
        facts = ModelFacts(START, deployed, deployed, str(self.deployed), deployed, {})
        requests = self.trigger.requests(facts, {}, now)
        answers = {name: self._answer(request) for name, request in requests.items()}
        return self.trigger.evaluate(Evidence(facts, {}, answers), now)

    def _answer(self, request: Any) -> Any:
        if not isinstance(request, ArrivalRequest):
            return Counts(0, 0)
        return tuple(self._part(part.start, part.end) for part in request.windows())

    def _part(self, start: datetime | None, end: datetime | None) -> Arrival:
        assert start is not None
        assert end is not None
        first, last = (-((START - each) // timedelta(hours=1)) for each in (start, end))
        hits = int(self.hits[last] - self.hits[first])
        misses = int(self.rows[last] - self.rows[first]) - hits
        return Arrival(Tally(classes={("1", "1"): hits, ("1", "0"): misses}), {})

    def firings(self) -> list[int]:
        """The days on which looks fire, nothing being done about it."""
        return [day for day in range(1, self.days + 1) if self.look(day).fired]

    def first(self, since: int = 1) -> int:
        """The first day, of those from `since` on, on which a look fires; the day after the last: none does."""
        return next((day for day in range(since, self.days + 1) if self.look(day).fired), self.days + 1)


def worth(retrain: float = 40, price: float = 25, **settings: Any) -> WorthTrigger:
    return WorthTrigger(retrain=retrain, metric="accuracy", point_per_day=price, **settings)


def streams(seed: int, number: int, course: Course, trigger: WorthTrigger, **settings: Any) -> list[Stream]:
    return [Stream(np.random.default_rng([seed, index]), course, trigger, **settings) for index in range(number)]


def main() -> None:
    number = 200
    for told, settings in {
        "500 labels a day": {},
        "30 labels a day": {"rows_a_day": 30},
        "days differ by 1 point": {"spread_of_days": 0.01},
    }.items():
        found = [len(each.firings()) for each in streams(1, number, stays, worth(), **settings)]
        print(f"stays, {told}: {np.mean(found):.3f} firings in 90 looks; {np.mean(np.array(found) > 0):.3f} of streams")
    for cost, rate in ((500, 0.2), (2000, 0.2), (500, 0.05), (40, 0.2)):
        best = np.sqrt(2 * cost / (rate * 25))
        days = [each.first() for each in streams(2, number // 4, decays(rate), worth(cost), rows_a_day=2000)]
        print(f"{rate} points a day, training at {cost}: best after {best:.1f}d, fired after {np.median(days):.1f}d")
    for points in (3, 10):
        days = [each.first() - 30 for each in streams(3, number // 4, breaks(30, points), worth())]
        print(f"{points} points lost after 30d: fired after {np.median(days):.1f}d more, worst {max(days)}")


if __name__ == "__main__":
    main()
