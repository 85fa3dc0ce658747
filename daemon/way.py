"""The way to a directory through links, and where it could be changed. Called by `daemon.watching`."""

import errno
import stat
from dataclasses import dataclass
from pathlib import Path

from daemon.directories import Place

_MOST_LINKS = 40  # as the kernel follows


@dataclass(frozen=True)
class Way:
    """The way to a directory. `turns` are the paths (of links, of the directory itself, or of the first that is
    missing) at which it would lead elsewhere if they were replaced; `root` is where it ends."""

    root: str
    exists: bool
    turns: frozenset[str]

    @classmethod
    def to(cls, path: str) -> "Way":
        """Raises OSError for a circle of links, or where the way may not be looked into."""
        here, links = "/", 0
        turns: set[str] = set()
        names = path.split("/")[::-1]
        while names:
            name = names.pop()
            if name in {"", ".", ".."}:
                here = str(Path(here).parent) if name == ".." else here
                continue
            place = f"{here.rstrip('/')}/{name}"
            try:
                mode = Path(place).lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return cls(place, exists=False, turns=frozenset({*turns, place, here}))
            if stat.S_ISLNK(mode):
                turns.add(place)
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, "a circle of links", path)
                target = str(Path(place).readlink())
                here = "/" if target.startswith("/") else here
                names.extend(target.split("/")[::-1])
                continue
            here = place
        return cls(here, Path(here).is_dir(), frozenset({*turns, here}))

    def places(self, *, deep: bool) -> frozenset[Place]:
        """Where to be told of changes: in the directory itself, and in those that hold a turn."""
        around = {Place(str(Path(turn).parent), deep=False) for turn in self.turns}
        around = {place for place in around if Path(place.path).is_dir()}
        return frozenset(around | {Place(self.root, deep)} if self.exists else around)
