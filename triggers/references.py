"""What the drift trigger compares, as the user names it: the reference, and current data in a file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from triggers.quantities import Duration


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Reference(BaseModel):
    """A reference other than the training data: a span of the predictions store, or a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: Duration | None = Field(default=None, description="So much time of the predictions store.")
    before: Annotated[datetime, AfterValidator(_in_utc)] | None = Field(
        default=None, description="Where that time ends; by default where the current window begins."
    )
    file: str | None = Field(default=None, description="A CSV or Parquet file.")

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Reference":
        if (self.window is None) == (self.file is None):
            raise ValueError("write window: DURATION or file: PATH, one of the two")
        if self.before is not None and self.window is None:
            raise ValueError("before says where a window ends; write window: DURATION with it")
        return self


class CurrentFile(BaseModel):
    """Current data in a file instead of the predictions store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(description="A CSV or Parquet file.")


def one_reference(value: object) -> "Literal['training'] | Reference":
    """Problems inside a mapping are told as such, not as one failed alternative of two."""
    if isinstance(value, Mapping):
        return Reference.model_validate(dict(value))
    if isinstance(value, Reference):
        return value
    if value != "training":
        raise ValueError(f"{value!r} is no reference; write training, {{window: 28d}} or {{file: PATH}}")
    return "training"
