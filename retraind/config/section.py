"""What every part of the configuration file is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in the file: unknown keys are refused, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
