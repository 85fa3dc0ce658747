"""The whole configuration file, as one typed object."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, WrapValidator, model_validator

from retraind.config.deploy import Target
from retraind.config.policy import Policy
from retraind.config.predictions import Predictions
from retraind.config.section import Section
from retraind.config.training import Training
from triggers.base import Trigger
from triggers.catalog import parse_trigger, trigger_json_schema
from triggers.quantities import Duration, Size


class Lease(Section):
    """How long a claim stands without a heartbeat, and how often one is sent."""

    length: Duration = Field(default="30s", validate_default=True)
    heartbeat: Duration = Field(default="5s", validate_default=True)

    @model_validator(mode="after")
    def _outlives_heartbeats(self) -> "Lease":
        if self.length < 2 * self.heartbeat:
            raise ValueError("length must be at least twice heartbeat, or a single late heartbeat loses the lease")
        return self


class Audit(Section):
    path: Path = Field(default=Path("state/audit.jsonl"), description="The JSONL file.")
    required: bool = Field(default=False, description="Hold new decisions while the log cannot be written.")
    rotate: Size = Field(default="64MiB", validate_default=True, description="A segment this long is closed and a new one started.")


class Mlflow(Section):
    url: str | None = Field(default=None, description="Tracking server or database; by default sqlite:///STATE/mlflow.db.")
    experiment: str | None = Field(default=None, description="By default the model's name.")


class Workers(Section):
    concurrency: int = Field(default=1, ge=1, description="Stages that one worker process runs at a time.")
    grace: Duration = Field(default="60s", validate_default=True, description="Time a stage is given to end when asked to stop.")


class Monitor(Section):
    threads: int = Field(default=4, ge=1, description="Evaluations at a time.")
    reconcile_every: Duration = Field(default="15s", validate_default=True)
    republish_after: Duration = Field(default="30s", validate_default=True, description="Age at which an unclaimed job is announced again.")
    rows_check_every: Duration = Field(default="5s", validate_default=True, description="Time between checks for new rows.")
    files_scan_every: Duration = Field(default="60s", validate_default=True, description="Time between full scans of watched files.")
    files: str = Field(default="auto", pattern="^(auto|inotify|poll)$", description="How file changes are noticed.")
    looks_kept: Duration = Field(default="90d", validate_default=True, description="How long looks are kept.")


class Alert(Section):
    url: str = Field(description="An Apprise URL, as slack://... or json://host/path.")
    on: tuple[str, ...] = Field(min_length=1, description="Events: job states, trigger outcomes or event names, as failed or model.deployed.")


TriggerSetting = Annotated[
    SerializeAsAny[Trigger],
    WrapValidator(lambda value, handler: parse_trigger(value)),
    Field(json_schema_extra=trigger_json_schema),
]


class Model(Section):
    predictions: Predictions
    triggers: dict[str, TriggerSetting] = Field(default={}, description="Triggers, by a name of your own.")
    policy: Policy = Policy()
    training: Training
    deploy: tuple[Target, ...] = Field(default=(), description="By default the alias champion of a registered model of this name.")


class Settings(Section):
    """The configuration file."""

    models: dict[str, Model] = Field(min_length=1)
    state: Path = Field(default=Path("state"), description="The directory for everything retraind keeps.")
    ledger: str | None = Field(default=None, description="By default sqlite:///STATE/ledger.db; share one with postgresql+psycopg://...")
    broker: str = Field(default="embedded", description="embedded (a Valkey server that `retraind up` runs) or redis://...")
    mlflow: Mlflow = Mlflow()
    audit: Audit = Audit()
    lease: Lease = Lease()
    workers: Workers = Workers()
    monitor: Monitor = Monitor()
    alerts: tuple[Alert, ...] = ()

    def model(self, name: str) -> Model:
        """Raises KeyError for a model that is not configured."""
        return self.models[name]


__all__ = ["Any", "Settings"]
