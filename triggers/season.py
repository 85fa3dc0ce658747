"""Like with like: the hours of a day or the days of a week, in UTC, and a reference of a window's own mix of them.

Called by `triggers.pairs` and `triggers.natural`. A Sunday's rows are to be compared with Sundays' rows. The
reference is thinned so that each stratum holds the same share of it as of the window; what is left
is a plain sample again, for which every test holds.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Season = Literal["day", "week"]
Integers = NDArray[np.int64]

NAMES: dict[Season, str] = {"day": "hours of the day", "week": "days of the week"}
_HOUR = 3_600_000_000  # in microseconds
_STRATA: dict[Season, tuple[int, int]] = {"day": (_HOUR, 24), "week": (24 * _HOUR, 7)}  # the length of one, how many
HOURS = 168  # of a week: whole hours of the day and whole days of the week alike are made of them
_LITTLE = 0.01  # a stratum with a smaller share of the window decides nothing about the thinning


def strata(instants: Integers, season: Season | None) -> Integers:
    """The stratum of each row by its time, in microseconds since 1970. Without a season there is one."""
    if season is None:
        return np.zeros(instants.size, dtype=np.int64)
    length, number = _STRATA[season]
    return instants // length % number


def hours_of_week(instants: Integers) -> Integers:
    """The hour of the week of each row by its time, in microseconds since 1970; the first begins on a Thursday."""
    return instants // _HOUR % HOURS


def strata_of_hours(hours: Integers, season: Season) -> Integers:
    """The stratum of each row by its hour of the week."""
    length, number = _STRATA[season]
    return hours // (length // _HOUR) % number


def number_of(season: Season | None) -> int:
    """How many strata there are."""
    return 1 if season is None else _STRATA[season][1]


def period(season: Season) -> int:
    """After how many microseconds the strata come again."""
    length, number = _STRATA[season]
    return length * number


def thinned(reference: Integers, mix: Integers) -> Integers | None:
    """Which reference rows to keep, given each one's stratum and how many of the window's rows each stratum has.

    As many as can be had, evenly over time. None: the reference has no rows of a stratum that the
    window has (one row in a hundred at least).
    """
    held = np.bincount(reference, minlength=mix.size)
    counts = mix > _LITTLE * mix.sum()
    if not counts.any() or not held[counts].all():
        return None
    wanted = np.minimum(held, (mix * (held[counts] / mix[counts]).min() + 1e-9).astype(np.int64))
    order = np.argsort(reference, kind="stable")
    begins = np.cumsum(held) - held
    parts = [
        begin + np.arange(take) * rows // take
        for begin, rows, take in zip(begins.tolist(), held.tolist(), wanted.tolist(), strict=True)
        if take
    ]
    return np.sort(order[np.concatenate(parts)])
