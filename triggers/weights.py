"""How much each column counts in a look: a column that the model does not use is no reason to retrain.

Called by the drift trigger. Weights have a mean of 1 over the columns that count, and the tests of a column get
their part of the look's level in proportion to its weight (Genovese, Roeder and Wasserman 2006, "False
discovery control with p-value weighting"), so that the parts still add up to the level whatever the
weights. They must not come from the data that is tested: importance is known before the window is.

By importance, a column is left out whose shuffling adds less than a fiftieth of what the most important
one's adds to the model's loss, two standard errors included. A feature whose importance is not known
counts as the others do on average, as do predictions, which are what the model is for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from triggers.wording import listing

_UNUSED = 0.02


def _one_weighing(value: object) -> object:
    """Problems are told as such, not as one failed alternative of two."""
    if isinstance(value, Mapping):
        for name, weight in value.items():
            if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight < float("inf"):
                raise ValueError(f"{name}: {weight!r} is no weight; write a number from 0 (left out) on, as {name}: 2")
        return {str(name): float(weight) for name, weight in value.items()}
    if value not in {"importance", "equal"}:
        raise ValueError(f"{value!r} is no weighing; write importance, equal or {{COLUMN: NUMBER}}")
    return value


Weighing = Annotated[
    Literal["importance", "equal"] | Mapping[str, Annotated[float, Field(ge=0)]], BeforeValidator(_one_weighing)
]


@dataclass(frozen=True)
class Weights:
    """The columns' weights. `by` says where they come from, `lack` why it is not where they were to come from."""

    by: Literal["importance", "equal", "settings"]
    of: Mapping[str, float]  # mean 1 over those above 0; 0: left out
    lack: str | None = None
    unknown: Sequence[str] = field(default=())  # features whose importance is not known

    @property
    def left_out(self) -> list[str]:
        return [name for name, weight in self.of.items() if weight == 0]

    @property
    def told(self) -> str:
        """The end of a sentence on what was judged."""
        if self.by != "importance":
            return f", with equal weights ({self.lack})" if self.lack else ""
        some = f" (not known of {listing(self.unknown)})" if self.unknown else ""
        return f", weighted by importance{some}"

    def figures(self) -> dict[str, Any]:
        """JSON-able."""
        return {"by": self.by, "because": self.lack, "left_out": self.left_out}

    def passed_over(self, drifted: Sequence[str]) -> str:
        """A sentence on columns that drifted and do not count, as they are told; empty: there are none."""
        if not drifted:
            return ""
        which, it, its = ("column", "it", "its") if len(drifted) == 1 else ("columns", "them", "their")
        because = f"the model hardly uses {it}" if self.by == "importance" else f"{its} weight is 0"
        verb = "is" if len(drifted) == 1 else "are"
        return f" {len(drifted)} more {which} drifted and {verb} left out, since {because}: {listing(drifted)}."


def weigh(weighing: Any, columns: Sequence[str], importance: Mapping[str, float], prediction: str) -> Weights:
    """The weights of `columns`, one of which may be `prediction`. `importance` as `ModelFacts.importance`.

    Raises ValueError naming a column that has a weight and is none of them, or where all that are left have none.
    """
    if isinstance(weighing, Mapping):
        strangers = [name for name in weighing if name not in {*columns, prediction}]
        if strangers:
            raise ValueError(f"weights names {listing(strangers)}, and what is compared is {listing(columns, 8)}")
        return Weights("settings", _scaled({name: weighing.get(name, 1.0) for name in columns}, columns))
    if weighing == "equal":
        return Weights("equal", dict.fromkeys(columns, 1.0))
    return _by_importance(columns, importance, prediction)


def _by_importance(columns: Sequence[str], importance: Mapping[str, float], prediction: str) -> Weights:
    features = [name for name in columns if name != prediction]
    known = {name: importance[name] for name in features if name in importance}
    if not features:
        return Weights("equal", dict.fromkeys(columns, 1.0))
    if not known:
        return Weights("equal", dict.fromkeys(columns, 1.0), "importance is not known")
    most = max(importance.values())
    used = {name: value for name, value in known.items() if value > 0 and value >= _UNUSED * most}
    unknown = [name for name in features if name not in known]
    if not used and not unknown:
        return Weights("equal", dict.fromkeys(columns, 1.0), "the model uses none of the features")
    average = sum(used.values()) / len(used) if used else 1.0
    raw = {name: used.get(name, 0.0) if name in known else average for name in columns}
    return Weights("importance", _scaled(raw, columns), unknown=unknown)


def _scaled(weights: Mapping[str, float], columns: Iterable[str]) -> dict[str, float]:
    """In the order of `columns`, with a mean of 1 over those above 0. Raises ValueError where there are none."""
    total, number = sum(weights.values()), sum(weight > 0 for weight in weights.values())
    if not number:
        raise ValueError("no column that is compared has a weight above 0")
    return {name: weights[name] * number / total for name in columns}
