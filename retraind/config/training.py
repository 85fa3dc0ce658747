"""`training:`: the data a challenger is trained on, its trainer, its budget and its gates."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag, field_validator, model_validator

from retraind.config.paths import DatabaseUrl, FileText, FunctionName, Interpreter
from retraind.config.section import Section, by_key, exactly_one, one_of
from retraind.nearest import did_you_mean
from triggers.metrics import METRICS
from triggers.quantities import Duration, Size


def known_metric(name: str) -> str:
    """`name`, if it is a metric's. Raises ValueError, with the nearest, if it is not."""
    if name not in METRICS:
        raise ValueError(
            f"{name!r} is not a metric{did_you_mean(name, METRICS)}; choose one of {', '.join(sorted(METRICS))}"
        )
    return name


class FileSource(Section):
    """Training data in CSV or Parquet files instead of the predictions store."""

    model_config = ConfigDict(json_schema_extra=exactly_one("csv", "parquet"))

    csv: FileText | None = Field(default=None, description="A path or glob of CSV files.")
    parquet: FileText | None = Field(default=None, description="A path or glob of Parquet files.")
    timestamp: str | None = Field(
        default=None, min_length=1, description="The time column; without one the window is every row."
    )

    @model_validator(mode="after")
    def _names_one_kind(self) -> "FileSource":
        if (self.csv is None) == (self.parquet is None):
            raise ValueError("write exactly one of csv: PATH and parquet: PATH")
        return self


class SqlSource(Section):
    """Training data from a query of the user's own; read in a read-only session."""

    sql: str = Field(
        min_length=1, description="A SELECT; `:start` and `:end` are bound to the window's bounds if it names them."
    )
    url: DatabaseUrl | None = Field(
        default=None, repr=False, description="The database; by default that of the predictions store."
    )
    timestamp: str | None = Field(
        default=None, min_length=1, description="The time column; without one the window is every row."
    )


Source = Annotated[
    Annotated[Literal["predictions"], Tag("(predictions)")]
    | Annotated[FileSource, Tag("(files)")]
    | Annotated[SqlSource, Tag("(query)")],
    by_key(
        {"csv": "(files)", "parquet": "(files)", "sql": "(query)"},
        "a source is one of predictions, {csv: PATH}, {parquet: PATH} and {sql: SELECT ...}",
        plain={"predictions": "(predictions)"},
    ),
]


class DataWindow(Section):
    """Which span of the data a training takes, counted back from the job's request."""

    model_config = ConfigDict(json_schema_extra=exactly_one("rolling", "expanding"))

    rolling: Duration | None = Field(default=None, description="The newest so much.")
    expanding: bool = Field(default=False, description="Everything there is.")
    half_life: Duration | None = Field(
        default=None,
        description="Weighted: a row this much older than the newest counts half (passed as sample weight).",
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "DataWindow":
        if (self.rolling is None) == (not self.expanding):
            raise ValueError(
                "write rolling: DURATION or expanding: true, one of the two (half_life may stand beside either)"
            )
        return self


class TrainingData(Section):
    """Where training data comes from, how far back it goes, and what is predicted from what."""

    source: Source = Field(
        default="predictions",
        description="`predictions` (features joined with actuals), `{csv: PATH}`, `{parquet: PATH}` or `{sql: QUERY}`.",
    )
    window: DataWindow = Field(
        default=DataWindow(expanding=True),
        description="The span of data a training takes; by default everything there is.",
    )
    target: str = Field(default="actual", min_length=1, description="The column to predict.")
    features: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="The columns to predict it from; by default the store's features."
    )


class Checks(Section):
    """What the training data must be; a breach ends the job before training."""

    min_rows: int = Field(default=100, ge=1, description="The fewest rows to train on.")
    max_null_share: float = Field(
        default=0.95, ge=0, le=1, description="The largest share of missing values in a feature."
    )
    target_rate: tuple[float, float] | None = Field(
        default=None,
        description="Lowest and highest mean of the target (of a class target: the positive class's share).",
    )
    types: dict[str, Literal["number", "category", "boolean", "time"]] = Field(
        default={}, description="The type each named column must have: `number`, `category`, `boolean` or `time`."
    )

    @field_validator("target_rate")
    @classmethod
    def _rises(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError(f"{value[0]:g} is above {value[1]:g}; write the lowest first, as [0.01, 0.6]")
        return value


_PARAMS = "What it is called with."
_PYTHON = (
    "The interpreter to train and judge in (a command trains as it likes and is judged in it); "
    "by default retraind's own."
)


class SklearnTrainer(Section):
    """A scikit-learn estimator; missing values and categories are prepared for it."""

    sklearn: str = Field(description="Its import path, as `sklearn.ensemble.HistGradientBoostingClassifier`.")
    params: dict[str, Any] = Field(default={}, description=_PARAMS)
    trusted_types: tuple[str, ...] = Field(
        default=(), description="Types beyond scikit-learn's own that the saved model may hold."
    )
    python: Interpreter | None = Field(default=None, description=_PYTHON)

    @field_validator("sklearn")
    @classmethod
    def _is_an_import_path(cls, value: str) -> str:
        parts = value.split(".")
        if len(parts) < 2 or not all(part.isidentifier() for part in parts):
            raise ValueError(
                f"{value!r} is not an import path; write module and class, "
                "as sklearn.ensemble.HistGradientBoostingClassifier"
            )
        return value


class FunctionTrainer(Section):
    """A Python function `train(data, target, **params)` that returns a fitted model with `predict`."""

    function: FunctionName = Field(description="`module:function`, or `path/to/file.py:function`.")
    params: dict[str, Any] = Field(default={}, description=_PARAMS)
    python: Interpreter | None = Field(default=None, description=_PYTHON)


class CommandTrainer(Section):
    """Any command. It reads RETRAIND_DATA (Parquet) and leaves its model in RETRAIND_MODEL_DIR."""

    command: tuple[str, ...] = Field(min_length=1, description="Program and arguments; no shell.")
    predict: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="A command that reads RETRAIND_DATA and RETRAIND_MODEL_DIR and writes RETRAIND_PREDICTIONS "
        "(Parquet, column prediction, optionally score); needed unless the model is an MLflow model.",
    )
    python: Interpreter | None = Field(default=None, description=_PYTHON)


class PluginTrainer(Section):
    """A trainer that another package brings (entry point group `retraind.trainers`)."""

    plugin: str = Field(min_length=1, description="The trainer's name, as its package calls it.")
    params: dict[str, Any] = Field(default={}, description=_PARAMS)


Trainer = Annotated[
    Annotated[SklearnTrainer, Tag("(sklearn)")]
    | Annotated[FunctionTrainer, Tag("(function)")]
    | Annotated[CommandTrainer, Tag("(command)")]
    | Annotated[PluginTrainer, Tag("(plugin)")],
    by_key(
        {"sklearn": "(sklearn)", "function": "(function)", "command": "(command)", "plugin": "(plugin)"},
        "a trainer is one of {sklearn: IMPORT.PATH}, {function: module:function}, "
        "{command: [PROGRAM, ARGUMENT]} and {plugin: NAME}",
    ),
]


class Budget(Section):
    """What one training may take before its process group is killed."""

    time: Duration = Field(default="4h", validate_default=True, description="The longest it may run.")
    memory: Size | None = Field(default=None, description="Resident memory of the whole group; by default no bound.")


class Gate(Section):
    """A condition a challenger must meet: against a figure, or against the champion on the same rows."""

    model_config = ConfigDict(json_schema_extra=exactly_one("at_least", "at_most", "not_worse_than", "better_than"))

    metric: str = Field(
        description="What is measured, as `accuracy`; all metrics are listed in `docs/triggers.md`.",
        json_schema_extra=one_of(METRICS),
    )
    at_least: float | None = Field(default=None, description="The lowest figure that passes.")
    at_most: float | None = Field(default=None, description="The highest figure that passes.")
    not_worse_than: Literal["champion"] | None = Field(
        default=None, description="`champion`: may fall short of it by no more than `by`."
    )
    better_than: Literal["champion"] | None = Field(
        default=None, description="`champion`: must be better than it by at least `by`."
    )
    by: float = Field(default=0.0, ge=0, description="The margin for a comparison with the champion.")

    @field_validator("metric")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return known_metric(value)

    @model_validator(mode="after")
    def _is_one_condition(self) -> "Gate":
        given = [self.at_least, self.at_most, self.not_worse_than, self.better_than]
        if sum(value is not None for value in given) != 1:
            raise ValueError("write exactly one of at_least, at_most, not_worse_than and better_than")
        if self.by and (self.at_least is not None or self.at_most is not None):
            raise ValueError("by is a margin to the champion; remove it beside at_least and at_most")
        return self


class Holdout(Section):
    """What challenger and champion are judged on: the newest share of the window, or a fixed file."""

    share: float = Field(default=0.2, gt=0, lt=1, description="The newest share of the window, kept from training.")
    file: FileText | None = Field(
        default=None, description="A CSV or Parquet file with the features and the target; instead of a share."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Holdout":
        if self.file is not None and "share" in self.model_fields_set:
            raise ValueError("write share or file, one of the two")
        return self


class Training(Section):
    """How a challenger comes to be, and what it must meet."""

    data: TrainingData = Field(default=TrainingData(), description="The training data.")
    checks: Checks = Field(default=Checks(), description="What the training data must be.")
    trainer: Trainer = Field(
        description="`{sklearn: IMPORT.PATH}`, `{function: module:function}`, `{command: [PROGRAM, ...]}` "
        "or `{plugin: NAME}`."
    )
    task: Literal["classification", "regression"] | None = Field(
        default=None,
        description="`classification` or `regression`; by default found out from the trainer, the gates' metrics "
        "and the target.",
    )
    holdout: Holdout = Field(default=Holdout(), description="The rows that challenger and champion are judged on.")
    budget: Budget = Field(default=Budget(), description="What one training may take.")
    gates: tuple[Gate, ...] = Field(default=(), description="Conditions, all of which a challenger must meet.")
    queue: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9_.-]+$",
        description="The queue whose workers train this model, as `gpu`; by default the common one.",
    )

    @property
    def needs_champion(self) -> bool:
        """Whether a gate compares the challenger with the champion."""
        return any(gate.not_worse_than is not None or gate.better_than is not None for gate in self.gates)
