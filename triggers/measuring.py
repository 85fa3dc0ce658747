"""A metric of labelled rows with its interval, from sums or from the rows, whichever it takes.

Called by the triggers that judge realised performance.
"""

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from triggers.metrics import METRICS, Tally
from triggers.wording import listing

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.confidence import Estimate

# The database can sum these up; the others need each row (r2: its interval, not its value).
SUMMED = frozenset({"accuracy", "precision", "recall", "f1", "mae", "rmse", "mape"})


def judged_by(metric: str) -> str:
    """The column that rows are judged by, where sums do not do."""
    return "score" if METRICS[metric].needs == "scores" else "prediction"


@dataclass(frozen=True)
class How:
    """Which metric, with which interval, and from how many rows at least. `positive` names the positive class."""

    metric: str
    confidence: float
    positive: object = None
    fewest: int = 1

    def measure(self, found: "Tally | pa.Table", weights: Any) -> "Estimate | None":
        """None where the metric is undefined, or too few rows have what it takes. `weights` as in `triggers.arrival`.

        Raises ValueError for rows that make no sense, saying what is wrong about them.
        """
        estimate = self._estimate(found, weights)
        if estimate is not None and not isfinite(estimate.value):
            raise ValueError("a prediction or an actual is infinite, or too large to be summed up")
        return estimate

    def _estimate(self, found: "Tally | pa.Table", weights: Any) -> "Estimate | None":
        from triggers.confidence import estimate_from_rows, estimate_from_tally

        if isinstance(found, Tally):
            _refuse_strangers(found)
            return estimate_from_tally(self.metric, found, self.confidence, self.positive, weights)
        from triggers.columns import labels_and_numbers

        classes = METRICS[self.metric].needs == "scores"
        actual, other = labels_and_numbers(found, judged_by(self.metric), classes=classes)
        if actual.size < self.fewest:
            return None
        if classes and self.metric != "roc_auc" and not ((other >= 0) & (other <= 1)).all():
            raise ValueError(f"the scores reach from {other.min():g} to {other.max():g}, and a probability is 0 to 1")
        return estimate_from_rows(self.metric, actual, other, self.confidence, self.positive, weights)


def _refuse_strangers(tally: Tally) -> None:
    """Raises ValueError where predictions and actuals are not of one kind: a probability is no class."""
    predicted = {prediction for prediction, _ in tally.classes}
    actual = {truth for _, truth in tally.classes}
    if len(predicted | actual) > 2 and not predicted & actual:
        told = f"predicted are {listing(sorted(predicted))}, and actual are {listing(sorted(actual))}"
        raise ValueError(
            f"no prediction is ever one of the actual classes: {told}; map both to columns of the same classes"
        )
