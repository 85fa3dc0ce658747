"""`training:`: the data a challenger is trained on, its trainer, its budget and its gates."""

from typing import Any, Literal

from pydantic import Field, model_validator

from retraind.config.section import Section
from triggers.metrics import METRICS
from triggers.quantities import Duration, Size


class FileSource(Section):
    """Training data in CSV or Parquet files instead of the predictions store."""

    csv: str | None = Field(default=None, description="A path or glob of CSV files.")
    parquet: str | None = Field(default=None, description="A path or glob of Parquet files.")
    timestamp: str | None = Field(default=None, description="The time column; without one the window is every row.")

    @model_validator(mode="after")
    def _names_one_kind(self) -> "FileSource":
        if (self.csv is None) == (self.parquet is None):
            raise ValueError("write exactly one of csv: PATH and parquet: PATH")
        return self


class SqlSource(Section):
    """Training data from a query of the user's own; read in a read-only session."""

    sql: str = Field(description="A SELECT; :start and :end are bound to the window's bounds if it names them.")
    url: str | None = Field(default=None, description="The database; by default that of the predictions store.")
    timestamp: str | None = Field(default=None, description="The time column of the result.")


class DataWindow(Section):
    """Which span of the data a training takes, counted back from the job's request."""

    rolling: Duration | None = Field(default=None, description="The newest so much.")
    expanding: bool = Field(default=False, description="Everything there is.")
    half_life: Duration | None = Field(
        default=None, description="Weighted: a row this much older than the newest counts half (passed as sample weight)."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "DataWindow":
        if (self.rolling is None) == (not self.expanding):
            raise ValueError("write rolling: DURATION or expanding: true, one of the two (half_life may stand beside either)")
        return self


class TrainingData(Section):
    source: Literal["predictions"] | FileSource | SqlSource = "predictions"
    window: DataWindow = DataWindow(expanding=True)
    target: str = Field(default="actual", description="The column to predict.")
    features: tuple[str, ...] | None = Field(
        default=None, description="The columns to predict it from; by default the store's features."
    )


class Checks(Section):
    """What the training data must be; a breach ends the job before training."""

    min_rows: int = Field(default=100, ge=1)
    max_null_share: float = Field(default=0.95, ge=0, le=1, description="The largest share of missing values in a feature.")
    target_rate: tuple[float, float] | None = Field(
        default=None, description="Bounds of the target's mean (of a class target: the positive class's share)."
    )
    types: dict[str, Literal["number", "category", "boolean", "time"]] = Field(
        default={}, description="The type each named column must have."
    )


class SklearnTrainer(Section):
    """A scikit-learn estimator; missing values and categories are prepared for it."""

    sklearn: str = Field(description="Its import path, as sklearn.ensemble.HistGradientBoostingClassifier.")
    params: dict[str, Any] = {}
    trusted_types: tuple[str, ...] = Field(default=(), description="Types beyond scikit-learn's own that the saved model may hold.")
    python: str | None = Field(default=None, description="The interpreter to train in; by default retraind's own.")


class FunctionTrainer(Section):
    """A Python function `train(data, target, **params)` that returns a fitted model with `predict`."""

    function: str = Field(description="module:function, or path/to/file.py:function.")
    params: dict[str, Any] = {}
    python: str | None = Field(default=None, description="The interpreter to train in; by default retraind's own.")


class CommandTrainer(Section):
    """Any command. It reads RETRAIND_DATA (Parquet) and leaves its model in RETRAIND_MODEL_DIR."""

    command: tuple[str, ...] = Field(min_length=1, description="Program and arguments; no shell.")
    predict: tuple[str, ...] | None = Field(
        default=None,
        description="A command that reads RETRAIND_DATA and RETRAIND_MODEL_DIR and writes RETRAIND_PREDICTIONS "
        "(Parquet, column prediction, optionally score); needed unless the model is an MLflow model.",
    )


class PluginTrainer(Section):
    """A trainer that another package brings (entry point group `retraind.trainers`)."""

    plugin: str
    params: dict[str, Any] = {}


Trainer = SklearnTrainer | FunctionTrainer | CommandTrainer | PluginTrainer


class Budget(Section):
    """What one training may take before its process group is killed."""

    time: Duration = Field(default="4h", validate_default=True)
    memory: Size | None = Field(default=None, description="Resident memory of the whole group; none: no bound.")


class Gate(Section):
    """A condition a challenger must meet: against a figure, or against the champion on the same rows."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: Literal["champion"] | None = None
    better_than: Literal["champion"] | None = None
    by: float = Field(default=0.0, ge=0, description="The margin for a comparison with the champion.")

    @model_validator(mode="after")
    def _is_one_condition(self) -> "Gate":
        if self.metric not in METRICS:
            raise ValueError(f"metric: {self.metric!r} is not a metric; choose one of {', '.join(sorted(METRICS))}")
        given = [self.at_least, self.at_most, self.not_worse_than, self.better_than]
        if sum(value is not None for value in given) != 1:
            raise ValueError("write exactly one of at_least, at_most, not_worse_than and better_than")
        return self


class Holdout(Section):
    """What challenger and champion are judged on: the newest share of the window, or a fixed file."""

    share: float = Field(default=0.2, gt=0, lt=1, description="The newest share of the window, kept from training.")
    file: str | None = Field(default=None, description="A CSV or Parquet file with the features and the target.")


class Training(Section):
    data: TrainingData = TrainingData()
    checks: Checks = Checks()
    trainer: Trainer
    task: Literal["classification", "regression"] | None = Field(
        default=None, description="By default found out from the trainer, the gates' metrics and the target."
    )
    holdout: Holdout = Holdout()
    budget: Budget = Budget()
    gates: tuple[Gate, ...] = ()
    queue: str | None = Field(default=None, description="The queue whose workers train this model, as gpu.")
