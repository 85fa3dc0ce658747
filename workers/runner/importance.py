"""How much a model's predictions lean on each feature: permutation importance on held-out rows.

Breiman (2001), "Random forests", section 10; as model reliance in Fisher, Rudin and Dominici (2019), "All
models are wrong, but many are useful". A feature's values are shuffled between rows and the model is
asked again: what its loss grows by is the feature's importance. Any model that answers rows has one,
whatever trained it. The loss is the squared error of the probability (Brier's) where the model gives
one, else whether the class is wrong; for numbers the squared error.

Many shuffled copies go into one call, since a call may start a process; no call has more rows than the
holdout, or 10,000. Rounds are repeated until there are 5 of them or the time is over; without one whole
round it is not known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .boundary import Refusal
from .outputs import Output

REPEATS = 5
_ROWS = 5_000  # held-out rows that are shuffled
_ROWS_A_CALL = 10_000
_ROWS_A_ROUND = 2_000_000
_FEWEST_ROWS = 30

Ask = Callable[[pd.DataFrame], Output]


@dataclass(frozen=True)
class Losses:
    """The loss of each row, given a model's answer for it."""

    name: str
    actual: np.ndarray

    @classmethod
    def of(cls, actual: pd.Series, output: Output, task: str) -> Losses:
        """The loss that the kind of answer has."""
        if task == "regression":
            return cls("squared error", actual.to_numpy(dtype=float))
        if output.score is None:
            return cls("share of wrong classes", _labels(actual))
        return cls("Brier score", (_labels(actual) == _label(output.positive)).astype(float))

    def __call__(self, output: Output, copies: int = 1) -> np.ndarray:
        """Shape (copies, rows)."""
        actual = np.tile(self.actual, copies)
        if self.name == "share of wrong classes":
            losses = (_labels(output.prediction) != actual).astype(float)
        else:
            told = output.score if self.name == "Brier score" else output.prediction
            losses = np.square(np.asarray(told, dtype=float) - actual)
        reshaped: np.ndarray = losses.reshape(copies, -1)
        return reshaped


def measure(ask: Ask, rows: pd.DataFrame, actual: pd.Series, task: str, seconds: float) -> dict[str, Any]:
    """The importance of every column of `rows`, on at most 5,000 of them: `loss` (its name), `rows`, `repeats` and
    `features`, name to {`increase` of the loss, `error`: its standard error}.

    Raises Refusal where it cannot be known, and what the model raises.
    """
    deadline = time.monotonic() + seconds
    a_call = max(len(rows), _ROWS_A_CALL)
    kept = _kept(actual, rows.shape[1])
    rows, actual = rows.iloc[kept].reset_index(drop=True), actual.iloc[kept]
    begun = time.monotonic()
    output = ask(rows)
    taken = max(time.monotonic() - begun, 1e-6)
    losses = Losses.of(actual, output, task)
    together = max(int(min(a_call / len(rows), seconds / taken)), 1)
    rounds = list(_rounds(ask, rows, losses, losses(output)[0], together, deadline))
    if not rounds:
        raise Refusal(f"to shuffle every feature once takes longer than {seconds:g} s.")
    parts = np.stack(rounds).mean(axis=0)  # shape (features, rows)
    if not np.isfinite(parts).all():
        raise Refusal("the model's loss is no finite number on every row.")
    increase, error = parts.mean(axis=1) / 2, parts.std(axis=1, ddof=1) / np.sqrt(len(rows))
    return {
        "loss": losses.name,
        "rows": len(rows),
        "repeats": len(rounds),
        "features": {
            str(name): {"increase": float(value), "error": float(unsure)}
            for name, value, unsure in zip(rows.columns, increase, error, strict=True)
        },
    }


def _kept(actual: pd.Series, features: int) -> np.ndarray:
    """The places of the rows to shuffle: evenly over those that have an actual."""
    known, room = np.flatnonzero(actual.notna()), min(_ROWS, _ROWS_A_ROUND // max(features, 1))
    kept = known[:: max(-(-known.size // max(room, 1)), 1)]
    if kept.size < _FEWEST_ROWS:
        raise Refusal(f"{kept.size} held-out rows are too few to shuffle {features:,} features in.")
    return kept


def _rounds(
    ask: Ask, rows: pd.DataFrame, losses: Losses, usual: np.ndarray, together: int, deadline: float
) -> Iterator[np.ndarray]:
    """What each row's loss grows by when a feature is shuffled and what its value makes another row's grow by, shape
    (features, rows), of each round there is time for; `together` features go into one call.

    A row is in the mean twice over, so that it varies from sample to sample as the sums of both do.
    """
    random = np.random.default_rng(0)
    begun = time.monotonic()
    for number in range(REPEATS):
        if number and time.monotonic() + (time.monotonic() - begun) / number > deadline:
            return
        found = []
        for start in range(0, rows.shape[1], together):
            if time.monotonic() > deadline:
                return
            names = rows.columns[start : start + together]
            orders = [random.permutation(len(rows)) for _ in names]
            copies = [_shuffled(rows, *each) for each in zip(names, orders, strict=True)]
            grown = losses(ask(pd.concat(copies, ignore_index=True)), len(names)) - usual
            found.append(grown + [each[np.argsort(order)] for each, order in zip(grown, orders, strict=True)])
        yield np.concatenate(found)


def _shuffled(rows: pd.DataFrame, name: str, order: np.ndarray) -> pd.DataFrame:
    """The rows with the values of one column in another order."""
    return rows.assign(**{name: rows[name].iloc[order].array})


def _labels(values: Sequence[Any] | pd.Series | np.ndarray) -> np.ndarray:
    """Classes as text, True, 1 and 1.0 alike."""
    series = pd.Series(values)
    told: Mapping[Any, str] = {value: _label(value) for value in series.unique()}
    return series.map(told).to_numpy(dtype=object)


def _label(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (bool, float)) and float(value).is_integer():
        value = int(value)
    return str(value)
