"""The demo's compressed time: instants and durations shrink alike."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.demo.flights import FEATURES, data_file
from daemon.demo.pace import PLAY_BEGINS, SECONDS_PER_DAY, YEAR_BEGINS, YEAR_ENDS, Pace, compress
from daemon.demo.place import MODEL, Place
from retraind.config.loading import load
from retraind.errors import ConfigurationError

BEGAN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PACE = Pace(BEGAN, seconds_per_day=0.25)


def test_a_day_of_2013_takes_its_fraction_of_a_second() -> None:
    assert PACE.real(PLAY_BEGINS) == BEGAN
    assert PACE.real(PLAY_BEGINS + timedelta(days=4)) == BEGAN + timedelta(seconds=1)
    assert PACE.date(BEGAN + timedelta(seconds=0.5)) == PLAY_BEGINS + timedelta(days=2)


def test_january_is_history_when_the_year_begins_to_pass() -> None:
    assert PACE.real(YEAR_BEGINS) == BEGAN - timedelta(seconds=31 * 0.25)


def test_the_year_is_over_after_334_days() -> None:
    assert PACE.ends == BEGAN + timedelta(seconds=334 * 0.25)
    assert PACE.date(PACE.ends + timedelta(seconds=1)) > YEAR_ENDS


@given(st.datetimes(datetime(2013, 1, 1), datetime(2013, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_date_and_its_real_instant_lead_to_each_other(instant: datetime) -> None:
    assert abs(PACE.date(PACE.real(instant)) - instant) < timedelta(seconds=1)  # a microsecond is 0.3 s of 2013


@pytest.mark.parametrize(
    ("written", "compressed"),
    [
        ("window: 14d", "window: 3.5s"),
        ("{every: 2w, look_every: 1d}", "{every: 3.5s, look_every: 0.25s}"),
        ("false_alarms: 1 per 8d", "false_alarms: 1 per 2s"),
        ("budget: {time: 60s}, delay: 5m, cooldown: 6h", "budget: {time: 60s}, delay: 5m, cooldown: 6h"),
        ("rows: 45000  # in 40d or so", "rows: 45000  # in 40d or so"),
        ("name: top10dogs_7days", "name: top10dogs_7days"),
    ],
)
def test_only_days_and_weeks_are_compressed(written: str, compressed: str) -> None:
    assert compress(written, 0.25) == compressed


def test_the_configuration_holds_in_days_and_compressed(tmp_path: Path) -> None:
    in_days = load(data_file("retraind.yaml"), {})
    place = Place.make(tmp_path / "demo")
    played = load(place.configuration, {})
    for name, trigger in in_days.models[MODEL].triggers.items():
        for field in ("window", "look_every"):
            length = getattr(trigger, field, None)
            if length is not None:
                assert getattr(played.models[MODEL].triggers[name], field) == length * SECONDS_PER_DAY / 86_400
    assert played.models[MODEL].training.budget.time == timedelta(seconds=60)
    assert played.models[MODEL].predictions.columns.feature_names == FEATURES
    assert played.audit.path == place.audit
    assert played.mlflow_url == f"sqlite:///{place.mlflow}"
    assert played.models[MODEL].predictions.url == f"sqlite:///{place.store}"


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigurationError, match="is not empty; name a new folder"):
        Place.make(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
