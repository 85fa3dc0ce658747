"""The deploy target `{command: [PROGRAM, ...]}`: a command of the user's that makes a version live.

What it was last told, and did, is remembered in a record, for a command cannot be asked what it shows.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from retraind.config.deploy import CommandTarget
from retraind.privacy import users_umask
from workers.durable import write_json
from workers.process import Command, Limits, failure, kill_leftover, run
from workers.targets.base import DeployableVersion, Means


@dataclass(frozen=True)
class DeployCommand:
    settings: CommandTarget
    means: Means

    def show(self, version: DeployableVersion) -> None:
        kill_leftover(self._file("group.json"))
        command = Command(
            what=f"the deployment of version {version.version} of {version.model}",
            arguments=self.settings.command,
            log=self._file("log"),
            record=self._file("group.json"),
            environment=environment(version),
            directory=self.means.project,
            umask=users_umask(),
            secrets=self.means.secrets,
        )
        self.means.fence()
        finished = run(command, Limits(seconds=self.settings.timeout.total_seconds()))
        if finished.exit_code:
            raise failure(command, finished)
        write_json(self._file("json"), {"version": version.version, "job": version.job})

    def shown(self) -> str | None:
        try:
            return str(json.loads(self._file("json").read_text())["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def mark(self) -> str | None:
        return self.shown() or ""

    def _file(self, kind: str) -> Path:
        """A file of this target's own: two commands for one model do not share it."""
        name = hashlib.sha256("\0".join(self.settings.command).encode()).hexdigest()[:12]
        return self.means.records / f"command-{name}.{kind}"


def environment(version: DeployableVersion) -> dict[str, str]:
    """What the command is told."""
    return {
        "RETRAIND_MODEL": version.model,
        "RETRAIND_VERSION": version.version,
        "RETRAIND_PREVIOUS_VERSION": version.previous or "",
        "RETRAIND_JOB": version.job,
        "RETRAIND_MODEL_DIR": str(version.directory),
        "RETRAIND_MODEL_URI": version.uri,
    }
