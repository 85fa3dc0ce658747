"""Where a demo keeps everything: a folder of its own, which stays for whoever wants to look at it afterwards."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.flights import data_file
from daemon.demo.pace import compress
from daemon.demo.predictions import PredictionsTable
from retraind.errors import ConfigurationError

MODEL = "delays"


@dataclass(frozen=True)
class Place:
    """The folder, by its absolute path."""

    root: Path

    @classmethod
    def make(cls, directory: Path | None) -> "Place":
        """A new folder with the configuration and an empty predictions table; by default a temporary one.

        Raises ConfigurationError for a folder with something in it, RetraindError where the demo's
        data was not shipped, OSError where the folder cannot be made.
        """
        configuration = compress(data_file("retraind.yaml").read_text(encoding="utf-8"))
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="retraind-demo-"))
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ConfigurationError(f"{directory} is not empty; name a new folder for the demo")
        place = cls(directory.resolve())
        place.configuration.write_text(configuration, encoding="utf-8")
        PredictionsTable(place.store).close()
        return place

    @property
    def configuration(self) -> Path:
        return self.root / "retraind.yaml"

    @property
    def store(self) -> Path:
        return self.root / "predictions.db"

    @property
    def models(self) -> Path:
        """What the deploy target fills and the serving application follows."""
        return self.root / "models"

    @property
    def audit(self) -> Path:
        return self.root / "state" / "audit.jsonl"

    @property
    def mlflow(self) -> Path:
        return self.root / "state" / "mlflow.db"

    @property
    def system_log(self) -> Path:
        return self.root / "retraind.log"

    @property
    def serving_log(self) -> Path:
        return self.root / "serving.log"
