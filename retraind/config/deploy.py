"""`deploy:`: where a champion is shown."""

from pydantic import Field

from retraind.config.section import Section
from triggers.quantities import Duration


class MlflowTarget(Section):
    """An alias of a registered model; the version before it is kept as `previous`."""

    mlflow: str = Field(description="The registered model's name.")
    alias: str = "champion"


class DirectoryTarget(Section):
    """A directory of versions with a link `current` that is swapped in one step."""

    directory: str
    keep: int = Field(default=5, ge=2, description="How many versions stay on disk.")


class CommandTarget(Section):
    """A command that makes version RETRAIND_VERSION (files in RETRAIND_MODEL_DIR) live; it may be asked twice."""

    command: tuple[str, ...] = Field(min_length=1, description="Program and arguments; no shell.")
    timeout: Duration = Field(default="10m", validate_default=True)


class PluginTarget(Section):
    """A deploy target that another package brings (entry point group `retraind.targets`)."""

    plugin: str
    params: dict[str, object] = {}


Target = MlflowTarget | DirectoryTarget | CommandTarget | PluginTarget
