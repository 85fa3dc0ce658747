"""The drift trigger's `method: sequential`: which rows are new, and what they add to the evidence.

Called by `triggers.drift`. Time is cut into buckets as long as the time between looks. Each whole
bucket is taken once, so that the evidence is the same however looks fall; rows that come later
than the look that took their bucket are not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from triggers.evidence import TIME, Window
from triggers.quantities import Rate
from triggers.verdict import Outcome, Verdict
from triggers.weights import Weights
from triggers.wording import count, figure, instant, span

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.buckets import TimeBuckets
    from triggers.comparison import Sizes, TestName
    from triggers.detector import Detector

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """What a look is handed: the tables, the columns to judge, and the state that the last one left."""

    names: tuple[str, ...]
    reference: "pa.Table"
    current: "pa.Table"
    state: Mapping[str, Any]
    version: str | None
    window: Window
    natural: bool = False  # what buckets differ by themselves is no evidence


def look(material: Material, pace: Pace, sizes: "Sizes", weights: Weights, numbers: Mapping[str, Any]) -> Verdict:
    """The verdict, with the evidence after the new buckets as its state. Raises ValueError naming a column that cannot
    be compared."""
    from triggers.buckets import TimeBuckets
    from triggers.detector import Detector
    from triggers.picture import picture_of_evidence
    from triggers.profile import ReferenceProfile

    profile = ReferenceProfile.of(material.reference, material.names)
    pace, natural = _with_nature(material, profile, pace)
    detector = Detector(profile, sizes, weights.of, natural)
    known = material.state.get("evidence") if material.state.get("reference") == profile.content_hash else None
    before = known if known is not None and detector.fits(known) else detector.nothing()
    buckets = TimeBuckets(profile, pace.bucket)
    buckets.fold(material.current, TIME)
    evidence, alarm = _taken(material.window, pace, detector, buckets, before)
    start, end = material.window.start, material.window.end
    assert start is not None  # noqa: S101 - `unseen` gave both
    assert end is not None  # noqa: S101
    state = {
        "version": material.version,
        "reference": profile.content_hash,
        "until": end.isoformat(),
        "evidence": evidence if alarm is None else alarm.after,
    }
    shown = evidence if alarm is None else alarm.evidence
    by_column = detector.by_column(shown)
    strongest = max(by_column, key=lambda name: weights.of[name] * by_column[name])
    passed_over = [name for name in weights.left_out if by_column[name] >= pace.enough]
    reached = detector.average(shown)
    figures = {
        **numbers,
        "evidence": reached,
        "enough": pace.enough,
        "natural": bool(natural),
        "until": end.isoformat(),
        "columns": _by_column(detector, shown, weights),
        "weights": {**weights.figures(), "drifted": passed_over},
    }
    told = f"evidence of drift {'reached' if alarm else 'is'} {figure(reached)}, where {figure(pace.enough)} is enough"
    most = f"most of it of {strongest} ({detector.strongest(shown, strongest)})"
    rows = f"{count(material.current.num_rows, 'new row')} until {instant(end)}"
    against = f"against {profile.counts.rows:,}, {pace.false_alarms} in buckets of {span(pace.bucket)}"
    outcome = Outcome.FIRED if alarm else Outcome.QUIET
    more = weights.passed_over([f"{name} ({detector.strongest(shown, name)})" for name in passed_over])
    picture = picture_of_evidence(profile, buckets.over(start, end), by_column)
    sentence = f"The {told}, {most}, after {rows} {against}{weights.told}.{more}"
    return Verdict(outcome, sentence, figures, state, picture=picture)


def _by_column(
    detector: "Detector", evidence: Mapping[str, Sequence[float]], weights: Weights
) -> dict[str, dict[str, Any]]:
    return {
        name: {"evidence": value, "bet": detector.strongest(evidence, name), "weight": weights.of[name]}
        for name, value in detector.by_column(evidence).items()
    }


def _with_nature(material: Material, profile: Any, pace: Pace) -> "tuple[Pace, Mapping[tuple[str, TestName], float]]":
    """How far buckets stray by nature; where that is known, half of the budget is for those that stray further."""
    from triggers.wandering import strays

    half = replace(pace, share=0.5)
    natural = strays(material.reference, profile, pace.bucket, 1 / half.enough) if material.natural else {}
    return (half if natural else pace), natural


@dataclass(frozen=True)
class _Alarm:
    """The evidence that alarmed, and what came after it was set back."""

    evidence: dict[str, list[float]]
    after: dict[str, list[float]]


def _taken(
    window: Window, pace: Pace, detector: "Detector", buckets: "TimeBuckets", evidence: dict[str, list[float]]
) -> tuple[dict[str, list[float]], _Alarm | None]:
    """The evidence after the window's buckets, one by one, and the last alarm on the way."""
    start, end = window.start, window.end
    assert start is not None  # noqa: S101 - `unseen` gave both
    assert end is not None  # noqa: S101
    alarmed: dict[str, list[float]] | None = None
    for begin in (each for each in buckets.starts if start <= each < end):
        evidence = detector.after_empty(evidence, (begin - start) // pace.bucket)
        evidence = detector.after(evidence, buckets.over(begin, begin + pace.bucket))
        if detector.average(evidence) >= pace.enough:
            alarmed, evidence = evidence, detector.nothing()
        start = begin + pace.bucket
    evidence = detector.after_empty(evidence, (end - start) // pace.bucket)
    return evidence, None if alarmed is None else _Alarm(alarmed, evidence)
