"""A classifier's performance on rows without labels, expected from calibrated scores.

Each unlabelled row counts as a positive with its probability and as a negative with the rest
(confidence-based performance estimation; Bialek et al. 2024, "Estimating model performance under
covariate shift without labels"). That holds as long as a score goes on standing for the same
probability: a change of the features does no harm, a change of what they mean cannot be seen.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triggers.confidence import Estimate, bounded, deviations
from triggers.metrics import METRICS, log_losses
from triggers.ranking import rank

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triggers.calibration import Calibration

    Floats = NDArray[np.float64]

_CELLS = 500  # of scores, in which the calibration's draws are weighed; the value itself is taken row by row


@dataclass(frozen=True)
class Scored:
    """Rows of a classifier: scores, and whether the positive class was predicted (None: not asked for)."""

    score: "Floats"
    predicted: "NDArray[np.bool_] | None" = None


def expect(
    name: str, rows: Scored, calibration: "Calibration", confidence: float, *, those_rows: bool = False
) -> Estimate | None:
    """The metric `name` expected on `rows`, with its two-sided interval; None where it is undefined.

    The interval holds the metric of all rows that these are a sample of, and also the figure that
    these very rows turn out to have: it allows for which rows came, for how each turns out, and for
    the calibration. With `those_rows` it allows for the last two alone, and so holds what these rows
    turn out to have as often as it says and no more.
    """
    import numpy as np

    chance = calibration.chance(rows.score)
    expected = _expected(name, rows, chance)
    if expected is None:
        return None
    value, if_positive, if_negative = expected
    if those_rows:
        spread = chance * (1 - chance) * np.square(if_positive - if_negative)
    else:
        spread = chance * np.square(if_positive) + (1 - chance) * np.square(if_negative)
    variance = float(spread.mean()) / rows.score.size + _variance_of_calibration(name, rows, calibration)
    return bounded(value, variance**0.5 * deviations(confidence), METRICS[name])


def _expected(name: str, rows: Scored, chance: "Floats") -> "tuple[float, Floats, Floats] | None":
    """The value, and the influence of each row on it should it turn out positive, or negative."""
    import numpy as np

    if name == "roc_auc":
        return rank(rows.score, chance, 1 - chance, with_itself=float((chance * (1 - chance)).sum()))
    if name in {"log_loss", "brier"}:
        losses = [_losses(name, rows.score, np.full(rows.score.size, truth)) for truth in (True, False)]
        value = float((chance * losses[0] + (1 - chance) * losses[1]).mean())
        return value, losses[0] - value, losses[1] - value
    assert rows.predicted is not None  # noqa: S101 the metrics of classes are asked for with them
    said = rows.predicted.astype(float)
    if name == "accuracy":
        value = float((chance * said + (1 - chance) * (1 - said)).mean())
        return value, said - value, 1 - said - value
    # A share of hits among what was predicted (precision), what turned out (recall), or half of both (F1).
    of_said, of_true = {"precision": (1.0, 0.0), "recall": (0.0, 1.0), "f1": (0.5, 0.5)}[name]
    base = of_said * float(said.mean()) + of_true * float(chance.mean())
    if base <= 0:
        return None
    value = float((chance * said).mean()) / base
    return value, (said - value * (of_said * said + of_true)) / base, -value * of_said * said / base


def _losses(name: str, score: "Floats", truth: "NDArray[np.bool_]") -> "Floats":
    import numpy as np

    return log_losses(truth, score) if name == "log_loss" else np.square(score - truth)


def _variance_of_calibration(name: str, rows: Scored, calibration: "Calibration") -> float:
    """Of the value, over the calibrations that might have been learned; rows are joined in cells of near scores."""
    import numpy as np

    edges = np.unique(np.quantile(rows.score, np.linspace(0, 1, _CELLS + 1)[1:-1]))
    cell = np.searchsorted(edges, rows.score, "left")
    said = np.zeros(rows.score.size) if rows.predicted is None else rows.predicted.astype(float)
    count = np.bincount(cell, minlength=edges.size + 1).astype(float)
    there = count > 0

    def summed(weights: "Floats") -> "Floats":
        return np.asarray(np.bincount(cell, weights, edges.size + 1), dtype=np.float64)[there]

    curves = calibration.draws(summed(rows.score) / count[there])
    count, saying = count[there], summed(said)
    if name == "roc_auc":
        values = _roc_auc_of_cells(curves * count, (1 - curves) * count)
    elif name in {"log_loss", "brier"}:
        losses = [summed(_losses(name, rows.score, np.full(rows.score.size, truth))) for truth in (True, False)]
        values = (curves @ losses[0] + (1 - curves) @ losses[1]) / rows.score.size
    elif name == "accuracy":
        values = (curves @ saying + (1 - curves) @ (count - saying)) / rows.score.size
    else:
        base = {"precision": saying.sum(), "recall": curves @ count, "f1": (saying.sum() + curves @ count) / 2}[name]
        values = curves @ saying / base
    return float(np.var(values))


def _roc_auc_of_cells(positive: "Floats", negative: "Floats") -> "Floats":
    import numpy as np

    below: Floats = np.cumsum(negative, axis=1) - negative / 2
    values: Floats = (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))
    return values
