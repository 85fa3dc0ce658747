"""The deploy targets that other packages bring, found by name in the entry point group `retraind.targets`.

    [project.entry-points."retraind.targets"]
    vertex = "our_package.targets:VertexEndpoint"

The entry point is called with the target's `params` as keywords and returns an object with `show` and
`shown`, as `workers.targets.base.DeployTarget` describes them. It runs in the worker.
"""

from importlib.metadata import entry_points
from typing import cast

from retraind.config.deploy import PluginTarget
from retraind.errors import UnknownFailure
from retraind.nearest import did_you_mean
from workers.targets.base import DeployTarget, Means

GROUP = "retraind.targets"


def load(settings: PluginTarget, means: Means) -> DeployTarget:  # noqa: ARG001 - all targets are opened alike
    """Raises UnknownFailure where no installed package brings the target, or it does not take its params."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    if settings.plugin not in known:
        raise UnknownFailure(
            f"deploy.plugin: no installed package brings a target {settings.plugin!r}"
            f"{did_you_mean(settings.plugin, known)}; install the package that does, "
            f"or choose one of: {', '.join(sorted(known)) or 'none is installed'}."
        )
    try:
        return cast("DeployTarget", known[settings.plugin].load()(**settings.params))
    except (ImportError, AttributeError, TypeError) as error:
        raise UnknownFailure(f"deploy.plugin: the target {settings.plugin!r} cannot be opened: {error}.") from error
