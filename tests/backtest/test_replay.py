"""The past once more: the monitor's own looks at their due times, with what was known then."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import past
import pytest

from daemon.backtest.history import History
from daemon.backtest.report import BacktestReport, PolicyReport
from daemon.backtest.run import Wishes, backtest
from daemon.backtest.training import Asked, Trainer
from daemon.backtest.tune import tune
from retraind.errors import ConfigurationError, RetraindError
from triggers.evidence import RowsRequest, Window
from triggers.quantities import Rate

SINCE = past.START + timedelta(days=22)
TURN = past.START + timedelta(days=past.TURN)


class Silent:
    """Progress that nobody sees."""

    def __init__(self) -> None:
        self.instants: list[datetime] = []

    @contextmanager
    def policy(self, _name: str) -> Iterator[Any]:
        yield self.instants.append


def replayed(
    folder: Path, triggers: str = past.TRIGGERS, policy: str = "{cooldown: 5d}", **wishes: Any
) -> BacktestReport:
    settings = past.settings(past.configure(folder, triggers, policy))
    return backtest(settings, "delays", Wishes(since=SINCE, **wishes), Silent())


def configured(report: BacktestReport) -> PolicyReport:
    return report.policies[0]


def named(report: BacktestReport, trigger: str) -> Any:
    return next(each for each in report.triggers if each.trigger == trigger)


def test_triggers_fire_when_data_and_performance_turn_and_are_quiet_before(folder: Path) -> None:
    report = replayed(folder)
    first = {each.trigger: each for each in reversed(report.alarms)}
    for trigger in ("drift", "decay"):
        assert TURN < first[trigger].at <= TURN + timedelta(days=5)  # labels come a day late
        assert first[trigger].followed
        assert named(report, trigger).false == 0
    assert "drifted" in first["drift"].sentence
    (loss,) = [each for each in report.losses if each.policy == "configured"]
    assert loss.start <= TURN + timedelta(days=7)
    assert set(loss.alarms) == {"drift", "decay"}
    assert not loss.missed


def test_a_loss_that_no_trigger_tells_of_is_missed_and_schedules_are_not_judged_by_it(folder: Path) -> None:
    report = replayed(folder, "      weekly: {type: interval, every: 7d}", metric="accuracy")
    assert [each.missed for each in report.losses] == [True]
    assert named(report, "weekly").false is None
    days = (past.LEFT - SINCE) // timedelta(days=1)
    assert [each.at for each in configured(report).jobs] == [
        SINCE + timedelta(days=day) for day in range(7, days + 1, 7)
    ]


def test_looks_are_made_at_their_due_times_and_no_more_often(folder: Path) -> None:
    report = replayed(folder, "      drift: {type: drift, window: 7d, look_every: 2d, incidents: false}")
    assert named(report, "drift").looks == pytest.approx((past.LEFT - SINCE) / timedelta(days=2), abs=1)


def test_a_paces_looks_are_thinned_and_a_schedule_keeps_its_instants(folder: Path) -> None:
    triggers = """
      volume: {type: volume, rows: 900, labelled: true}
      monthly: {type: cron, schedule: "0 6 15 * *"}
"""
    report = replayed(folder, triggers, "{}", finest=timedelta(hours=12))
    assert named(report, "volume").looks <= 2 * (past.DAYS - 22) + 5
    fired = [each.at for each in report.alarms if each.trigger == "monthly"]
    assert [(each.month, each.day, each.hour) for each in fired] == [(2, 15, 6), (3, 15, 6)]
    assert "volume (every 1m)" in " ".join(report.notes)
    # 900 labelled rows are six days, told when their labels have come, a day late; the month's training begins anew
    jobs = [each.at for each in configured(report).jobs if each.triggers == ["volume"] and each.at < fired[0]]
    assert [round((at - SINCE) / timedelta(days=7)) for at in jobs] == [1, 2, 3]


def test_what_holds_a_job_back_holds_it_back_in_the_past_too(folder: Path) -> None:
    triggers = '      daily: {type: cron, schedule: "0 6 * * *"}'
    assert len(configured(replayed(folder, triggers, "{}")).jobs) == 58
    held = configured(replayed(folder, triggers, "{cooldown: 10d}", finest=timedelta(hours=6))).jobs
    assert all(b.at - a.at >= timedelta(days=10) for a, b in itertools.pairwise(held))
    assert len(held) == 5  # what waited starts when the cooldown is over, by the reconciler's own step


def test_a_window_holds_the_rows_whose_labels_had_come_and_no_later_ones(folder: Path) -> None:
    report = replayed(folder, "      weekly: {type: interval, every: 7d}")
    assert {each.rows for each in configured(report).jobs} == {
        19 * past.A_DAY + 1
    }  # of 20 days, the last without labels


def test_nothing_of_the_users_is_written(folder: Path) -> None:
    past.configure(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    replayed(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_member_counts_for_the_trigger_that_combines_it(folder: Path) -> None:
    triggers = past.TRIGGERS.replace("drift,", "drift, action: none,").replace(
        "performance,", "performance, action: none,"
    )
    combined = triggers + "      both: {type: all, of: [drift, decay], within: 2d}\n"
    report = replayed(folder, combined, finest=timedelta(hours=8))
    assert TURN < configured(report).jobs[0].at < TURN + timedelta(days=8)
    assert configured(report).jobs[0].triggers == ["both"]


def test_another_configuration_of_the_model_is_replayed_beside_it(folder: Path) -> None:
    other = past.configure(folder, "      often: {type: interval, every: 10d}").rename(folder / "often.yaml")
    report = replayed(folder, "      seldom: {type: interval, every: 30d}", compare=("often.yaml", "14d"))
    assert [(each.name, each.retrainings) for each in report.policies] == [("configured", 1), ("often", 5), ("14d", 4)]
    other.write_text(other.read_text().replace("past.db", "elsewhere.db"))
    with pytest.raises(ConfigurationError, match=r"often\.yaml reads the predictions of 'delays' from another table"):
        replayed(folder, compare=("often.yaml",))


def test_a_firing_that_waited_is_told_as_retrained_for(folder: Path) -> None:
    triggers = '      weekly: {type: cron, schedule: "0 6 * * 0"}'
    report = replayed(folder, triggers, "{cooldown: 9d}", finest=timedelta(hours=6))
    assert [each.retrained for each in report.alarms if each.trigger == "weekly"][:3] == [True, True, True]
    assert any(each.at.weekday() != 6 for each in configured(report).jobs)


def test_file_triggers_are_left_out_and_said_to_be(folder: Path) -> None:
    report = replayed(folder, past.TRIGGERS + "      landing: {type: file, path: '*.csv'}\n")
    assert "landing is left out" in " ".join(report.notes)
    assert {each.trigger for each in report.triggers} == {"drift", "decay"}


def test_without_a_label_delay_it_is_said_that_labels_may_come_too_soon(folder: Path) -> None:
    file = past.configure(folder, "      weekly: {type: interval, every: 7d}")
    file.write_text(file.read_text().replace("      label_delay: 1d\n", ""))
    report = backtest(past.settings(file), "delays", Wishes(since=SINCE), Silent())
    assert "nothing says when labels came" in " ".join(report.notes)
    assert {each.rows for each in configured(report).jobs} == {20 * past.A_DAY}


def test_versions_are_really_trained_and_a_policy_that_sees_the_turn_beats_never(folder: Path) -> None:
    triggers = "      decay: {type: performance, metric: accuracy, below: 0.85, window: 7d}"
    report = replayed(folder, triggers, "{cooldown: 40d}", train=True, compare=("never", "fixed", "oracle"))
    by_name = {each.name: each for each in report.policies}
    assert set(by_name) == {"configured", "never", "fixed", "oracle"}
    values = {name: each.value or 0.0 for name, each in by_name.items()}
    assert values["configured"] > values["never"] + 0.02
    assert values["oracle"] >= max(values.values()) - 1e-9
    assert by_name["fixed"].retrainings == by_name["configured"].retrainings > 0
    assert by_name["oracle"].retrainings <= by_name["configured"].retrainings
    assert by_name["never"].retrainings == 0
    assert by_name["configured"].seconds > 0
    assert all(each.outcome == "deployed" for each in by_name["configured"].jobs)


def test_a_challenger_that_fails_its_gate_does_not_serve(folder: Path) -> None:
    file = past.configure(
        folder, "      turn: {type: interval, every: 40d}", gates="[{metric: accuracy, at_least: 1.0}]"
    )
    report = backtest(past.settings(file), "delays", Wishes(since=SINCE, train=True, compare=("never",)), Silent())
    mine, never = report.policies
    assert [each.outcome for each in mine.jobs] == ["gate_failed"]
    assert "wanted at least 1" in str(mine.jobs[0].because)
    assert mine.value == never.value


def test_drift_is_weighed_by_what_the_rehearsed_version_leans_on(folder: Path, tmp_path: Path) -> None:
    file = past.configure(folder)
    model = past.settings(file).models["delays"]
    history = History.read(model)
    history.move(SINCE)
    rows = history.rows(RowsRequest(Window(None, SINCE), ("timestamp", "delay", "carrier", "actual"), labelled=True))
    found = Trainer(history, tmp_path / "models").train(Asked(file, "delays", model, SINCE, rows, None, first=True))
    assert found.importance is not None
    leans = {name: each["increase"] for name, each in found.importance["features"].items()}
    assert leans["delay"] > 0.2 > leans["carrier"] == 0


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"since": past.START + timedelta(days=20_000)}, "is in the future"),
        ({"since": past.LEFT + timedelta(days=1)}, "leaves nothing to replay"),
        ({"since": past.START - timedelta(days=1)}, "no row before --since"),
        ({"compare": ("oracle",)}, "add --train"),
        ({"compare": ("sometimes",)}, "there is no policy 'sometimes'"),
        ({"compare": ("other.yaml",)}, "there is no configuration file"),
        ({"metric": "acuracy"}, "'acuracy' is not a metric"),
        ({"metric": "log_loss"}, "needs scores"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_in_a_sentence(
    folder: Path, wishes: dict[str, Any], sentence: str
) -> None:
    settings = past.settings(past.configure(folder))
    with pytest.raises(ConfigurationError, match=sentence):
        backtest(settings, "delays", Wishes(**wishes), Silent())


def test_a_store_without_rows_is_said_to_be_empty(folder: Path) -> None:
    settings = past.settings(past.configure(folder))
    with pytest.raises(RetraindError, match="has no rows before 2025-01-01; there is nothing to replay"):
        backtest(settings, "delays", Wishes(until=past.START.replace(year=2025)), Silent())


def test_tuning_finds_the_most_sensitive_setting_that_keeps_the_budget(folder: Path) -> None:
    settings = past.settings(past.configure(folder))
    report = tune(
        settings,
        "delays",
        Wishes(since=TURN - timedelta(days=15), metric="accuracy"),
        Rate.parse("1 per 90d"),
        Silent(),
    )
    for trigger in ("drift", "decay"):
        tried = [each for each in report.candidates if each.trigger == trigger]
        (chosen,) = [each for each in tried if each.chosen]
        assert chosen.within_budget
        assert chosen.found == 1
        assert all(not each.within_budget for each in tried[: tried.index(chosen)])
    assert report.snippet is not None
    past.configure(folder, "".join(f"      {line}\n" for line in report.snippet.splitlines()))
    assert set(past.settings(folder / "retraind.yaml").models["delays"].triggers) == {"drift", "decay"}


def test_a_model_without_thresholds_has_nothing_to_tune(folder: Path) -> None:
    settings = past.settings(past.configure(folder, "      weekly: {type: interval, every: 7d}"))
    with pytest.raises(ConfigurationError, match="no trigger with thresholds"):
        tune(settings, "delays", Wishes(), None, Silent())
