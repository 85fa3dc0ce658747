"""`predictions:`: where a model's predictions and actuals stand, and how its columns are called."""

from enum import StrEnum

from pydantic import Field, model_validator

from retraind.config.section import Section
from triggers.quantities import Duration


class TimestampFormat(StrEnum):
    """How the store writes time. Text and native types without a zone mean UTC."""

    AUTO = "auto"  # found out from the column's type and values; a mixture is refused
    ISO = "iso"  # text, ISO 8601
    SECONDS = "seconds"  # epoch seconds, whole or not
    MILLISECONDS = "milliseconds"  # epoch milliseconds
    NATIVE = "native"  # the database's own timestamp type


class JsonFeatures(Section):
    """Features kept together in one JSON column, as an object."""

    column: str = Field(alias="json", description="The JSON column.")
    names: tuple[str, ...] = Field(min_length=1, description="The features to take from it, by their key.")


class Columns(Section):
    """The store's own names for what retraind reads. The plainest table needs none of this."""

    timestamp: str = Field(default="timestamp", description="When the prediction was made.")
    prediction: str = Field(default="prediction", description="What was predicted: a class or a number.")
    actual: str | None = Field(default="actual", description="What came true; NULL until it is known. null: never known.")
    score: str | None = Field(default=None, description="The positive class's probability, where there is one.")
    id: str | None = Field(default=None, description="A growing key, for cheap change checks; found out if not given.")
    version: str | None = Field(default=None, description="Which model version made the prediction.")
    features: tuple[str, ...] | JsonFeatures = Field(
        default=(), description="Feature columns, or {json: COLUMN, names: [...]}."
    )

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.features.names if isinstance(self.features, JsonFeatures) else self.features


class Predictions(Section):
    """The user's own table of predictions. retraind only ever reads it."""

    url: str = Field(description="sqlite:///path.db or postgresql+psycopg://user:password@host/database")
    table: str = Field(default="predictions", description="The table or view, as NAME or SCHEMA.NAME.")
    columns: Columns = Columns()
    only: dict[str, str | int | bool] = Field(
        default={}, description="Take only rows where COLUMN equals VALUE: several models in one table."
    )
    timestamps: TimestampFormat = TimestampFormat.AUTO
    label_delay: Duration | None = Field(
        default=None, description="How long actuals take to arrive; younger rows are not judged."
    )
    timeout: Duration = Field(default="30s", validate_default=True, description="The longest a query may take.")

    @model_validator(mode="after")
    def _is_a_supported_url(self) -> "Predictions":
        if not self.url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise ValueError(
                f"url: {self.url.split('://')[0]!r} is not a store retraind reads; "
                "write sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE"
            )
        return self
