"""The metrics a model is judged by: what each is, what it needs, and its value.

Called by the configuration (names), the performance trigger (live predictions), the predictions
store (which sums a `Tally` holds) and the gates (challenger and champion on the same rows). One
definition serves all of them. Values agree with scikit-learn's functions of the same names, except
where a docstring says otherwise. numpy is imported where it is used: reading a configuration needs
only the names.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Metric:
    """One metric. `needs` says what it is computed from: `classes` (prediction and actual are labels), `scores`
    (the positive class's probability, and the actual label) or `errors` (prediction and actual are numbers)."""

    name: str
    task: Literal["classification", "regression"]
    needs: Literal["classes", "scores", "errors"]
    sentence: str
    higher_is_better: bool
    lowest: float = 0
    highest: float = 1


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            "classification",
            "classes",
            "The share of predictions that came true.",
            higher_is_better=True,
        ),
        Metric(
            "precision",
            "classification",
            "classes",
            "The share of predicted positives that came true.",
            higher_is_better=True,
        ),
        Metric(
            "recall",
            "classification",
            "classes",
            "The share of actual positives that were predicted.",
            higher_is_better=True,
        ),
        Metric(
            "f1",
            "classification",
            "classes",
            "The harmonic mean of precision and recall.",
            higher_is_better=True,
        ),
        Metric(
            "roc_auc",
            "classification",
            "scores",
            "How often a positive is scored above a negative.",
            higher_is_better=True,
        ),
        Metric(
            "log_loss",
            "classification",
            "scores",
            "The mean negative log-likelihood, in nats.",
            higher_is_better=False,
            highest=inf,
        ),
        Metric(
            "brier",
            "classification",
            "scores",
            "The mean squared error of the probability.",
            higher_is_better=False,
        ),
        Metric("mae", "regression", "errors", "The mean absolute error.", higher_is_better=False, highest=inf),
        Metric(
            "rmse",
            "regression",
            "errors",
            "The root of the mean squared error.",
            higher_is_better=False,
            highest=inf,
        ),
        Metric(
            "mape",
            "regression",
            "errors",
            "The mean absolute error relative to the actual; 0.1 is 10 %.",
            higher_is_better=False,
            highest=inf,
        ),
        Metric(
            "r2",
            "regression",
            "errors",
            "The share of the actual's variance that is explained.",
            higher_is_better=True,
            lowest=-inf,
        ),
    )
}


def class_label(value: object) -> str:
    """The one text for a class, however a store or a model writes it: True, 1 and 1.0 are all `1`."""
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):
        value = value.item()  # a numpy scalar
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def positive_label(labels: Iterable[str], positive: object = None) -> str | None:
    """The positive class among `labels`: `positive` if given, else `1` or `true`, else the larger of two.

    Numbers are compared as numbers. None: nothing says which (a single strange label), or there are
    more than two classes.
    """
    if positive is not None:
        return class_label(positive)
    seen = set(labels)
    if len(seen) > 2:
        return None
    for truth, falsehood in (("1", "0"), ("true", "false"), ("True", "False")):
        if truth in seen or (seen and seen <= {falsehood}):
            return truth
    return max(seen, key=_label_order) if len(seen) == 2 else None


def _label_order(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return inf, label


@dataclass(frozen=True)
class ErrorSums:
    """Sums over rows, each with error `e = prediction - actual` and actual `a`. They add up over batches."""

    count: int = 0
    absolute: float = 0.0  # sum of |e|
    squared: float = 0.0  # sum of e^2
    fourth: float = 0.0  # sum of e^4
    nonzero: int = 0  # rows with a != 0: only they have a relative error
    relative: float = 0.0  # sum of |e / a| over those
    relative_squared: float = 0.0  # sum of (e / a)^2 over those
    actual: float = 0.0  # sum of a
    actual_squared: float = 0.0  # sum of a^2


@dataclass(frozen=True)
class Tally:
    """What a `TallyRequest` is answered with: class counts or error sums of labelled rows.

    `classes` maps (prediction, actual), both as `class_label` writes them, to the number of rows.
    """

    classes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    errors: ErrorSums = ErrorSums()

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[object, object, int]]) -> "Tally":
        """From (prediction, actual, rows) as a store groups them; classes written in several ways are joined, and
        rows where either is None are left out."""
        counts: Counter[tuple[str, str]] = Counter()
        for prediction, actual, rows in pairs:
            if prediction is not None and actual is not None:
                counts[class_label(prediction), class_label(actual)] += rows
        return cls(classes=dict(counts))

    @property
    def rows(self) -> int:
        return sum(self.classes.values()) or self.errors.count

    @property
    def labels(self) -> set[str]:
        """Every class that was predicted or came true."""
        return {label for pair in self.classes for label in pair}


def join(tallies: Iterable[Tally]) -> Tally:
    """The tally of all their rows."""
    classes: Counter[tuple[str, str]] = Counter()
    errors = ErrorSums()
    for tally in tallies:
        classes.update(tally.classes)
        sums = ((getattr(each, name) for each in (errors, tally.errors)) for name in ErrorSums.__dataclass_fields__)
        errors = ErrorSums(*map(sum, sums))
    return Tally(dict(classes), errors)


@dataclass(frozen=True)
class ClassCounts:
    """One class against the rest."""

    hits: int  # predicted and actual
    predicted: int
    actual: int


def class_counts(tally: Tally) -> dict[str, ClassCounts]:
    """Hits, predictions and actuals of every label, in the labels' order."""
    predicted: Counter[str] = Counter()
    actual: Counter[str] = Counter()
    for (prediction, truth), rows in tally.classes.items():
        predicted[prediction] += rows
        actual[truth] += rows
    return {
        label: ClassCounts(tally.classes.get((label, label), 0), predicted[label], actual[label])
        for label in sorted(tally.labels, key=_label_order)
    }


def is_macro(tally: Tally, positive: object = None) -> bool:
    """Whether precision, recall and F1 average over classes: more than two of them and none named as positive."""
    return positive is None and len(tally.labels) > 2


def tally_value(name: str, tally: Tally, positive: object = None) -> float | None:
    """The metric `name` from a tally; None where it is undefined (no rows, nothing predicted positive, ...).

    With two classes precision, recall and F1 are the positive class's; with more, the plain (macro)
    average over classes, where a class never predicted has precision 0. MAPE leaves out rows whose
    actual is zero. Raises ValueError for a metric that needs scores.
    """
    if METRICS[name].needs == "scores":
        raise ValueError(f"{name} needs scores, and a tally has none")
    if tally.rows == 0:
        return None
    return _error_value(name, tally.errors) if METRICS[name].needs == "errors" else _class_value(name, tally, positive)


def _class_value(name: str, tally: Tally, positive: object) -> float | None:
    counts = class_counts(tally)
    if name == "accuracy":
        return sum(each.hits for each in counts.values()) / tally.rows
    if is_macro(tally, positive):
        return sum(_class_share(name, each) or 0.0 for each in counts.values()) / len(counts)
    label = positive_label(counts, positive)
    return None if label is None else _class_share(name, counts.get(label, ClassCounts(0, 0, 0)))


def _class_share(name: str, counts: ClassCounts) -> float | None:
    denominator = {
        "precision": counts.predicted,
        "recall": counts.actual,
        "f1": (counts.predicted + counts.actual) / 2,
    }[name]
    return counts.hits / denominator if denominator else None


def _error_value(name: str, sums: ErrorSums) -> float | None:
    if name == "mae":
        return sums.absolute / sums.count
    if name == "rmse":
        return sqrt(sums.squared / sums.count)
    if name == "mape":
        return sums.relative / sums.nonzero if sums.nonzero else None
    spread = sums.actual_squared - sums.actual * sums.actual / sums.count
    return 1 - sums.squared / spread if spread > 1e-12 * sums.actual_squared else None


def metric_value(
    name: str,
    actual: "ArrayLike",
    prediction: "ArrayLike | None" = None,
    score: "ArrayLike | None" = None,
    positive: object = None,
) -> float | None:
    """The metric `name` from arrays of equal length without missing values; None where it is undefined.

    `prediction` holds labels or numbers; `score` the positive class's probabilities, needed by
    roc_auc, log_loss and brier, which know two classes only. Conventions as in `tally_value`.
    Raises ValueError for an input that is not given, is of another length, or has too many classes.
    """
    import numpy as np

    metric = METRICS[name]
    given = score if metric.needs == "scores" else prediction
    if given is None:
        raise ValueError(f"{name} needs {'scores' if metric.needs == 'scores' else 'predictions'}")
    truth, other = np.asarray(actual), np.asarray(given)
    if truth.shape != other.shape or truth.ndim != 1:
        raise ValueError(f"{name} compares columns of one length, not shapes {other.shape} and {truth.shape}")
    if truth.size == 0:
        return None
    if metric.needs == "classes":
        return tally_value(name, tally_of_labels(other, truth), positive)
    if metric.needs == "errors":
        return _error_metric(name, truth.astype(float), other.astype(float))
    hits = positives(name, truth, positive)
    return None if hits is None else _score_metric(name, hits, other.astype(float))


def tally_of_labels(prediction: "NDArray[Any]", actual: "NDArray[Any]") -> Tally:
    """The class counts of two columns of labels."""
    pairs = Counter(zip(prediction.tolist(), actual.tolist(), strict=True))
    return Tally.of_pairs((label, truth, rows) for (label, truth), rows in pairs.items())


def positives(name: str, actual: "NDArray[Any]", positive: object) -> "NDArray[np.bool_] | None":
    """Which actuals are the positive class. None: nothing says which class that is.

    Raises ValueError for more than two classes.
    """
    import numpy as np

    label_of = {value: class_label(value) for value in set(actual.tolist())}
    labels = set(label_of.values())
    if len(labels) > 2:
        raise ValueError(f"{name} compares two classes, and the actuals hold {len(labels)}")
    label = positive_label(labels, positive)
    return None if label is None else np.array([label_of[value] == label for value in actual.tolist()], dtype=bool)


def _error_metric(name: str, actual: "NDArray[np.float64]", prediction: "NDArray[np.float64]") -> float | None:
    import numpy as np

    error = prediction - actual
    if name == "mae":
        return float(np.abs(error).mean())
    if name == "rmse":
        return float(np.sqrt(np.square(error).mean()))
    if name == "mape":
        told = actual != 0
        return float(np.abs(error[told] / actual[told]).mean()) if told.any() else None
    spread = float(np.square(actual - actual.mean()).sum())
    return 1 - float(np.square(error).sum()) / spread if spread > 0 else None


def _score_metric(name: str, hits: "NDArray[np.bool_]", score: "NDArray[np.float64]") -> float | None:
    import numpy as np

    if name == "brier":
        return float(np.square(score - hits).mean())
    if name == "log_loss":
        return float(log_losses(hits, score).mean())
    above, below = placements(hits, score)
    return float(above.mean()) if above.size and below.size else None


def log_losses(hits: "NDArray[np.bool_]", score: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Each row's log loss, in nats; a probability of 0 or 1 counts as the nearest one a float can tell from it."""
    import numpy as np

    tiny = float(np.finfo(np.float64).eps)
    chance = np.clip(score, tiny, 1 - tiny)
    losses: NDArray[np.float64] = -np.where(hits, np.log(chance), np.log1p(-chance))
    return losses


def placements(
    hits: "NDArray[np.bool_]", score: "NDArray[np.float64]"
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """For each positive the share of negatives that it outranks, and for each negative the share of positives that
    outrank it; a tie counts half. Their common mean is the ROC AUC (DeLong, DeLong and Clarke-Pearson 1988)."""
    import numpy as np

    high, low = np.sort(score[hits]), np.sort(score[~hits])
    above = (np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")) / (2 * max(low.size, 1))
    below = 1 - (np.searchsorted(high, low, "left") + np.searchsorted(high, low, "right")) / (2 * max(high.size, 1))
    return above, below
