"""Where a champion is shown, by the kind of `deploy` entry: one file a kind, listed here.

A target is opened with its settings and what it may use; `show` makes it show a version, however
often it is asked, and `shown` says which version it shows.
"""

from collections.abc import Callable, Mapping
from typing import Any

from retraind.config.deploy import CommandTarget, DirectoryTarget, MlflowTarget, PluginTarget
from workers.targets import command, directory, mlflow_alias, plugin
from workers.targets.base import DeployableVersion, DeployTarget, Means

TARGETS: Mapping[type, Callable[[Any, Means], DeployTarget]] = {
    MlflowTarget: mlflow_alias.Alias,
    DirectoryTarget: directory.VersionedDirectory,
    CommandTarget: command.DeployCommand,
    PluginTarget: plugin.load,
}


def open_target(settings: Any, means: Means) -> DeployTarget:
    """The deploy target that `settings` (one of the targets' settings) describes. Raises UnknownFailure for a plugin
    that no installed package brings."""
    return TARGETS[type(settings)](settings, means)


def describe(settings: Any) -> str:
    """`settings` in a few words, for events and messages: `mlflow delays@champion`, `directory models/production`."""
    match settings:
        case MlflowTarget():
            return f"mlflow {settings.mlflow}@{settings.alias}"
        case DirectoryTarget():
            return f"directory {settings.directory}"
        case CommandTarget():
            return f"command {' '.join(settings.command)}"
        case _:
            return f"plugin {settings.plugin}"


__all__ = ["TARGETS", "DeployTarget", "DeployableVersion", "Means", "describe", "open_target"]
