"""Can every deploy target be written to, or its program be found?"""

from collections.abc import Iterator
from pathlib import Path

from daemon.checks.directories import unwritable
from daemon.checks.finding import Finding, either, ok
from daemon.checks.plugins import check_plugin
from daemon.checks.programs import check_command
from retraind.config.deploy import CommandTarget, DirectoryTarget, MlflowTarget, PluginTarget
from retraind.config.settings import Model


def check(what: str, model: Model, directory: Path) -> Iterator[Finding]:
    """Each target in turn; MLflow itself is asked elsewhere."""
    for number, target in enumerate(model.deploy):
        place = f"{what}[{number}]"
        if isinstance(target, MlflowTarget):
            yield ok(place, f"the alias {target.alias!r} of the registered model {target.mlflow!r}")
        elif isinstance(target, DirectoryTarget):
            path = Path(target.directory)
            yield from either(unwritable(place, path), place, f"{path} is writable")
        elif isinstance(target, CommandTarget):
            yield from check_command(place, target.command, directory)
        elif isinstance(target, PluginTarget):
            yield check_plugin(place, "retraind.targets", target.plugin)
