"""Where everything of a job stands: `state/jobs/JOB/`. Stages meet here and nowhere else on disk."""

from dataclasses import dataclass
from pathlib import Path

WEIGHT = "__weight"  # the column of sample weights, in data where rows are weighted


@dataclass(frozen=True)
class JobDirectory:
    """The names in one job's directory. Nothing is made by naming it."""

    path: Path

    @property
    def data(self) -> Path:
        """The window's rows, materialised once."""
        return self.path / "data.parquet"

    @property
    def train(self) -> Path:
        """The rows of `data` that the challenger is trained on."""
        return self.path / "train.parquet"

    @property
    def holdout(self) -> Path:
        """The rows that challenger and champion are judged on."""
        return self.path / "holdout.parquet"

    @property
    def ingested(self) -> Path:
        """The record of `data`; written after it, so that it vouches for it."""
        return self.path / "ingest.json"

    @property
    def model(self) -> Path:
        """The challenger, as an MLflow model directory; whole where it exists."""
        return self.path / "model"

    def champion(self, version: str) -> Path:
        """The champion that the challenger is compared with, fetched from the registry."""
        return self.path / "champion" / version

    @property
    def group(self) -> Path:
        """The record of the child process group that is running now."""
        return self.path / "group.json"

    def log(self, name: str) -> Path:
        """The output of a child: `train`, `evaluate` or `deploy`."""
        return self.path / "logs" / f"{name}.log"

    def scratch(self, name: str) -> Path:
        """A file of no lasting worth: specs, results and predictions of children."""
        return self.path / "scratch" / name

    def bulk(self) -> list[Path]:
        """All that takes room: everything but the logs. The record of `data` goes with it."""
        return [entry for entry in self.path.iterdir() if entry.name != "logs"] if self.path.is_dir() else []
