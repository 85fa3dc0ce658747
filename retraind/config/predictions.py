"""`predictions:`: where a model's predictions and actuals stand, and how its columns are called."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from retraind.config.paths import DatabaseUrl
from retraind.config.section import Section, refuse
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

    column: str = Field(alias="json", min_length=1, description="The JSON column.")
    names: tuple[str, ...] = Field(min_length=1, description="The features to take from it, by their key.")


def _shape_of_features(value: Any) -> str:
    return "(json)" if isinstance(value, dict | JsonFeatures) else "(columns)"


Features = Annotated[
    Annotated[tuple[str, ...], Tag("(columns)")] | Annotated[JsonFeatures, Tag("(json)")],
    Discriminator(_shape_of_features),
]


class Columns(Section):
    """The store's own names for what retraind reads. The plainest table needs none of this."""

    timestamp: str = Field(default="timestamp", min_length=1, description="When the prediction was made.")
    prediction: str = Field(default="prediction", min_length=1, description="What was predicted: a class or a number.")
    actual: str | None = Field(
        default="actual", min_length=1, description="What came true; NULL until it is known. `null`: never known."
    )
    score: str | None = Field(
        default=None, min_length=1, description="The positive class's probability, where there is one."
    )
    id: str | None = Field(
        default=None, min_length=1, description="A growing key, for cheap change checks; found out if not given."
    )
    version: str | None = Field(
        default=None, min_length=1, description="Which model version made the prediction; by default not known."
    )
    features: Features = Field(
        default=(), description="Feature columns, as a list; or `{json: COLUMN, names: [...]}` for one JSON column."
    )

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.features.names if isinstance(self.features, JsonFeatures) else self.features

    @model_validator(mode="after")
    def _names_each_feature_once(self) -> "Columns":
        names = self.feature_names
        place = ("features", "names") if isinstance(self.features, JsonFeatures) else ("features",)
        refuse(
            ((*place, index), f"the feature {name!r} is listed twice; remove one")
            for index, name in enumerate(names)
            if name in names[:index]
        )
        return self


def _plain(value: Any) -> Any:
    if not isinstance(value, str | int | bool):
        # pydantic reports a ValueError at its place in the file, and lets a TypeError through
        raise ValueError("rows are picked by a text, a whole number, true or false; write COLUMN: VALUE")  # noqa: TRY004
    return value


class Predictions(Section):
    """The user's own table of predictions. retraind only ever reads it."""

    url: DatabaseUrl = Field(
        repr=False, description="`sqlite:///PATH` or `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`."
    )
    table: str = Field(
        default="predictions", min_length=1, description="The table or view, as `NAME` or `SCHEMA.NAME`."
    )
    columns: Columns = Field(default=Columns(), description="The names of the columns, where they are others.")
    only: dict[str, Annotated[str | int | bool, BeforeValidator(_plain)]] = Field(
        default={}, description="Take only rows where COLUMN equals VALUE: several models in one table."
    )
    timestamps: TimestampFormat = Field(
        default=TimestampFormat.AUTO,
        description="How time is written: `iso` text, epoch `seconds` or `milliseconds`, the database's `native` type; "
        "`auto` finds out. Without a zone it means UTC.",
    )
    label_delay: Duration | None = Field(
        default=None, description="How long actuals take to arrive; younger rows are not judged."
    )
    timeout: Duration = Field(default="30s", validate_default=True, description="The longest a query may take.")
