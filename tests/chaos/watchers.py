"""Those who look on while chaos strikes: a reader of the log and a user of the champion."""

import json
import sqlite3
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import project


class LogReader:
    """A real `tail -F`; what it printed is what a log shipper would have shipped."""

    def __init__(self, folder: Path) -> None:
        self._seen = folder / "tail.out"
        log = folder / "log" / "audit.jsonl"
        with self._seen.open("wb") as seen:
            self._tail = subprocess.Popen(
                ["tail", "-n", "+1", "-s", "0.05", "-F", str(log)], stdout=seen, stderr=subprocess.DEVNULL
            )

    def lines(self) -> list[bytes]:
        """The whole lines seen so far."""
        return [line for line in self._seen.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def stop(self) -> None:
        self._tail.terminate()
        self._tail.wait()


class ChampionWatch:
    """Resolves alias and `current` all the time, as a service that loads the champion would.

    `gaps` are the moments, as sentences, at which one that had once been there led to no loadable model.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gaps: list[str] = []
        self.looks = 0
        self._served: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        turn = 0
        while not self._stopping.wait(0.02):
            for model, directory in project.DIRECTORIES.items():
                self._note(f"current of {model}", _loadable(self.folder / directory / "current"))
            turn += 1
            if turn % 5 == 0:
                for name in project.REGISTERED:
                    found = aliased(self.folder, name)
                    if found is not None:  # the database is busy just now, for readers too
                        self._note(f"alias of {name}", found)

    def _note(self, what: str, found: "bool") -> None:
        self.looks += 1
        if found:
            self._served.add(what)
        elif what in self._served:
            self.gaps.append(f"{what} led to no loadable model at {time.time():.3f}")


def _loadable(model: Path) -> bool:
    """True when the directory holds all that the model needs. Resolved once, as a loader does."""
    try:
        place = model.resolve(strict=True)
        whole = (place / "MLmodel").stat().st_size > 0
        return whole and json.loads((place / "data" / "bar.json").read_text())["bar"] == 0.0
    except (OSError, ValueError):
        return False


def aliased(folder: Path, name: str) -> "bool | None":
    """Whether the alias leads to a loadable model; None: the database did not answer."""
    try:
        place = alias_place(folder, name)
    except sqlite3.OperationalError:
        return None
    return False if place is None else _loadable(place[1])


def alias_place(folder: Path, name: str, alias: str = "champion") -> "tuple[str, Path] | None":
    """The version behind the alias and where its files stand, read from MLflow's own tables; None: no such alias.

    Raises sqlite3.OperationalError while the database is locked, or not made yet.
    """
    query = (
        "SELECT v.version, COALESCE(v.storage_location, v.source) FROM registered_model_aliases a "
        "JOIN model_versions v ON v.name = a.name AND v.version = a.version WHERE a.name = ? AND a.alias = ?"
    )
    database = folder / "state" / "mlflow.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.5)
    try:
        row = connection.execute(query, (name, alias)).fetchone()
    finally:
        connection.close()
    return None if row is None else (str(row[0]), Path(urlsplit(row[1]).path))
