"""The drift trigger's `method: sequential`: which rows are new, and what they add to the evidence.

Called by `triggers.drift`. Time is cut into buckets as long as the time between looks. Each whole
bucket is taken once, so that the evidence is the same however looks fall; rows that come later
than the look that took their bucket are not seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from triggers.evidence import TIME, Window
from triggers.quantities import Rate
from triggers.verdict import Outcome, Verdict
from triggers.weights import Weights
from triggers.wording import count, figure, instant, span

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.bets import Floats, Strays
    from triggers.buckets import TimeBuckets
    from triggers.comparison import Sizes
    from triggers.detector import Detector
    from triggers.known import Known, Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GAINS_AT_ONCE = 2**18  # buckets times columns, of some fifteen bets each


@dataclass(frozen=True)
class Pace:
    """How time is cut, and how many false alarms are allowed in how much of it."""

    bucket: timedelta
    false_alarms: Rate
    share: float = 1.0  # of the false alarms allowed, for the evidence

    @property
    def enough(self) -> float:
        """The evidence that alarms: so many buckets as there may be to a false alarm, at least."""
        return max(self.false_alarms.per / self.bucket / self.false_alarms.count / self.share, 1.0)

    def before(self, moment: datetime) -> datetime:
        """Where the bucket of that moment begins."""
        return _EPOCH + (moment - _EPOCH) // self.bucket * self.bucket


def unseen(state: Mapping[str, Any], version: str | None, pace: Pace, window: timedelta, now: datetime) -> Window:
    """The whole buckets that no look has taken yet. A first look, and one after another deployment, takes those of the
    last `window`."""
    end = pace.before(now)
    since = state.get("until") if state.get("version") == version else None
    start = pace.before(now - window) if since is None else datetime.fromisoformat(since)
    return Window(min(start, end), end)


@dataclass(frozen=True)
class Material:
    """What a look is handed: the reference, the new rows, and the state that the last one left. What the reference's
    own buckets differ by is no evidence, where it is known."""

    reference: "Known | Refused"
    current: "pa.Table"
    state: Mapping[str, Any]
    version: str | None
    window: Window


def look(material: Material, pace: Pace, sizes: "Sizes", weights: Weights, numbers: Mapping[str, Any]) -> Verdict:
    """The verdict, with the evidence after the new buckets as its state. Raises ValueError naming a column that cannot
    be compared."""
    from triggers.buckets import TimeBuckets
    from triggers.detector import Detector
    from triggers.known import Refused
    from triggers.picture import picture_of_evidence

    reference = material.reference
    if isinstance(reference, Refused):
        raise reference.error()
    profile = reference.profile
    pace, natural = _with_nature(reference, pace)
    detector = Detector(profile, sizes, weights.of, natural)
    kept = material.state.get("evidence") if material.state.get("reference") == profile.content_hash else None
    before = None if kept is None else detector.restored(kept)
    buckets = TimeBuckets(profile, pace.bucket)
    buckets.fold(material.current, TIME)
    evidence, alarm = _taken(material.window, pace, detector, buckets, detector.nothing() if before is None else before)
    start, end = material.window.start, material.window.end
    assert start is not None  # noqa: S101 - `unseen` gave both
    assert end is not None  # noqa: S101
    state = {
        "version": material.version,
        "reference": profile.content_hash,
        "until": end.isoformat(),
        "evidence": detector.kept(evidence),
    }
    found = _Found(detector, pace, weights, evidence if alarm is None else alarm, fired=alarm is not None)
    figures = {**numbers, **found.figures(), "natural": bool(natural), "until": end.isoformat()}
    rows = f"{count(material.current.num_rows, 'new row')} until {instant(end)}"
    against = f"against {profile.counts.rows:,}, {pace.false_alarms} in buckets of {span(pace.bucket)}"
    sentence = f"{found.told()}, after {rows} {against}{weights.told}.{found.left_out()}"
    picture = picture_of_evidence(profile, lambda names: buckets.of_columns(names, start, end), found.by_column)
    return Verdict(Outcome.FIRED if found.fired else Outcome.QUIET, sentence, figures, state, picture=picture)


@dataclass(frozen=True)
class _Found:
    """The evidence that is told: when it was enough, or after all new buckets."""

    detector: "Detector"
    pace: Pace
    weights: Weights
    evidence: "Floats"
    fired: bool

    @cached_property
    def by_column(self) -> dict[str, float]:
        return self.detector.by_column(self.evidence)

    @cached_property
    def reached(self) -> float:
        return self.detector.average(self.evidence)

    @cached_property
    def drifted(self) -> list[str]:
        """The columns that have enough evidence of their own, and no weight."""
        return [name for name in self.weights.left_out if self.by_column[name] >= self.pace.enough]

    def told(self) -> str:
        strongest = max(self.by_column, key=lambda name: self.weights.of[name] * self.by_column[name])
        verb = "reached" if self.fired else "is"
        return (
            f"The evidence of drift {verb} {figure(self.reached)}, where {figure(self.pace.enough)} is enough, "
            f"most of it of {self._said_of(strongest)}"
        )

    def left_out(self) -> str:
        return self.weights.passed_over([self._said_of(name) for name in self.drifted])

    def figures(self) -> dict[str, Any]:
        columns = {
            name: {"evidence": value, "bet": self._bet(name), "weight": self.weights.of[name]}
            for name, value in self.by_column.items()
        }
        weights = {**self.weights.figures(), "drifted": self.drifted}
        return {"evidence": self.reached, "enough": self.pace.enough, "columns": columns, "weights": weights}

    def _bet(self, name: str) -> str:
        return self.detector.strongest(self.evidence, name)

    def _said_of(self, name: str) -> str:
        return f"{name} ({self._bet(name)})"


def _with_nature(reference: "Known", pace: Pace) -> "tuple[Pace, Strays]":
    """How far buckets stray by nature; where that is known, half of the budget is for those that stray further."""
    from triggers.wandering import strays

    half = replace(pace, share=0.5)
    natural = {} if reference.blocks is None else strays(reference.blocks, pace.bucket, 1 / half.enough)
    return (half if natural else pace), natural


def _taken(
    window: Window, pace: Pace, detector: "Detector", buckets: "TimeBuckets", evidence: "Floats"
) -> "tuple[Floats, Floats | None]":
    """The evidence after the window's buckets, one by one, and that of the last alarm on the way, which set it back."""
    start, end = window.start, window.end
    assert start is not None  # noqa: S101 - `unseen` gave both
    assert end is not None  # noqa: S101
    alarmed: Floats | None = None
    for begin, gains in _gains(detector, buckets, [each for each in buckets.starts if start <= each < end]):
        evidence = detector.after_empty(evidence, (begin - start) // pace.bucket)
        evidence = detector.after(evidence, gains)
        if detector.average(evidence) >= pace.enough:
            alarmed, evidence = evidence, detector.nothing()
        start = begin + pace.bucket
    return detector.after_empty(evidence, (end - start) // pace.bucket), alarmed


def _gains(
    detector: "Detector", buckets: "TimeBuckets", starts: Sequence[datetime]
) -> "Iterator[tuple[datetime, Floats]]":
    """Each bucket's, so many buckets at a time as memory is well spent on."""
    at_once = max(_GAINS_AT_ONCE // len(buckets.reference.layouts), 1)
    for place in range(0, len(starts), at_once):
        some = starts[place : place + at_once]
        yield from zip(some, detector.gains([buckets.bucket(each).counts for each in some]), strict=True)
