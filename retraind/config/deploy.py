"""`deploy:`: where a champion is shown."""

from typing import Annotated, Any

from pydantic import Field, Tag

from retraind.config.paths import FileText
from retraind.config.section import Section, by_key
from triggers.quantities import Duration


class MlflowTarget(Section):
    """An alias of a registered model; the version before it is kept as `previous`."""

    mlflow: str = Field(min_length=1, description="The registered model's name.")
    alias: str = Field(default="champion", min_length=1, description="The alias that the champion carries.")


class DirectoryTarget(Section):
    """A directory of versions with a link `current` that is swapped in one step."""

    directory: FileText = Field(description="The directory; made if it is missing.")
    keep: int = Field(default=5, ge=2, description="How many versions stay on disk.")


class CommandTarget(Section):
    """A command that makes version RETRAIND_VERSION (files in RETRAIND_MODEL_DIR) live; it may be asked twice."""

    command: tuple[str, ...] = Field(min_length=1, description="Program and arguments; no shell.")
    timeout: Duration = Field(default="10m", validate_default=True, description="The longest it may take.")


class PluginTarget(Section):
    """A deploy target that another package brings (entry point group `retraind.targets`)."""

    plugin: str = Field(min_length=1, description="The target's name, as its package calls it.")
    params: dict[str, Any] = Field(default={}, description="What it is called with.")


Target = Annotated[
    Annotated[MlflowTarget, Tag("(mlflow)")]
    | Annotated[DirectoryTarget, Tag("(directory)")]
    | Annotated[CommandTarget, Tag("(command)")]
    | Annotated[PluginTarget, Tag("(plugin)")],
    by_key(
        {"mlflow": "(mlflow)", "directory": "(directory)", "command": "(command)", "plugin": "(plugin)"},
        "a target is one of {mlflow: NAME}, {directory: PATH}, {command: [PROGRAM, ARGUMENT]} and {plugin: NAME}",
    ),
]
