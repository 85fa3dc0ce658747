"""The deploy target `{directory: DIR}`: `DIR/versions/VERSION/` with a link `DIR/current` swapped in one step.

Each version is the MLflow model directory and a `VERSION.json` that says which it is. Only what
carries such a file of the same model is ever removed: anything else in the directory is somebody's.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from retraind.config.deploy import DirectoryTarget
from retraind.errors import TransientFailure, UnknownFailure
from retraind.privacy import make_public_directory
from workers.durable import copy_directory, point, remove
from workers.model_files import DESCRIPTION, model_digest
from workers.targets.base import DeployableVersion, Means
from workers.temporaries import sweep

_log = structlog.get_logger(__name__)
LABEL = "VERSION.json"
VERSIONS = "versions"
READ_SECONDS = 60.0  # a reader that resolved the link a moment ago is still loading what it led to


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
        """None too where the link leads anywhere but to a version beside it."""
        name = self._linked()
        if name is None:
            return None
        place = self._root / VERSIONS / name
        label = self._label(place)
        return None if label is None or not (place / DESCRIPTION).is_file() else str(label["version"])

    def mark(self) -> str | None:
        """Changes too when there is something to sweep or prune."""
        try:
            link = self._current.readlink()
            label, kept = (
                (self._root / link / LABEL).stat(),
                sorted(place.name for place in (self._root / VERSIONS).iterdir()),
            )
        except OSError:
            return ""
        return json.dumps([str(link), self.shown(), label.st_mtime_ns, label.st_size, kept])

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
        versions = self._root / VERSIONS
        make_public_directory(versions)
        if versions.is_symlink():
            raise UnknownFailure(
                f"{versions} is a link, which leads out of the directory that this target was given; "
                "name the directory that it leads to instead."
            )
        place = self._place(versions, version)
        if not place.exists():
            self._copy(version, place)
        if self._linked() != place.name:
            self.means.fence()
            for shown in (self._linked(), place.name):  # so that the newest labels are those of what was shown last
                _touch(versions / shown / LABEL if shown else None)
            point(self._current, f"{VERSIONS}/{place.name}")
        self._prune(versions)

    def _linked(self) -> str | None:
        """The name of the place among the versions that the link leads to; None where it leads anywhere else."""
        link = self._current.readlink() if self._current.is_symlink() else None
        return link.name if link is not None and link.parent == Path(VERSIONS) and link.name != ".." else None

    def _place(self, versions: Path, version: DeployableVersion) -> Path:
        """Where the version stands. A registry begun anew numbers from 1 again: a number that another job's version has
        taken gets the job's id added."""
        for name in (version.version, f"{version.version}-{version.job}"):
            label = self._label(versions / name)
            if label is not None and label["job"] == version.job:
                if label["version"] == version.version and self._is_whole(versions / name, version):
                    return versions / name
                if name != self._linked():  # else somebody may be reading it: the other name is taken
                    remove(versions / name)
            if not os.path.lexists(versions / name):
                return versions / name
        raise UnknownFailure(
            f"{versions / name} is not retraind's and stands where version {version.version} belongs; move it away."
        )

    def _is_whole(self, place: Path, version: DeployableVersion) -> bool:
        """False where somebody changed the files since they were copied: then they are not shown again."""
        if (place / DESCRIPTION).is_file() and (version.digest is None or model_digest(place) == version.digest):
            return True
        _log.error("deployed_files_changed", model=version.model, version=version.version, directory=str(place))
        return False

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
        """What the place says of itself; None where it is not a version of this model, or a link to elsewhere."""
        if place.is_symlink():
            return None
        try:
            label = json.loads((place / LABEL).read_text())
        except (OSError, ValueError):
            return None
        ours = isinstance(label, dict) and label.get("retraind") == 1 and label.get("model") == self.means.model
        return label if ours and all(isinstance(label.get(name), str) for name in ("version", "job")) else None

    def _prune(self, versions: Path) -> None:
        """Removes the versions shown longest ago, and copies that were cut short. Never what the link leads to, whoever
        set it, nor what it led to a moment ago."""
        for place in (self._root, versions):
            sweep(place)
        ours = [
            entry for entry in versions.iterdir() if entry.name != self._linked() and self._label(entry) is not None
        ]
        ours.sort(key=_shown_at, reverse=True)
        for entry in ours[self.settings.keep - 1 :]:
            if time.time() - _shown_at(entry) > READ_SECONDS:
                remove(entry)


def _shown_at(place: Path) -> float:
    return (place / LABEL).stat().st_mtime


def _touch(label: Path | None) -> None:
    if label is not None:
        with suppress(FileNotFoundError):
            os.utime(label)
