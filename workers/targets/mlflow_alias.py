"""The deploy target `{mlflow: NAME, alias: ALIAS}`: an alias of a registered model, and `previous` beside it."""

from dataclasses import dataclass
from typing import ClassVar

import structlog

from retraind.config.deploy import MlflowTarget
from retraind.errors import UnknownFailure
from workers.registry import PREVIOUS
from workers.targets.base import DeployableVersion, Means

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Alias:
    settings: MlflowTarget
    means: Means
    shows_again: ClassVar[bool] = True  # the alias of the version before is mended with it

    def show(self, version: DeployableVersion) -> None:
        name, registry = self.settings.mlflow, self.means.registry
        fence = self.means.fence
        number = registry.version_under(name, version.registered, version.version, fence)
        registry.set_aliases(name, number, self._previous(version), self.settings.alias, fence)

    def shown(self) -> str | None:
        return self.means.registry.alias_of(self.settings.mlflow, self.settings.alias)

    def mark(self) -> str | None:
        return self.means.registry.mark(self.settings.mlflow, (self.settings.alias, PREVIOUS))

    def _previous(self, version: DeployableVersion) -> str | None:
        """The number of the version before, under this target's name. A version that MLflow no longer has keeps none
        from being deployed."""
        if version.previous is None:
            return None
        try:
            return self.means.registry.version_under(
                self.settings.mlflow, version.registered, version.previous, self.means.fence
            )
        except UnknownFailure as error:
            _log.warning("previous_not_aliased", model=version.model, alias=PREVIOUS, reason=str(error))
            return None
