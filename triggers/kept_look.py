"""A look at drift by counts that are kept: what is asked in which order, so that only new rows are read.

Called by `triggers.drift`. First the references and the newest rows; then, only where these look broken, the
rows that tell an incident from what the data does by itself; then the buckets, without the spans
that incidents spoilt.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from triggers.evidence import (
    TIME,
    BucketsRequest,
    Evidence,
    ProfileRequest,
    Request,
    RowsRequest,
    TableFileRequest,
    TrainingRequest,
    Window,
)
from triggers.incident_watch import Findings, Unread, Wanted, Watch
from triggers.verdict import Verdict

if TYPE_CHECKING:
    from triggers.profile import ReferenceProfile
    from triggers.season import Season

Asking = Generator[Mapping[str, Request], Mapping[str, Any], Any]
_REFERENCES = {"current": "reference", "prediction_current": "prediction_reference"}


@dataclass(frozen=True)
class Span:
    """The window of a trigger, and what else than drift it looks out for."""

    window: timedelta
    season: "Season | None"
    natural: bool

    def buckets(
        self,
        reference: RowsRequest | TrainingRequest | TableFileRequest,
        names: tuple[str, ...],
        rows: Window,
        version: str | None = None,
    ) -> BucketsRequest:
        """The rows of a side in buckets over the reference that stands in those."""
        from triggers.pairs import lengths_of

        lengths = lengths_of(self.window) if self.natural else ()
        return BucketsRequest(ProfileRequest(reference, names, lengths, self.season), self.window, rows, version)


def conversation(
    watch: Watch | None,
    sides: Mapping[str, BucketsRequest],
    evidence: Evidence,
    now: datetime,
    judge: Callable[[Evidence, datetime], Verdict],
) -> Generator[Mapping[str, Request], Mapping[str, Any], Verdict]:
    """Ends with what `judge` says of the answers, or with what `watch` does; None: nobody watches for incidents.

    `sides` are the current sides by the names under which `judge` takes them.
    """
    features = sides.get("current")
    columns = features.reference.names if features is not None else ()
    asked: dict[str, Request] = {_REFERENCES[name]: side.reference for name, side in sides.items()}
    if watch is not None:
        asked |= watch.requests(columns, evidence.state, now)
    answers = dict((yield asked))
    found: Findings | None = None
    if watch is not None:
        window = RowsRequest(Window(now - watch.window, now), (TIME, *columns))
        rows = {} if features is None else {"reference": features.reference.rows, "current": window}
        found = yield from _examined(watch, rows, replace(evidence, answers=answers), now)
        assert found is not None  # noqa: S101 - it ends with findings
        if (broken := found.verdict({})) is not None:
            return found.kept_in(broken)
    spoilt = () if found is None else found.remembered.spoilt
    there = {name: side for name, side in sides.items() if answers[_REFERENCES[name]] is not None}
    answers |= yield {name: replace(side, without=spoilt) for name, side in there.items()}
    verdict = judge(replace(evidence, answers=answers), now)
    return verdict if found is None else found.kept_in(verdict)


def in_sequence(
    watch: Watch | None,
    asked: Mapping[str, Request],
    evidence: Evidence,
    now: datetime,
    judge: Callable[[Evidence, datetime], Verdict],
) -> Generator[Mapping[str, Request], Mapping[str, Any], Verdict]:
    """The same where the current rows are those that no look has seen: `asked` has a ProfileRequest as `reference`, and
    a RowsRequest as `current`."""
    reference = asked["reference"]
    assert isinstance(reference, ProfileRequest)  # noqa: S101 - as above
    if watch is None:
        answers = yield asked
        return judge(replace(evidence, answers=answers), now)
    answers = yield {**asked, **watch.requests(reference.names, evidence.state, now)}
    # What is new to a sequence is no window that the newest rows are a part of.
    newest = {name: each for name, each in answers.items() if name != "current"}
    rows = {"reference": reference.rows}
    found: Findings = yield from _examined(watch, rows, replace(evidence, answers=newest), now)
    sound = replace(evidence, answers=found.sound(answers))
    return found.kept_in(found.verdict({}) or judge(sound, now))


def _examined(watch: Watch, rows: Mapping[str, Request], evidence: Evidence, now: datetime) -> Asking:
    """Ends with `Findings`. `rows` (of the reference, and of the window) are asked for where the newest are odd."""
    newest = {name: each for name, each in evidence.answers.items() if name not in _REFERENCES.values()}
    reference = evidence.answers.get("reference")

    def profile() -> "ReferenceProfile | None":
        from triggers.known import Refused

        if isinstance(reference, Refused):
            raise reference.error()
        return None if reference is None else reference.profile

    if not rows or reference is None:
        return watch.examine(newest, evidence.state, now, profile)
    try:
        unread = {name: Unread() for name in rows}
        return watch.examine({**newest, **unread}, evidence.state, now, profile)
    except Wanted:
        read = yield rows
        return watch.examine({**newest, **read}, evidence.state, now, profile)
