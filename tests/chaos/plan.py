"""The plan directory that a world's processes read their faults from (see `retraind/faults.py`)."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Strike:
    """A fault that a process took."""

    point: str
    fault: str
    pid: int
    file: Path


class Plan:
    """One directory; what is armed in it strikes once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._told: set[Path] = set()
        for name in ("armed", "struck", "drafts"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / "keeper").write_text(str(os.getpid()))

    def arm(self, point: str, fault: str) -> None:
        draft = self.directory / "drafts" / point
        draft.write_text(fault)
        draft.rename(self.directory / "armed" / point)

    def armed(self) -> set[str]:
        return {entry.name for entry in (self.directory / "armed").iterdir()}

    def disarm(self) -> None:
        for entry in (self.directory / "armed").iterdir():
            entry.unlink(missing_ok=True)

    def strikes(self) -> list[Strike]:
        """What struck since this was last asked."""
        fresh = [entry for entry in sorted((self.directory / "struck").iterdir()) if entry not in self._told]
        self._told.update(fresh)
        found = []
        for entry in fresh:
            point, pid, _ = entry.name.rsplit("~", 2)
            found.append(Strike(point, entry.read_text().strip(), int(pid), entry))
        return found

    def release(self, strike: Strike) -> None:
        """Lets a held process go on."""
        strike.file.unlink(missing_ok=True)

    def record(self) -> None:
        """Has every point passed written down."""
        (self.directory / "passed").touch()

    def passed(self) -> list[str]:
        """The points passed so far, in order of their first passing."""
        lines = (self.directory / "passed").read_text().splitlines()
        return list(dict.fromkeys(line.partition(" ")[2] for line in lines if " " in line))

    def step_clock(self, seconds: float) -> None:
        draft = self.directory / "drafts" / "clock"
        draft.write_text(str(seconds))
        draft.rename(self.directory / "clock")

    def clear(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
