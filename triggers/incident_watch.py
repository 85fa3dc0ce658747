"""Looks for incidents of the data at each look of a trigger: what to ask for, what was found, what to remember.

Called by the drift trigger. The newest rows are judged (a seventh of the window, a day at most, and all
since the last look), so that an incident is seen while it spoils few of the window's rows; too few of them
are judged together with the window's others. What is open stays so until a look finds it gone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from triggers.evidence import TIME, Request, RowsRequest, Window
from triggers.incident_state import Incident, IncidentState, Kind, OpenIncident
from triggers.verdict import Outcome, Verdict
from triggers.wording import listing

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.arrivals import Arrivals
    from triggers.profile import ReferenceProfile

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
_FINE = 8  # looks in a span at a store that is silent and should not be
_JUDGED = ("current", "prediction_current", "together_current")
_NEWEST, _EARLIER = "newest", {"day_before": _DAY, "week_before": _WEEK}


class Wanted(Exception):
    """Rows are needed that were not read."""


class Unread:
    """Stands for a table that was not read: most looks need none of it. Whatever is asked of it raises Wanted."""

    def __getattr__(self, name: str) -> Any:
        raise Wanted(name)


@dataclass(frozen=True)
class Watch:
    """Over a window of so much time."""

    window: timedelta

    @property
    def length(self) -> timedelta:
        """How much time is judged at a look."""
        return min(max(self.window / 7, timedelta(seconds=1)), _DAY)

    def requests(self, columns: tuple[str, ...], state: Mapping[str, Any], now: datetime) -> dict[str, Request]:
        """The newest rows, those of the future included, and the time stamps a day and a week before."""
        remembered = IncidentState.of(state)
        asked: dict[str, Request] = {
            _NEWEST: RowsRequest(
                Window(self._start(remembered, now), None), tuple(dict.fromkeys(("timestamp", *columns)))
            )
        }
        for name, back in self._shifts(remembered, now).items():
            asked[name] = RowsRequest(Window(now - self.length - back, now - back), ("timestamp",))
        return asked

    def _start(self, remembered: IncidentState, now: datetime) -> datetime:
        """All since the last look are new, however long ago that was, but no older than the window."""
        newest = now - self.length
        return max(min(newest, remembered.looked_at or newest), now - self.window)

    def _shifts(self, remembered: IncidentState, now: datetime) -> dict[str, timedelta]:
        """How far back the spans to compare with lie: before an incident of the whole table that is open."""
        since = min((each.since for each in remembered.open if each.incident.column is None), default=now)
        return {name: step * max(-(-(now - since) // step), 1) for name, step in _EARLIER.items()}

    @staticmethod
    def answered(answers: Mapping[str, Any]) -> bool:
        """Whether what `requests` asks for was answered."""
        return answers.keys() >= {_NEWEST, *_EARLIER}

    def examine(
        self,
        answers: Mapping[str, Any],
        state: Mapping[str, Any],
        now: datetime,
        profile: "Callable[[], ReferenceProfile | None]",
    ) -> "Findings":
        """What the answers to `requests` show, beside those under `reference` and `current` where there are such."""
        remembered = IncidentState.of(state)
        known = {
            each.incident.key: each.incident.numbers.get("expected", 1.0)
            for each in remembered.open
            if each.incident.column is not None
        }
        if _NEWEST not in answers:  # a file, whose rows have no time
            incidents = _columns(profile, answers.get("current"), None, answers, known)
            return Findings(_next(remembered, incidents, (now, now), now, None), incidents, state)
        arrivals = self._arrivals(answers, remembered, now)
        incidents = arrivals.incidents()
        rows, past, start = self._rows(answers, remembered, now)
        broken = _columns(profile, rows, past, answers, known, dated=arrivals.dated)
        seen = {incident.column for incident in broken}
        lately = _columns(profile, self._latest(rows, now), past, answers, known, dated=arrivals.dated)
        incidents += broken + [incident for incident in lately if incident.column not in seen]
        # The rows of the span before were judged at its end, when few of them may have been spoilt yet.
        oldest = now - self.window
        of_columns = max(start - self.length, oldest)
        of_all = max(self._start(remembered, now) - self.length, oldest)
        silent = any(each.kind in {Kind.VOLUME, Kind.CLOCK} for each in incidents)
        by = now + self.length / _FINE if arrivals.expects_rows and not silent else None
        return Findings(_next(remembered, incidents, (of_columns, of_all), now, by), incidents, state)

    def _arrivals(self, answers: Mapping[str, Any], remembered: IncidentState, now: datetime) -> "Arrivals":
        from triggers.arrivals import Arrivals

        before = [
            _times(answers[name]) + back // timedelta(microseconds=1)
            for name, back in self._shifts(remembered, now).items()
        ]
        return Arrivals(now, self.length, _times(answers[_NEWEST]), before)

    def _rows(
        self, answers: Mapping[str, Any], remembered: IncidentState, now: datetime
    ) -> "tuple[pa.Table, pa.Table | None, datetime]":
        """The rows to judge, those of the window before them, and where those to judge begin."""
        from triggers.arrivals import microseconds
        from triggers.incidents import MIN_ROWS

        newest: pa.Table = answers[_NEWEST]
        current: pa.Table | None = answers.get("current")
        if current is not None and newest.num_rows < MIN_ROWS <= current.num_rows:
            return current, None, now - self.window
        start = self._start(remembered, now)
        if current is None or isinstance(current, Unread):
            return newest, current, start
        in_window = int((_times(newest) < microseconds(now)).sum())
        return newest, current.slice(0, max(current.num_rows - in_window, 0)), start

    def _latest(self, rows: "pa.Table", now: datetime) -> "pa.Table | None":
        """Those of the newest span, where `rows` reach further back: what broke since must not be thinned out by what
        was well. None: they do not, or there is nothing in it."""
        from triggers.arrivals import microseconds
        from triggers.cells import instants
        from triggers.columns import chosen

        if TIME not in rows.column_names:
            return None
        times, dated = instants(rows.column(TIME))
        newest = dated & (times >= microseconds(now - self.length))
        return None if newest.all() or not newest.any() else chosen(rows, newest)


@dataclass(frozen=True)
class Findings:
    """What a look found. `state` is what the trigger remembers from now on; `incidents` all there are now."""

    remembered: IncidentState
    incidents: list[Incident]
    before: Mapping[str, Any]

    def verdict(self, numbers: Mapping[str, Any]) -> Verdict | None:
        """Drift cannot be told while data is broken that nobody acknowledged; None: it can."""
        acknowledged = {each.incident.key for each in self.remembered.open if each.acknowledged_by is not None}
        held = [each for each in self.incidents if each.key not in acknowledged]
        if not held:
            return None
        told = listing([each.sentence for each in held])
        sentence = f"This is an incident of the data, and drift is not judged until it is over: {told}."
        return Verdict(Outcome.INSUFFICIENT, sentence, {**numbers, "incidents": [vars(each) for each in held]})

    def sound(self, answers: Mapping[str, Any]) -> Mapping[str, Any]:
        """`answers` without the rows that incidents spoilt: what is over must not look like drift for as long as the
        window reaches back. Rows without times stay."""
        spans = self.remembered.spoilt
        tables = {name: answers[name] for name in _JUDGED if name in answers} if spans else {}
        return {**answers, **{name: _outside(table, spans) for name, table in tables.items()}}

    def kept_in(self, verdict: Verdict) -> Verdict:
        """The verdict with what is to be remembered."""
        return replace(verdict, state=self.remembered.within(verdict.state or self.before))


def _outside(table: "pa.Table", spans: tuple[tuple[datetime, datetime | None], ...]) -> "pa.Table":
    from triggers.arrivals import microseconds
    from triggers.cells import instants
    from triggers.columns import chosen

    if TIME not in table.column_names:
        return table
    times, dated = instants(table.column(TIME))
    spoilt = dated & False
    for start, end in spans:
        spoilt |= dated & (times >= microseconds(start)) & (end is None or times < microseconds(end))
    return chosen(table, ~spoilt)


def _columns(
    profile: "Callable[[], ReferenceProfile | None]",
    rows: "pa.Table | None",
    past: "pa.Table | None",
    answers: Mapping[str, Any],
    known: Mapping[tuple[str, str | None], float],
    *,
    dated: bool = False,
) -> list[Incident]:
    """The incidents of columns and doubled rows; none where there is no reference, or none that can be counted."""
    from triggers.incidents import MIN_ROWS, NewRows, recognise

    if rows is None or rows.num_rows < MIN_ROWS:
        return []
    try:
        reference = profile()
    except ValueError:  # the comparison says it
        return []
    if reference is None:
        return []
    return recognise(reference, NewRows(rows, past, answers["reference"], known, dated))


def _next(
    remembered: IncidentState,
    found: list[Incident],
    since: tuple[datetime, datetime],
    now: datetime,
    expects_rows_by: datetime | None,
) -> IncidentState:
    """What is remembered after a look: what is still there is the same incident, what is gone left a span behind.

    `since`: where the rows begin that a new one may have spoilt, of what columns hold, and of how rows come.
    """
    before = {each.incident.key: each for each in remembered.open}
    open_now = []
    for incident in found:
        known = before.pop(incident.key, None)
        if known is None:
            open_now.append(OpenIncident(incident, since[incident.kind in {Kind.VOLUME, Kind.CLOCK}]))
        else:
            expected = known.incident.numbers.get("expected")
            numbers = {**incident.numbers, **({} if expected is None else {"expected": expected})}
            open_now.append(replace(known, incident=replace(incident, numbers=numbers)))
    spans = tuple((each.since, _end(each, now)) for each in before.values() if each.acknowledged_by is None)
    return replace(
        remembered,
        open=tuple(open_now),
        left_out=remembered.left_out + spans,
        looked_at=now,
        expects_rows_by=expects_rows_by,
    )


def _end(gone: OpenIncident, now: datetime) -> datetime:
    """Where the rows of an incident end that is gone: with the furthest time stamp, where they lay in the future."""
    furthest = gone.incident.numbers.get("furthest")
    return now if furthest is None else max(now, datetime.fromisoformat(furthest) + timedelta(microseconds=1))


def _times(table: "pa.Table") -> Any:
    """The time stamps of the rows that have one, as ascending microseconds since 1970."""
    import numpy as np

    from triggers.cells import instants

    times, dated = instants(table.column("timestamp"))
    return np.sort(times[dated])
