"""How figures, times and lists are written in a verdict's sentence, so that all triggers speak alike."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite

from triggers.quantities import format_duration


def figure(value: float) -> str:
    """`value` with three significant figures at least: `0.812`, `12.3`, `1,912`."""
    if not isfinite(value):
        return "no number"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.001 or size == 0 else f"{value:.1e}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`number` of `noun`: `1 row`, `1,912 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """`share` (0 to 1) as a whole percentage. What is neither none nor all is never written as if it were."""
    whole = round(100 * share)
    if whole == 0 and share > 0:
        return "less than 1 %"
    if whole == 100 and share < 1:
        return "over 99 %"
    return f"{whole} %"


def span(length: timedelta) -> str:
    """`length` as users write it, whole days as days: `7d`, `1h30m`."""
    days, rest = divmod(length, timedelta(days=1))
    return f"{days}d" if days and not rest else format_duration(length)


def age(length: timedelta) -> str:
    """`length` for people, to a sensible unit: `3d4h`, `2h5m`, `40s`."""
    seconds = max(length.total_seconds(), 0)
    grain = 1 if seconds < 300 else 60 if seconds < 86_400 else 3600
    rounded = timedelta(seconds=seconds // grain * grain)
    return span(rounded) if rounded else "0s"


def instant(moment: datetime) -> str:
    """`moment` in UTC, to the second where it has seconds."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC" if utc.second else f"{utc:%Y-%m-%d %H:%M} UTC"


def listing(names: Sequence[str], most: int = 3) -> str:
    """The first `most` of `names`, and how many more there are."""
    shown, more = list(names[:most]), len(names) - most
    if more > 0:
        return f"{', '.join(shown)} and {more:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1] if shown else ""]))


def series(names: Sequence[str], last: str) -> str:
    """All of `names`, the last of them after the word `last`: `noise, effect and nature`."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def sentence_case(text: str) -> str:
    """With a capital at its beginning, and the rest as it is."""
    return text[:1].upper() + text[1:]
