"""What `examples/flights/README.md` says of its data is so."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from daemon.demo.flights import FEATURES, WEATHER, Flights, data_file, load
from daemon.demo.pace import YEAR_BEGINS, YEAR_ENDS

KNOWN_LATER = {"arrival", "late"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pq.read_table(data_file("flights.parquet")).to_pandas()


@pytest.fixture(scope="module")
def flights() -> Flights:
    return load()


def test_all_flights_of_the_year_fit_into_four_megabytes(table: pd.DataFrame) -> None:
    assert len(table) == 336_776
    assert data_file("flights.parquet").stat().st_size <= 4_000_000


def test_the_columns_are_those_that_the_readme_lists(table: pd.DataFrame) -> None:
    readme = data_file("README.md").read_text()
    assert set(table.columns) == {"departure", *FEATURES, *KNOWN_LATER}
    assert all(f"`{name}`" in readme for name in table.columns)


def test_flights_depart_within_the_year_and_in_order(table: pd.DataFrame) -> None:
    assert table["departure"].is_monotonic_increasing
    assert table["departure"].iloc[0] >= pd.Timestamp(YEAR_BEGINS)
    assert table["departure"].iloc[-1] < pd.Timestamp(YEAR_ENDS)


def test_nothing_known_later_is_a_feature() -> None:
    assert not KNOWN_LATER & set(FEATURES)
    assert not [name for name in FEATURES if "delay" in name or "arr" in name.replace("carrier", "")]


def test_the_weather_is_that_of_the_hour_before(table: pd.DataFrame) -> None:
    """At Newark the station read 39.92 °F and 62.21 % at 4, 39.02 °F and 64.43 % at 5 o'clock on New Year's Day."""
    newark = table[(table["origin"] == "EWR") & (table["departure"] < "2013-01-01T11:00Z")]  # scheduled from 5 to 6
    assert len(newark) > 0
    assert set(newark["temp"]) == {40.0}
    assert set(newark["humid"]) == {62.0}


def test_the_weather_is_the_airports_and_not_the_flights(table: pd.DataFrame) -> None:
    hours = table.groupby([table["origin"], table["departure"].dt.floor("h")], observed=True)
    assert (hours[list(WEATHER)].nunique() <= 1).all().all()


def test_late_is_more_than_15_minutes_after_the_schedule(table: pd.DataFrame) -> None:
    arrived = table[table["arrival"].notna()]
    minutes = (arrived["arrival"] - arrived["departure"]).dt.total_seconds() / 60 - arrived["duration"]
    assert ((minutes > 15) == (arrived["late"] == 1)).all()
    assert 0.23 < arrived["late"].mean() < 0.24


def test_flights_that_never_arrived_stay_without_an_answer(table: pd.DataFrame) -> None:
    lost = table["arrival"].isna()
    assert lost.sum() == 9_430
    assert table.loc[lost, "late"].isna().all()
    assert table.loc[~lost, "late"].notna().all()


def test_no_flight_arrives_before_it_is_due_to_depart(flights: Flights) -> None:
    arrived = ~np.isnat(flights.arrival)
    assert (flights.arrival[arrived] > flights.departure[arrived]).all()


def test_weather_is_read_to_the_decimals_it_was_written_with(flights: Flights) -> None:
    assert 0.01 in set(flights.features["precip"])  # and not 0.009999999776
    assert flights.features["wind_gust"].isna().any()
