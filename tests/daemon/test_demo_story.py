"""The demo's story: events of the audit log told in terms of 2013, and the summary of the year."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daemon.demo.audit import AuditReader, Event, deployed_versions, open_jobs
from daemon.demo.flights import CATEGORIES, FEATURES
from daemon.demo.pace import PLAY_BEGINS, Pace
from daemon.demo.place import Place
from daemon.demo.play import DRAIN_SECONDS, LAST_CHANCE_SECONDS, patience
from daemon.demo.predictions import PredictionsTable
from daemon.demo.report import deployments, show
from daemon.demo.story import TOLD, Teller, Tone
from daemon.demo.summary import live_figures, payoff, retrainings
from retraind.clock import SystemClock, rfc3339
from retraind.config.loading import load
from retraind.events import EVENTS
from retraind.opening import open_ledger

BEGAN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PACE = Pace(BEGAN, seconds_per_day=0.25)
FIRST, SECOND = "310506-070810-aaaaaa", "310506-070820-bbbbbb"


def event(days: float, name: str, job: str | None = None, **data: Any) -> Event:
    """An event of the day so many days after the year began to pass, as the daemon or a worker records it."""
    return Event(BEGAN + timedelta(days=days) * 0.25 / 86_400, name, "delays", job, "daemon", data)


DECAY = "log_loss was 0.591 on 11,463 labelled rows of the last 3.5s, above 0.55."
VOLUME = "There are 47,400 labelled rows since the last training window ended (2031-05-06 07:08:10 UTC)."
YEAR = [
    event(3, "daemon.started", host="vm", pid=1),
    event(4, "trigger.fired", trigger="decay", sentence=DECAY, decision="request"),
    event(4, "job.requested", FIRST, reason=DECAY, triggers=[{"trigger": "decay", "sentence": DECAY}]),
    event(5, "stage.started", FIRST, stage="ingest", attempt=1),
    event(9, "stage.succeeded", FIRST, stage="ingest", seconds=1.2, result={"rows": 29035}),
    event(20, "trigger.fired", trigger="volume", sentence=VOLUME, decision="join"),
    event(20, "job.joined", FIRST, trigger="volume", sentence=VOLUME),
    event(30, "stage.succeeded", FIRST, stage="train", seconds=4.2, result={}),
    event(39, "model.registered", FIRST, version="1", metrics={"roc_auc": 0.66}),
    event(39, "stage.succeeded", FIRST, stage="register", seconds=2.0, result={}),
    event(40, "model.deployed", FIRST, version="1", previous=None),
    event(40, "job.closed", FIRST, outcome="deployed", success=True, version="1"),
    event(60, "job.requested", SECOND, reason="a whim", triggers=[]),
    event(80, "gate.failed", SECOND, gate="log_loss", sentence="log_loss 0.53 against the champion's 0.52"),
    event(80, "job.closed", SECOND, outcome="gate_failed", success=False, error="log_loss 0.53"),
]


def told(events: list[Event]) -> list[str]:
    teller = Teller(PACE)
    return [str(line) for each in events if (line := teller.line(each))]


def test_the_year_is_told_in_dates_and_days_of_2013() -> None:
    assert told(YEAR) == [
        "Feb 05  decay fired: log_loss was 0.591 on 11,463 labelled rows of the last 14d, above 0.55",
        "Feb 05  retraining 1 is requested by decay",
        "Feb 10  retraining 1: ingest done in 1.2s, 29,035 rows",
        "Feb 21  retraining 1: volume fired and joined the open job: "
        "There are 47,400 labelled rows since the last training window ended (Feb 05)",
        "Mar 03  retraining 1: train done in 4.2s",
        "Mar 12  retraining 1: registered as version 1 with roc_auc 0.660",
        "Mar 13  retraining 1: version 1 is deployed",
        "Apr 02  retraining 2 is requested by a person",
        "Apr 22  retraining 2: gate failed: log_loss 0.53 against the champion's 0.52",
        "Apr 22  retraining 2: the job ended as gate failed: log_loss 0.53",
    ]


def test_a_refusal_stands_out() -> None:
    teller = Teller(PACE)
    tones = {each.event: line.tone for each in YEAR if (line := teller.line(each))}
    assert tones["gate.failed"] is Tone.BAD
    assert tones["model.deployed"] is Tone.GOOD


def test_every_event_told_of_is_one_that_there_is() -> None:
    assert set(TOLD) <= set(EVENTS)


def test_what_happens_after_the_year_is_dated_on_its_last_day() -> None:
    assert told([event(400, "trigger.recovered", trigger="decay")]) == ["Dec 31  decay answers again"]


def test_windows_and_rates_are_told_in_days_and_nothing_else_is() -> None:
    teller = Teller(PACE)
    assert teller.in_2013("KS 0.813 at level 0.011 (1 per 1m31.25s)") == "KS 0.813 at level 0.011 (1 per 365d)"
    assert teller.in_2013("0.5s of v2s and 14 days") == "2d of v2s and 14 days"


def test_retrainings_carry_their_cause_and_their_end() -> None:
    first, second = retrainings(YEAR)
    assert (first.number, first.by, first.reason, first.outcome, first.version) == (1, "decay", DECAY, "deployed", "1")
    assert first.deployed_at == BEGAN + timedelta(seconds=10)
    assert (second.number, second.by, second.outcome, second.version) == (2, "a person", "gate_failed", None)


def test_a_job_is_open_until_it_is_closed() -> None:
    assert open_jobs(YEAR[:3]) == {FIRST}
    assert open_jobs(YEAR) == set()
    assert deployed_versions(YEAR) == ["1"]


def test_an_open_job_is_waited_for_and_longest_while_nothing_was_retrained_yet() -> None:
    assert patience(YEAR) == 0
    assert patience(YEAR[:-1]) == LAST_CHANCE_SECONDS
    assert patience([*YEAR[:-1], event(81, "model.deployed", "another", version="2")]) == DRAIN_SECONDS


# --- figures, from a real table


def _insert(
    table: PredictionsTable, first_id: int, day: int, version: str, scores: list[float], first: list[float] | None
) -> None:
    """Flights of one day, every second of them late."""
    count = len(scores)
    features = pd.DataFrame({name: ["JFK" if name in CATEGORIES else 1] * count for name in FEATURES})
    stamps = np.full(count, (BEGAN + timedelta(seconds=0.25 * day)).timestamp())
    dates = np.full(count, np.datetime64("2013-02-01T05:00", "us"))
    firsts = None if first is None else np.array(first)
    table.insert(first_id, stamps, dates, features, np.array(scores), version, firsts)
    table.fill_in(np.arange(first_id, first_id + count), (np.arange(count) % 2).astype(float))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place.make(tmp_path / "demo")
    table = PredictionsTable(place.store)
    _insert(table, 1, -3, "none", [0.2, 0.2], None)  # history
    _insert(table, 11, 3, "none", [0.2, 0.2, 0.2, 0.2], None)
    _insert(table, 21, 41, "1", [0.4, 0.6, 0.6, 0.4], [0.4, 0.6, 0.6, 0.4])
    _insert(table, 31, 70, "2", [0.1, 0.9, 0.1, 0.9], [0.4, 0.4, 0.4, 0.4])
    table.close()
    return place


def test_each_version_is_judged_on_what_it_predicted_itself(place: Place) -> None:
    live = live_figures(place.store, BEGAN)
    assert list(live) == ["none", "1", "2"]
    assert live["none"].served.flights == 4  # history is not counted
    assert live["none"].first is None
    assert live["1"].served == live["1"].first
    assert live["1"].served.accuracy == 0.5
    assert live["2"].served.accuracy == 1.0
    assert live["2"].served.log_loss == pytest.approx(-np.log(0.9))
    assert live["2"].served.roc_auc == 1.0
    assert live["2"].first is not None
    assert live["2"].first.accuracy == 0.5


def test_a_prediction_without_its_actual_is_not_judged(place: Place) -> None:
    table = PredictionsTable(place.store)
    features = pd.DataFrame({name: ["JFK" if name in CATEGORIES else 1] for name in FEATURES})
    dates = np.full(1, np.datetime64("2013-12-31T05:00", "us"))
    table.insert(9999, np.array([BEGAN.timestamp() + 80]), dates, features, np.array([0.9]), "2", np.array([0.9]))
    table.close()
    assert live_figures(place.store, BEGAN)["2"].served.flights == 4


def test_the_payoff_counts_from_the_first_retrained_model_on(place: Place) -> None:
    both = payoff(place.store, BEGAN + timedelta(seconds=0.25 * 60))
    assert both is not None
    assert both.first is not None
    assert (both.served.flights, both.served.accuracy, both.first.accuracy) == (4, 1.0, 0.5)
    assert payoff(place.store, BEGAN + timedelta(days=1)) is None


WITH_SECOND_DEPLOYED = [
    *YEAR[:-2],
    event(65, "model.deployed", SECOND, version="2", previous="1"),
    event(65, "job.closed", SECOND, outcome="deployed", success=True, version="2"),
]


def test_a_deployment_stands_beside_the_version_before_it_and_the_first_model(place: Place) -> None:
    rows = deployments(retrainings(WITH_SECOND_DEPLOYED), live_figures(place.store, BEGAN), Teller(PACE))
    assert [row[:3] for row in rows] == [("1", "Mar 13", "4"), ("2", "Apr 07", "4")]
    assert rows[1][6:] == ("50.00%", "100.00%", "50.00%")


def test_the_summary_says_what_fired_whether_it_paid_and_where_to_look(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    show(place, WITH_SECOND_DEPLOYED, Teller(PACE), PACE)
    out = capsys.readouterr().out
    assert "1  Feb 05  decay     deployed  Mar 13  log_loss was 0.591" in out
    assert "as retrained     0.1054    100.00%   1.0000" in out
    assert f"audit log     {place.audit}" in out
    assert f"sqlite:///{place.mlflow}" in out
    assert f"cd {place.root}" in out


def test_the_summary_of_a_year_without_a_deployment_still_comes(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    show(place, YEAR[:5], Teller(PACE), PACE)
    assert "retraining pay" not in capsys.readouterr().out


# --- the log itself


def test_the_log_is_followed_as_it_grows(place: Place) -> None:
    reader = AuditReader(place.audit)
    assert reader.new() == []
    ledger, _ = open_ledger(load(place.configuration, {}), SystemClock())
    record: Callable[[str], None] = lambda name: _record(ledger, name)  # noqa: E731
    record("one")
    assert [each.data for each in reader.new()] == [{"trigger": "one"}]
    record("two")
    record("three")
    assert [each.data["trigger"] for each in reader.new()] == ["two", "three"]
    assert len(reader.events) == 3
    assert reader.events[0].model == "delays"
    ledger.close()


def _record(ledger: Any, name: str) -> None:
    with ledger.write("daemon") as transaction:
        transaction.event("trigger.recovered", model="delays", data={"trigger": name})


def test_a_line_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    whole = (
        f'{{"time":"{rfc3339(BEGAN)}","event":"job.queued","model":"delays","job":"j","actor":"daemon","data":{{}}}}\n'
    )
    log = tmp_path / "audit.jsonl"
    reader = AuditReader(log)
    log.write_text(whole + whole[:20])
    assert len(reader.new()) == 1
    log.write_text(whole + whole)
    assert len(reader.new()) == 1
    assert reader.events[1].time == BEGAN
    assert PACE.date(reader.events[1].time) == PLAY_BEGINS
