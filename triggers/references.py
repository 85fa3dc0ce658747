"""What the drift trigger compares, as the user names it: the reference, current data in a file, and of which time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from triggers.evidence import ModelFacts, Window
from triggers.quantities import Duration
from triggers.wording import instant


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


def slides(reference: "Literal['training'] | Reference") -> bool:
    """Whether it is another one at each look, so that nothing counted over it is of use again."""
    return isinstance(reference, Reference) and reference.window is not None and reference.before is None


def span_before(reference: Reference, window: timedelta, now: datetime) -> Window:
    """The time of a reference that is a span of the store, whose current window is so long."""
    assert reference.window is not None  # noqa: S101 - it is one
    end = reference.before or now - window
    return Window(end - reference.window, end)


def spans_of_predictions(
    reference: "Literal['training'] | Reference", window: timedelta, facts: ModelFacts, now: datetime
) -> tuple[Window, Window] | str:
    """The spans of predictions to compare, reference first, or why they cannot be compared."""
    deployed, start = facts.deployed_at, now - window
    if isinstance(reference, Reference) and reference.window is not None:
        end = reference.before or start
        before = end - reference.window
        if deployed is None:
            return Window(before, end), Window(start, now)
        if end <= deployed:
            return f"the reference window ends before version {facts.version} was deployed"
        return Window(max(before, deployed), end), Window(max(start, deployed), now)
    first = deployed or facts.known_since
    if first + window > start:
        return f"predictions are compared from {instant(first + 2 * window)} on"
    return Window(first, first + window), Window(start, now)
