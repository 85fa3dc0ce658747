"""The flights of 2013 as the demo uses them: from the checkout's `examples/flights`, or from the installed package."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retraind.errors import RetraindError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

CATEGORIES = ("carrier", "origin", "dest")
SCHEDULE = ("distance", "weekday", "minute_of_day", "duration")
WEATHER = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
FEATURES = (*CATEGORIES, *SCHEDULE, *WEATHER)  # all of them known before departure
_DECIMALS = 2  # the weather has no more, but stands in single precision
_PLACES = (Path(__file__).parent / "data", Path(__file__).parents[2] / "examples" / "flights")


@dataclass(frozen=True)
class Flights:
    """Rows in the order of their departure. Instants are UTC, as numpy has them, in microseconds."""

    features: "pd.DataFrame"
    departure: "NDArray[np.datetime64]"
    arrival: "NDArray[np.datetime64]"  # NaT: never arrived
    late: "NDArray[np.float64]"  # 1: more than 15 minutes late, 0: not, NaN: never arrived

    def __len__(self) -> int:
        return len(self.features)

    def between(self, start: int, stop: int) -> "pd.DataFrame":
        """The features of the rows from `start` up to, not including, `stop`."""
        return self.features.iloc[start:stop]

    def departed_by(self, instant: "np.datetime64") -> int:
        """How many flights were due to depart before `instant`."""
        return int(self.departure.searchsorted(instant))


def data_file(name: str) -> Path:
    """Where the file lies. Raises RetraindError when it was not shipped."""
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    raise RetraindError(
        f"the demo's file {name} is neither in {_PLACES[0]} nor in {_PLACES[1]}; "
        "install retraind from its wheel, or run the demo in a checkout"
    )


def load() -> Flights:
    """Raises RetraindError when the data was not shipped."""
    import pyarrow.parquet as pq

    table = pq.read_table(data_file("flights.parquet"))
    features = table.select(list(FEATURES)).to_pandas()
    for name in CATEGORIES:
        features[name] = features[name].astype(object)
    features[list(WEATHER)] = features[list(WEATHER)].astype("float64").round(_DECIMALS)
    return Flights(features, _instants(table["departure"]), _instants(table["arrival"]), table["late"].to_numpy())


def _instants(column: Any) -> "NDArray[np.datetime64]":
    instants: NDArray[np.datetime64] = column.to_numpy().astype("datetime64[us]")
    return instants
