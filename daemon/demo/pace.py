"""How the year passes: the map between instants of 2013 and instants of the real clock, and durations alike.

Called by the serving application (when a flight is due), by the story (which date it was) and when
the demo's configuration is written (windows are as compressed as the data).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
YEAR_BEGINS = datetime(2013, 1, 1, 5, tzinfo=UTC)  # midnight in New York
YEAR_ENDS = datetime(2014, 1, 1, 5, tzinfo=UTC)
PLAY_BEGINS = datetime(2013, 2, 1, 5, tzinfo=UTC)  # January is there when the system starts
# 334 days in 84 s: with the start, the last job and the summary it stays inside two minutes
SECONDS_PER_DAY = 0.25

_DAYS_OR_WEEKS = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([dw])(?!\w)")
_DAYS = {"d": 1, "w": 7}


@dataclass(frozen=True)
class Pace:
    """`began` is the real instant (aware UTC) that stands for PLAY_BEGINS; a day of 2013 takes `seconds_per_day`."""

    began: datetime
    seconds_per_day: float = SECONDS_PER_DAY

    def real(self, instant: datetime) -> datetime:
        """The real instant at which `instant` of 2013 passes; before `began` for what is history."""
        return self.began + timedelta(seconds=(instant - PLAY_BEGINS) / DAY * self.seconds_per_day)

    def date(self, instant: datetime) -> datetime:
        """The instant of 2013 (aware UTC) that passes at the real `instant`; past the year's end it goes on."""
        return PLAY_BEGINS + (instant - self.began).total_seconds() / self.seconds_per_day * DAY

    @property
    def ends(self) -> datetime:
        """The real instant at which the year is over."""
        return self.real(YEAR_ENDS)


def compress(configuration: str, seconds_per_day: float = SECONDS_PER_DAY) -> str:
    """The configuration with each duration in days or weeks written in the real seconds that it takes.

    Durations in other units are of the real clock and stay, and so do comments.
    """

    def in_seconds(match: re.Match[str]) -> str:
        return f"{float(match[1]) * _DAYS[match[2]] * seconds_per_day:.6g}s"

    return "\n".join(
        code + mark + comment
        for code, mark, comment in (line.partition("#") for line in configuration.split("\n"))
        for code in [_DAYS_OR_WEEKS.sub(in_seconds, code)]
    )
