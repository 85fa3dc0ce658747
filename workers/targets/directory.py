"""The deploy target `{directory: DIR}`: `DIR/versions/VERSION/` with a link `DIR/current` swapped in one step.

Each version is the MLflow model directory and a `VERSION.json` that says which it is. Only what
carries such a file of the same model is ever removed: anything else in the directory is somebody's.
"""

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retraind.config.deploy import DirectoryTarget
from retraind.errors import TransientFailure, UnknownFailure
from retraind.privacy import make_public_directory
from workers.durable import copy_directory, point, remove
from workers.targets.base import DeployableVersion, Means

LABEL = "VERSION.json"
ABANDONED_SECONDS = 3600.0  # a copy that was cut short; a copy under way is younger
_CUT_SHORT = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


@dataclass(frozen=True)
class VersionedDirectory:
    settings: DirectoryTarget
    means: Means

    def show(self, version: DeployableVersion) -> None:
        try:
            self._show(version)
        except OSError as error:
            raise TransientFailure(
                f"Version {version.version} of {version.model} cannot be put into {self._root}: {error}."
            ) from error

    def shown(self) -> str | None:
        label = self._label(self._current)
        return None if label is None else str(label["version"])

    @property
    def _root(self) -> Path:
        return Path(self.settings.directory)

    @property
    def _current(self) -> Path:
        return self._root / "current"

    def _show(self, version: DeployableVersion) -> None:
        if self._current.exists() and not self._current.is_symlink():
            raise UnknownFailure(
                f"{self._current} is not a link, so it is not retraind's to replace; "
                "move it away, or name another directory for this target."
            )
        versions = self._root / "versions"
        make_public_directory(versions)
        place = self._place(versions, version)
        if not place.exists():
            self._copy(version, place)
        if not self._current.is_symlink() or str(self._current.readlink()) != f"versions/{place.name}":
            os.utime(place / LABEL)  # so that the newest labels are those of the versions shown last
            point(self._current, f"versions/{place.name}")
        self._prune(versions, place)

    def _place(self, versions: Path, version: DeployableVersion) -> Path:
        """Where the version stands. A registry begun anew numbers from 1 again: a number that another job's version has
        taken gets the job's id added."""
        for name in (version.version, f"{version.version}-{version.job}"):
            label = self._label(versions / name)
            if label is not None and label["job"] == version.job:
                return versions / name
            if not (versions / name).exists():
                return versions / name
        raise UnknownFailure(
            f"{versions / name} is not retraind's and stands where version {version.version} belongs; move it away."
        )

    def _copy(self, version: DeployableVersion, place: Path) -> None:
        label = {
            "retraind": 1,  # the label's own format
            "model": version.model,
            "version": version.version,
            "job": version.job,
            "uri": version.uri,
        }
        copy_directory(version.directory, place, {LABEL: json.dumps(label, indent=2, sort_keys=True) + "\n"})

    def _label(self, place: Path) -> dict[str, Any] | None:
        """What the place says of itself; None where it is not a version of this model."""
        try:
            label = json.loads((place / LABEL).read_text())
        except (OSError, ValueError):
            return None
        ours = isinstance(label, dict) and label.get("retraind") == 1 and label.get("model") == self.means.model
        return label if ours else None

    def _prune(self, versions: Path, current: Path) -> None:
        """Removes the versions shown longest ago, and copies that were cut short."""
        for entry in versions.iterdir():
            if _CUT_SHORT.fullmatch(entry.name) and time.time() - entry.lstat().st_mtime > ABANDONED_SECONDS:
                remove(entry)
        ours = [entry for entry in versions.iterdir() if entry != current and self._label(entry) is not None]
        ours.sort(key=lambda entry: (entry / LABEL).stat().st_mtime_ns, reverse=True)
        for entry in ours[self.settings.keep - 1 :]:
            remove(entry)
