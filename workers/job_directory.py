"""Where everything of a job stands: `state/jobs/JOB/`. Stages meet here and nowhere else on disk.

What later stages read (`data/`, `challenger/`) is a directory that appears whole, in one step, and is
never replaced: of two workers that make it, one of them stopped past its lease, the first is right.
What only one attempt reads is under that attempt's own name.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from workers.durable import remove
from workers.process import kill_leftover
from workers.temporaries import sweep

WEIGHT = "__weight"  # the column of sample weights, in data where rows are weighted


@dataclass(frozen=True)
class JobDirectory:
    """The names in one job's directory. Nothing is made by naming it."""

    path: Path
    attempt: int = 0  # the lease's token, which no other attempt at any stage of the job has

    @property
    def window(self) -> Path:
        """What ingest makes, once: the three Parquet files and their record."""
        return self.path / "data"

    @property
    def _kept(self) -> Path:
        """Where the window stands: jobs of the first layout kept its files in the job's own directory."""
        first = (self.path / "ingest.json").is_file() and not self.window.exists()
        return self.path if first else self.window

    @property
    def data(self) -> Path:
        """The window's rows."""
        return self._kept / "data.parquet"

    @property
    def train(self) -> Path:
        """The rows of `data` that the challenger is trained on."""
        return self._kept / "train.parquet"

    @property
    def holdout(self) -> Path:
        """The rows that challenger and champion are judged on."""
        return self._kept / "holdout.parquet"

    @property
    def ingested(self) -> Path:
        """The record of the window: rows, bounds and hashes."""
        return self._kept / "ingest.json"

    @property
    def challenger(self) -> Path:
        """What training made, once: the model and the record of its training."""
        return self.path / "challenger"

    @property
    def model(self) -> Path:
        """The challenger, as an MLflow model directory; whole where it exists."""
        before = self.path / "model"  # where the first layout kept it
        return before if before.is_dir() and not self.challenger.exists() else self.challenger / "model"

    @property
    def trained(self) -> Path:
        """The record of the training that made `model`."""
        return self.challenger / "training.json"

    def champion(self, version: str) -> Path:
        """The champion that the challenger is compared with, fetched from the registry."""
        return self.path / "champion" / version

    @property
    def group(self) -> Path:
        """The record of the child process group that this attempt is running now."""
        return self.path / "groups" / f"{self.attempt}.json"

    def log(self, name: str) -> Path:
        """The output of a child: `train`, `evaluate` or `deploy`."""
        return self.path / "logs" / f"{name}.log"

    def scratch(self, name: str) -> Path:
        """A file of no lasting worth, of this attempt alone: specs, results and predictions of children."""
        return self.path / "scratch" / str(self.attempt) / name

    def bulk(self) -> list[Path]:
        """All that takes room: everything but the logs. The record of `data` goes with it."""
        return [entry for entry in self.path.iterdir() if entry.name != "logs"] if self.path.is_dir() else []

    def kill_leftovers(self) -> None:
        """Kills what earlier attempts left running on this host."""
        for record in [*(self.path / "groups").glob("*.json"), self.path / "group.json"]:
            kill_leftover(record)

    def sweep(self, *, ended: bool) -> None:
        """Removes what killed processes left half made and, once the job has `ended`, what only attempts read."""
        for place in (self.path, self.path / "groups", self.path / "champion", *self._scratches()):
            sweep(place)
        if ended:
            self.kill_leftovers()
            for name in ("scratch", "groups"):
                remove(self.path / name)

    def _scratches(self) -> list[Path]:
        scratch = self.path / "scratch"
        return [Path(entry.path) for entry in os.scandir(scratch)] if scratch.is_dir() else []
