"""Incidents of the data are told from drift: eight kinds planted in quiet streams, and real shifts of all sorts."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from samples import NOW, evidence

from triggers.drift import DriftTrigger
from triggers.evidence import RowsRequest
from triggers.incident_state import IncidentState, Kind
from triggers.incidents import NewRows, recognise
from triggers.profile import ReferenceProfile
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
PER_DAY = 300
FEATURES = ("distance", "price", "heat", "carrier", "flag")


def day_of(random: np.random.Generator, rows: int = PER_DAY) -> dict[str, Any]:
    """Five features: normal, lognormal, temperatures with missing values, five classes, and a class of two."""
    heat = random.normal(15, 8, rows)
    heat[random.random(rows) < 0.1] = np.nan
    return {
        "distance": random.normal(100, 20, rows),
        "price": random.lognormal(3, 1, rows),
        "heat": heat,
        "carrier": random.choice(list("ABCDE"), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(object),
        "flag": (random.random(rows) < 0.2).astype(object),
    }


def column(values: Any) -> pa.Array:
    """As a store tells it: one text among numbers makes all of them text."""
    present = [None if value is None or (isinstance(value, float) and np.isnan(value)) else value for value in values]
    if any(isinstance(value, str) for value in present):
        present = [None if value is None else str(value) for value in present]
    return pa.array(present)


def table(columns: Mapping[str, Any]) -> pa.Table:
    return pa.table({name: column(values) for name, values in columns.items()})


class Stream:
    """Three quiet weeks before `NOW`, of whose last days some may be changed; a day's rows are spread over it."""

    def __init__(self, seed: int, days: int = 21) -> None:
        self.random = np.random.default_rng(seed)
        self.reference = table(day_of(self.random, 4000))
        self.days = [(self.times(NOW - (days - index) * DAY), day_of(self.random)) for index in range(days)]

    def times(self, start: Any, rows: int = PER_DAY) -> list[Any]:
        return sorted(start + DAY * float(share) for share in self.random.random(rows))

    def change(self, what: Callable[[list[Any], dict[str, Any]], Any], last: int = 1) -> "Stream":
        """`what` is given each of the last days, and may return another."""
        for place in range(len(self.days) - last, len(self.days)):
            times, columns = self.days[place]
            self.days[place] = what(times, columns) or (times, columns)
        return self

    def rows(self, request: RowsRequest, now: Any) -> pa.Table:
        """Those of the window that have come by now, oldest first."""
        start, end = request.window.start or NOW - 99 * DAY, request.window.end or NOW + 99 * DAY
        come = list(enumerate(self.days))[: len(self.days) - max((NOW - now) // DAY, 0)]
        near = [(day, times) for day, (times, _) in come if times and times[-1] >= start and times[0] < end]
        kept = sorted(
            (moment, day, place) for day, times in near for place, moment in enumerate(times) if start <= moment < end
        )
        values: dict[str, Any] = {"timestamp": pa.array([moment for moment, _, _ in kept], pa.timestamp("us", "UTC"))}
        for name in request.columns:
            if name != "timestamp":
                values[name] = column([self.days[day][1][name][place] for _, day, place in kept])
        return pa.table({name: values[name] for name in request.columns})


def look(stream: Stream, state: Mapping[str, Any] | None = None, now: Any = NOW, **settings: Any) -> Verdict:
    trigger = DriftTrigger(prediction=False, **settings)
    asked = trigger.requests(evidence(features=FEATURES).facts, state or {}, now)
    answers: dict[str, Any] = {
        name: stream.rows(request, now) for name, request in asked.items() if isinstance(request, RowsRequest)
    }
    return trigger.evaluate(evidence({"reference": stream.reference, **answers}, state, features=FEATURES), now)


def found(verdict: Verdict) -> list[tuple[str, str | None]]:
    return [each.incident.key for each in IncidentState.of(verdict.state).open]


# --- what breaks


def put(name: str, change: Callable[[Any], Any]) -> Callable[[list[Any], dict[str, Any]], None]:
    """Another column in the place of one."""

    def planted(_times: list[Any], columns: dict[str, Any]) -> None:
        columns[name] = change(columns[name])

    return planted


def most_lost(values: Any) -> Any:
    lost = np.array(values, dtype=float)
    lost[: int(len(lost) * 0.7)] = np.nan
    return lost


def mostly(level: str) -> Callable[[Any], Any]:
    return lambda values: np.where(np.arange(len(values)) % 10 < 8, level, values).astype(object)


def few(times: list[Any], columns: dict[str, Any]) -> Any:
    return times[::30], {name: values[::30] for name, values in columns.items()}


def many(times: list[Any], columns: dict[str, Any]) -> Any:
    fresh = np.random.default_rng(5)
    return sorted([moment + timedelta(seconds=n) for moment in times for n in range(14)]), day_of(
        fresh, 14 * len(times)
    )


def twice(times: list[Any], columns: dict[str, Any]) -> Any:
    return [t for t in times for _ in (1, 2)], {name: np.repeat(values, 2) for name, values in columns.items()}


def again_later(times: list[Any], columns: dict[str, Any]) -> Any:
    """A third of the rows comes again, with time stamps of its own."""
    third = len(times) // 3
    later = [moment + timedelta(seconds=1) for moment in times[:third]]
    order = np.argsort([*times, *later], kind="stable")
    return sorted(times + later), {
        name: np.concatenate([values, values[:third]])[order] for name, values in columns.items()
    }


INCIDENTS: dict[str, tuple[Kind, str | None, Callable[[list[Any], dict[str, Any]], Any]]] = {
    "all missing": (Kind.MISSING, "distance", put("distance", lambda values: np.full(len(values), np.nan))),
    "all missing text": (Kind.MISSING, "carrier", put("carrier", lambda values: [None] * len(values))),
    "most missing": (Kind.MISSING, "heat", put("heat", most_lost)),
    "constant": (Kind.CONSTANT, "distance", put("distance", lambda values: np.full(len(values), -999.0))),
    "constant class": (Kind.CONSTANT, "carrier", put("carrier", lambda values: ["B"] * len(values))),
    "a thousandth": (Kind.UNITS, "distance", put("distance", lambda values: values / 1000)),
    "cents": (Kind.UNITS, "price", put("price", lambda values: values * 100)),
    "miles": (Kind.UNITS, "distance", put("distance", lambda values: values / 1.609344)),
    "feet": (Kind.UNITS, "distance", put("distance", lambda values: values * 3.28084)),
    "inches": (Kind.UNITS, "distance", put("distance", lambda values: values / 2.54)),
    "seconds": (Kind.UNITS, "price", put("price", lambda values: values * 60)),
    "kelvins": (Kind.UNITS, "heat", put("heat", lambda values: values + 273.15)),
    "fahrenheit": (Kind.UNITS, "heat", put("heat", lambda values: values * 1.8 + 32)),
    "a new class": (Kind.CATEGORIES, "carrier", put("carrier", mostly("Z"))),
    "classes written otherwise": (Kind.CATEGORIES, "carrier", put("carrier", lambda v: [f"c{each}" for each in v])),
    "classes as numbers": (Kind.CATEGORIES, "carrier", put("carrier", lambda v: [ord(each) for each in v])),
    "numbers as text": (Kind.TEXT, "distance", put("distance", lambda v: [f"{each:.2f}" for each in v])),
    "few rows": (Kind.VOLUME, None, few),
    "no rows": (Kind.VOLUME, None, lambda _times, columns: ([], {name: [] for name in columns})),
    "many rows": (Kind.VOLUME, None, many),
    "doubled": (Kind.DUPLICATES, None, twice),
    "sent again": (Kind.DUPLICATES, None, again_later),
    "a clock ahead": (Kind.CLOCK, None, lambda times, columns: ([t + DAY for t in times], columns)),
    "a few hours ahead": (Kind.CLOCK, None, lambda times, columns: ([t + 5 * DAY / 24 for t in times], columns)),
    "a clock that stands": (Kind.CLOCK, None, lambda times, columns: ([times[0]] * len(times), columns)),
}


# --- what only drifts


def shifted(name: str, sigmas: float) -> Callable[[list[Any], dict[str, Any]], None]:
    return put(name, lambda values: values + sigmas * np.nanstd(values))


def scaled(name: str, factor: float, about: float | None = None) -> Callable[[list[Any], dict[str, Any]], None]:
    def change(values: Any) -> Any:
        middle = np.nanmean(values) if about is None else about
        return middle + factor * (values - middle)

    return put(name, change)


def more_missing(share: float) -> Callable[[list[Any], dict[str, Any]], None]:
    return put("distance", lambda values: np.where(np.arange(len(values)) % 100 < 100 * share, np.nan, values))


def other_shares(random: np.random.Generator) -> Callable[[list[Any], dict[str, Any]], None]:
    shares = random.dirichlet(np.ones(5))
    return put("carrier", lambda values: random.choice(list("ABCDE"), len(values), p=shares).astype(object))


def some_new(share: float) -> Callable[[list[Any], dict[str, Any]], None]:
    return put(
        "carrier", lambda values: np.where(np.arange(len(values)) % 100 < 100 * share, "Z", values).astype(object)
    )


def thinned(factor: float) -> Callable[[list[Any], dict[str, Any]], Any]:
    step = max(int(1 / factor), 1)
    return lambda times, columns: (times[::step], {name: values[::step] for name, values in columns.items()})


def real_shift(random: np.random.Generator) -> Callable[[list[Any], dict[str, Any]], Any]:
    number, amount = random.choice(["distance", "price", "heat"]), random.random()
    sign = random.choice([-1, 1])
    choices = [
        shifted(number, sign * 2 * amount),
        scaled(number, (1 + amount) ** sign),
        scaled(number, (1 + amount) ** sign, about=0.0),
        put("price", lambda values: values * np.exp(sign * 2 * amount)),
        more_missing(0.1 * amount),
        other_shares(random),
        some_new(0.3 * amount),
        thinned(0.2 + 0.8 * amount),
    ]
    return choices[int(random.integers(len(choices)))]


# --- what is said of both


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_of_the_last_day_is_recognised_and_is_not_drift(name: str) -> None:
    kind, where, what = INCIDENTS[name]
    for seed in range(2):
        verdict = look(Stream(seed).change(what))
        assert found(verdict) == [(str(kind), where)], verdict.sentence
        assert verdict.outcome is Outcome.INSUFFICIENT
        assert verdict.sentence.startswith(
            "This is an incident of the data, and drift is not judged until it is over: "
        )
        assert [each["kind"] for each in verdict.numbers["incidents"]] == [kind]


@pytest.mark.parametrize("name", ["all missing", "constant", "kelvins", "classes written otherwise", "doubled"])
def test_an_incident_that_fills_the_window_is_recognised_at_the_first_look(name: str) -> None:
    kind, where, what = INCIDENTS[name]
    assert found(look(Stream(1).change(what, last=7))) == [(str(kind), where)]


def test_real_shifts_are_no_incidents() -> None:
    called = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        days = int(random.integers(1, 8))
        called += bool(found(look(Stream(1000 + seed).change(real_shift(random), last=days))))
    assert called == 0


def test_a_quiet_stream_has_no_incidents() -> None:
    assert [seed for seed in range(15) if found(look(Stream(100 + seed)))] == []


def judge(reference: Mapping[str, Any], rows: Mapping[str, Any], **known: Any) -> list[tuple[str, str | None]]:
    profile = ReferenceProfile.of(table(reference), list(reference))
    return [each.key for each in recognise(profile, NewRows(table(rows), **known))]


def test_a_column_that_is_constant_for_a_day_by_its_nature_is_no_incident() -> None:
    weekday = np.repeat(np.arange(28) % 7, 200).astype(float)
    assert judge({"x": weekday}, {"x": np.full(200, 3.0)}, history=table({"x": weekday})) == []
    shuffled = np.random.default_rng(1).permutation(weekday)
    lately = table({"x": weekday[: 6 * 200]})
    assert judge({"x": shuffled}, {"x": np.full(200, 6.0)}, history=table({"x": shuffled}), past=lately) == []
    assert judge({"x": shuffled}, {"x": np.full(200, 6.0)}, history=table({"x": shuffled})) == [("constant", "x")]


def test_what_is_rare_anyway_may_be_gone_for_a_season() -> None:
    random = np.random.default_rng(2)
    snow = (random.random(4000) < 0.05).astype(float)
    assert judge({"x": snow}, {"x": np.zeros(1000)}) == []
    depth = np.where(snow == 1, random.normal(10, 2, 4000), np.nan)
    assert judge({"x": depth}, {"x": np.full(1000, np.nan)}) == []


def test_what_is_missing_for_a_day_by_its_nature_is_no_incident() -> None:
    random = np.random.default_rng(16)
    calm = np.repeat(random.random(20) < 0.3, 200)
    gusts = np.where(calm & (random.random(4000) < 0.95), np.nan, random.normal(20, 5, 4000))
    today = np.where(random.random(400) < 0.95, np.nan, random.normal(20, 5, 400))
    assert judge({"x": gusts}, {"x": today}, history=table({"x": gusts})) == []
    assert judge({"x": gusts}, {"x": today}, history=table({"x": random.permutation(gusts)})) == [("missing", "x")]


def test_what_the_past_knows_already_is_a_slow_change_until_all_is_lost() -> None:
    random = np.random.default_rng(3)
    full, rows = random.normal(0, 1, 4000), 500
    holes = {share: np.where(np.arange(rows) % 100 < 100 * share, np.nan, full[:rows]) for share in (0.45, 0.55, 1.0)}
    assert judge({"x": full}, {"x": holes[0.55]}) == [("missing", "x")]
    assert judge({"x": full}, {"x": holes[0.55]}, past=table({"x": holes[0.45]})) == []
    assert judge({"x": full}, {"x": holes[1.0]}, past=table({"x": holes[1.0]})) == [("missing", "x")]


def test_an_identifier_whose_values_are_always_new_is_no_incident() -> None:
    names = [f"u{index}" for index in range(900)]
    assert judge({"x": names}, {"x": [f"v{index}" for index in range(500)]}) == []


@pytest.mark.parametrize("factor", [0.5, 1.3, 2.0, 7.0])
def test_growth_of_a_wide_column_is_no_change_of_units(factor: float) -> None:
    random = np.random.default_rng(4)
    assert judge({"x": random.lognormal(0, 1.2, 4000)}, {"x": factor * random.lognormal(0, 1.2, 500)}) == []


@pytest.mark.parametrize("factor", [1000.0, 1 / 60, 7.3])
def test_a_factor_is_told_of_columns_of_both_signs_of_ties_and_of_integers(factor: float) -> None:
    random = np.random.default_rng(5)
    for draw in (
        lambda n: random.normal(0, 1, n),
        lambda n: random.normal(50, 5, n),
        lambda n: random.integers(1, 9, n),
    ):
        if factor != 7.3 or draw(1)[0] > 9:
            assert judge({"x": draw(4000)}, {"x": factor * draw(500)}) == [("units", "x")]


def test_kilometres_that_became_miles_are_told_of_every_stream_and_shifts_of_two_sigma_of_none() -> None:
    """A column of mean 100 and deviation 20, where miles lie hardly further away than a shift that is a drift."""
    for seed in range(300):
        random = np.random.default_rng([20, seed])
        before, past, now = (table({"x": random.normal(100, 20, rows)}) for rows in (4000, 1000, 500))
        values = now["x"].to_numpy()
        for today, told in ((values / 1.609344, [("units", "x")]), (values - 40, [])):
            assert judge({"x": before["x"].to_numpy()}, {"x": today}, past=past) == told, seed


def test_a_factor_that_slow_change_may_reach_must_come_at_once() -> None:
    random = np.random.default_rng(17)
    before, now = random.normal(40, 4, 4000), random.normal(40, 4, 500) * 1.609344
    assert judge({"x": before}, {"x": now}, past=table({"x": random.normal(40, 4, 1000)})) == [("units", "x")]
    assert judge({"x": before}, {"x": now}, past=table({"x": random.normal(58, 4, 1000)})) == []
    known = {("units", "x"): 1.0}
    assert judge({"x": before}, {"x": now}, past=table({"x": now}), expected=known) == [("units", "x")]


@pytest.mark.parametrize(("moves", "told"), [(0.0, [("units", "x")]), (12.0, [])])
def test_a_column_whose_own_days_move_as_far_is_in_no_other_units(moves: float, told: list[Any]) -> None:
    """Day by day about 40, as much as `moves` apart; then a cold day, that could be one divided by 3.28."""
    random = np.random.default_rng(18)
    days = random.normal(40, moves, 40)[:, None] * random.normal(1, 0.15, (40, 100))
    today = random.permutation(days.ravel())[:200] / 3.28084
    assert judge({"x": days.ravel()}, {"x": today}, history=table({"x": days.ravel()})) == told
    assert judge({"x": days.ravel()}, {"x": today * 3.28084 * 3.28084}, history=table({"x": days.ravel()})) == [
        ("units", "x")
    ]


def test_what_broke_today_is_seen_by_a_look_that_comes_after_days() -> None:
    stream = Stream(31)
    before = look(stream, now=NOW - 4 * DAY)
    stream.change(put("distance", lambda values: np.full(len(values), np.nan)))
    assert found(look(stream, before.state)) == [("missing", "distance")]


def test_fewer_than_a_hundred_rows_tell_nothing() -> None:
    full = np.random.default_rng(6).normal(0, 1, 4000)
    assert judge({"x": full}, {"x": np.full(99, np.nan)}) == []
    assert judge({"x": full}, {"x": np.full(100, np.nan)}) == [("missing", "x")]
    assert judge({"x": full[:99]}, {"x": np.full(100, np.nan)}) == []


def test_a_few_rows_ahead_of_their_time_are_one_device_and_no_incident() -> None:
    def ahead(times: list[Any], columns: dict[str, Any]) -> Any:
        return times[:-2] + [moment + DAY for moment in times[-2:]], columns

    assert found(look(Stream(7).change(ahead))) == []


def test_batches_with_one_time_stamp_each_are_no_clock_that_stands() -> None:
    stream = Stream(8).change(lambda times, columns: ([times[0]] * len(times), columns), last=21)
    assert found(look(stream)) == []


def test_without_a_week_before_nothing_is_said_of_the_number_of_rows() -> None:
    assert found(look(Stream(9, days=5).change(few))) == []


# --- over several looks


def days_of(stream: Stream, *looks: Any, **settings: Any) -> list[Verdict]:
    """Looks at the end of these days before `NOW`, each with what the last left behind."""
    verdicts: list[Verdict] = []
    for back in looks:
        state = verdicts[-1].state if verdicts else None
        verdicts.append(look(stream, state, NOW - back * DAY, **settings))
    return verdicts


def broken_on(stream: Stream, place: int, what: Callable[[list[Any], dict[str, Any]], Any]) -> Stream:
    """One day is changed: `place` days before the last."""
    times, columns = stream.days[-1 - place]
    stream.days[-1 - place] = what(times, columns) or (times, columns)
    return stream


@pytest.mark.parametrize("name", ["all missing", "classes written otherwise", "few rows", "doubled", "a thousandth"])
def test_it_stays_the_same_incident_until_it_is_gone_and_leaves_its_span_behind(name: str) -> None:
    kind, where, what = INCIDENTS[name]
    stream = Stream(11)
    for place in (2, 3, 4):
        broken_on(stream, place, what)
    verdicts = days_of(stream, 5, 4, 3, 2, 1)
    assert [found(verdict) for verdict in verdicts] == [[], *[[(str(kind), where)]] * 3, []]
    states = [IncidentState.of(verdict.state) for verdict in verdicts]
    assert {state.open[0].since for state in states[1:4]} == {NOW - 6 * DAY}  # and a day before it was seen first
    assert states[4].left_out == ((NOW - 6 * DAY, NOW - DAY),)
    assert states[3].spoilt == ((NOW - 6 * DAY, None),)


@pytest.mark.parametrize("method", ["windows", "sequential"])
@pytest.mark.parametrize("name", ["all missing", "a thousandth"])
def test_rows_of_an_incident_that_is_over_are_no_drift(method: str, name: str) -> None:
    stream = broken_on(Stream(15), 4, INCIDENTS[name][2])
    verdicts = days_of(stream, 5, 4, 3, 2, 1, 0, method=method)
    assert [bool(found(verdict)) for verdict in verdicts] == [False, True, False, False, False, False]
    assert [verdict.outcome for verdict in verdicts[2:]] == [Outcome.QUIET] * 4, verdicts[2].sentence


def test_what_a_person_acknowledged_holds_nothing_and_spoils_no_rows() -> None:
    stream = Stream(12).change(INCIDENTS["all missing"][2], last=2)
    first = look(stream, None, NOW - DAY)
    state = IncidentState.of(first.state).acknowledged([("missing", "distance")], "user:ann")
    second = look(stream, state.within(first.state))
    assert second.fired
    assert found(second) == [("missing", "distance")]
    after = IncidentState.of(second.state)
    assert after.holding == ()
    assert after.spoilt == ()


def test_all_rows_since_the_last_look_are_judged() -> None:
    stream = broken_on(Stream(13), 2, INCIDENTS["all missing"][2])
    first = look(stream, None, NOW - 4 * DAY)
    asked = DriftTrigger().requests(evidence(features=FEATURES).facts, first.state or {}, NOW)
    newest = asked["newest"]
    assert isinstance(newest, RowsRequest)
    assert newest.window.start == NOW - 4 * DAY


def test_a_store_that_falls_silent_is_looked_at_all_the_same() -> None:
    trigger, verdict = DriftTrigger(), look(Stream(14))
    insists = trigger.insists(verdict.state or {})
    assert insists is not None
    assert NOW + DAY / 9 < insists <= NOW + DAY / 8
    silent = look(Stream(14), verdict.state, NOW + DAY)
    assert found(silent) == [("volume", None)]
    assert trigger.insists(silent.state or {}) is None


def test_incidents_are_not_looked_for_where_the_setting_says_so() -> None:
    trigger = DriftTrigger(incidents=False)
    assert set(trigger.requests(evidence(features=FEATURES).facts, {}, NOW)) == {
        "reference",
        "current",
        "prediction_reference",
        "prediction_current",
    }
    assert not trigger.finds_incidents


def test_a_file_is_judged_as_a_whole() -> None:
    trigger = DriftTrigger(prediction=False, current={"file": "new.csv"})
    random = np.random.default_rng(15)
    current = table({**day_of(random, 600), "distance": np.full(600, np.nan)})
    answers = {"reference": table(day_of(random, 4000)), "current": current}
    verdict = trigger.evaluate(evidence(answers, features=FEATURES), NOW)
    assert found(verdict) == [("missing", "distance")]
