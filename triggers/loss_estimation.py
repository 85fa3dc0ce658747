"""A regressor's error on rows without actuals, from a light model of its error.

Direct loss estimation: gradient boosting learns the loss of a row (its absolute, squared or relative
error) from its features and prediction, on rows with actuals, and tells it for rows without. Each
labelled row is also judged by a model that has not seen it, so that what the models miss on average
is known and taken off (the residuals of cross-fitting; Chernozhukov et al. 2018), and how the
estimate varies from model to model gives the learning's share of the interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triggers.confidence import Estimate, bounded, deviations
from triggers.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FOLDS = 5
_TREES = 60
_LEAVES = 15
_ROWS_A_LEAF = 40


@dataclass(frozen=True)
class Regressed:
    """Rows of a regressor: features and the prediction beside them (NaN where missing), shape (rows, columns), which of
    the columns are codes of categories, and the errors, prediction - actual, with the actuals; None: not known."""

    inputs: "Floats"
    categorical: tuple[bool, ...]
    errors: "Floats | None" = None
    actuals: "Floats | None" = None

    @property
    def size(self) -> int:
        return int(self.inputs.shape[0])

    def taken(self, rows: "NDArray[Any] | slice") -> "Regressed":
        errors, actuals = (None if column is None else column[rows] for column in (self.errors, self.actuals))
        return Regressed(self.inputs[rows], self.categorical, errors, actuals)


@dataclass(frozen=True)
class LossModel:
    """What was learned of the loss that `name` is a mean of."""

    name: str
    models: Sequence[Any]  # one for each fold left out
    residuals: "Floats"  # of each labelled row: its loss, less what the model that has not seen it told
    folds: "NDArray[np.int_]"

    @classmethod
    def learn(cls, name: str, rows: Regressed) -> "LossModel":
        """Learns from labelled rows in the order of time, each fold being a time of its own.

        Raises ValueError for fewer than ten rows with a loss (MAPE has none where the actual is zero).
        """
        import numpy as np
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        losses, told = _losses(name, rows)
        if losses.size < 2 * _FOLDS:
            raise ValueError(f"only {losses.size} labelled rows have an error to learn from, and it takes ten")
        inputs, folds = rows.inputs[told], np.arange(losses.size) * _FOLDS // losses.size
        models, residuals = [], np.empty(losses.size)
        for fold in range(_FOLDS):
            left_out = folds == fold
            model = HistGradientBoostingRegressor(
                max_iter=_TREES,
                max_leaf_nodes=_LEAVES,
                min_samples_leaf=_ROWS_A_LEAF,
                categorical_features=list(rows.categorical) if any(rows.categorical) else None,
                early_stopping=False,
                random_state=0,
            )
            # On a busy machine threads that wait for each other take many times as long as one alone.
            with threadpool_limits(1):
                model.fit(inputs[~left_out], losses[~left_out])
                residuals[left_out] = losses[left_out] - model.predict(inputs[left_out])
            models.append(model)
        return cls(name, models, residuals, folds)

    def estimate(self, rows: Regressed, confidence: float) -> Estimate:
        """The metric on `rows`, with its two-sided interval.

        The interval allows for which rows came, for how each turns out, and for what was learned. Of
        MAPE, rows whose actual turns out zero are part of the estimate, since nobody knows them yet.
        """
        import numpy as np
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            told = np.stack([model.predict(rows.inputs) for model in self.models])
        corrections = [float(self.residuals[self.folds != fold].mean()) for fold in range(_FOLDS)]
        leaving_out = told.mean(axis=1) + corrections
        value = max(float(told.mean() + self.residuals.mean()), 0.0)
        # A delete-a-group jackknife over the folds, and the noise of the residuals' mean.
        learning = (_FOLDS - 1) / _FOLDS * float(np.square(leaving_out - leaving_out.mean()).sum())
        noise = float(self.residuals.var(ddof=1))
        rows_themselves = (float(told.mean(axis=0).var()) + noise) / rows.size
        half = deviations(confidence) * (max(learning, noise / self.residuals.size) + rows_themselves) ** 0.5
        if self.name != "rmse":
            return bounded(value, half, METRICS[self.name])
        ends = (value, max(value - half, 0.0), value + half)
        return Estimate(*(end**0.5 for end in ends))


def _losses(name: str, rows: Regressed) -> "tuple[Floats, NDArray[np.bool_]]":
    """The losses that the metric is a mean of (rmse: its square is), and the rows that have one."""
    import numpy as np

    assert rows.errors is not None  # noqa: S101 labelled rows have both
    assert rows.actuals is not None  # noqa: S101
    there = np.isfinite(rows.errors) & ((rows.actuals != 0) if name == "mape" else True)
    errors, actuals = rows.errors[there], rows.actuals[there]
    if name == "rmse":
        return np.square(errors), there
    return np.abs(errors / actuals) if name == "mape" else np.abs(errors), there
