"""The whole configuration file, as one typed object that every process is handed.

Made by `retraind.config.loading.load`; every path in it is absolute then.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from retraind.config.agreement import disagreements, member_problems
from retraind.config.deploy import Target
from retraind.config.paths import BrokerUrl, DatabaseUrl, FilePath, TrackingUrl, with_absolute_paths
from retraind.config.policy import Policy
from retraind.config.predictions import Predictions
from retraind.config.retention import Retention
from retraind.config.section import Section, one_of, refuse
from retraind.config.training import SqlSource, Training
from retraind.events import KNOWN_ALERT_NAMES
from retraind.nearest import nearest
from retraind.redaction import passwords_in
from retraind.states import Stage
from triggers.base import Trigger
from triggers.catalog import parse_trigger, trigger_json_schema
from triggers.quantities import Duration, Size, format_duration

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def _name(value: str) -> str:
    """Names become directories, queue messages and registry names."""
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is no name; use letters, digits, _ . and - (at most 100, neither . nor - first), as delays-2024"
        )
    return value


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})]


class Lease(Section):
    """How long a claim stands without a heartbeat, and how often one is sent."""

    length: Duration = Field(
        default="30s", validate_default=True, description="After so long without a heartbeat a job is taken over."
    )
    heartbeat: Duration = Field(default="5s", validate_default=True, description="Time between heartbeats.")

    @property
    def lead(self) -> timedelta:
        """How long the leading daemon's lease stands. Shorter than a job's: a standby must lead within that length of
        the leader's death on another machine, and all that a lead taken too early costs is a look."""
        return max(self.length / 2, 3 * self.heartbeat)

    @model_validator(mode="after")
    def _outlives_heartbeats(self) -> "Lease":
        if self.length < 2 * self.heartbeat:
            raise ValueError(
                f"length ({format_duration(self.length)}) must be at least twice heartbeat "
                f"({format_duration(self.heartbeat)}), or a single late heartbeat loses the lease"
            )
        return self


class Audit(Section):
    """The audit log."""

    path: FilePath = Field(
        default=Path("state/audit.jsonl"), description="The JSONL file; by default `audit.jsonl` in `state`."
    )
    required: bool = Field(default=False, description="Hold new decisions while the log cannot be written.")
    rotate: Size = Field(
        default="64MiB", validate_default=True, description="A segment this long is closed and a new one started."
    )


class Mlflow(Section):
    """Where runs and model versions are kept."""

    url: TrackingUrl | None = Field(
        default=None,
        repr=False,
        description="Tracking server or database, as `http://mlflow:5000`; by default `sqlite:///STATE/mlflow.db`.",
    )
    experiment: str | None = Field(
        default=None, min_length=1, description="The experiment of every run; by default the model's name."
    )


class Workers(Section):
    """What every worker process does."""

    concurrency: int = Field(default=1, ge=1, description="Stages that one worker process runs at a time.")
    queues: dict[Stage, Name] = Field(
        default={},
        description="The queue of a stage, as `train: gpu`, so that only workers of that queue do it.",
    )
    grace: Duration = Field(
        default="60s", validate_default=True, description="Time a stage is given to end when asked to stop."
    )


class Monitor(Section):
    """How the daemon watches."""

    threads: int = Field(default=4, ge=1, description="Evaluations at a time.")
    reconcile_every: Duration = Field(
        default="15s", validate_default=True, description="Time between searches for lost messages and dead workers."
    )
    republish_after: Duration = Field(
        default="30s", validate_default=True, description="Age at which an unclaimed job is announced again."
    )
    converge_every: Duration = Field(
        default="30s", validate_default=True, description="Time between checks that every target shows the champion."
    )
    files_scan_every: Duration = Field(
        default="60s", validate_default=True, description="Time between full scans of watched files."
    )
    files: Literal["auto", "inotify", "poll"] = Field(
        default="auto",
        description="How file changes are noticed; `auto` polls network file systems and uses inotify for others.",
    )


class Alert(Section):
    """Who is told what."""

    url: str = Field(min_length=1, repr=False, description="An Apprise URL, as `slack://...` or `json://host/path`.")
    on: tuple[Annotated[str, Field(json_schema_extra=one_of(KNOWN_ALERT_NAMES))], ...] = Field(
        min_length=1, description="Job states or event names, as `failed`, `awaiting_approval` or `model.deployed`."
    )

    @field_validator("url")
    @classmethod
    def _has_a_scheme(cls, value: str) -> str:
        if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", value):
            raise ValueError("this is not an Apprise URL; write SCHEME://..., as json://host/path or mailto://...")
        return value

    @field_validator("on")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        refuse(((index,), _unknown_event(name)) for index, name in enumerate(value) if name not in KNOWN_ALERT_NAMES)
        return value


def _unknown_event(name: str) -> str:
    near = nearest(name, KNOWN_ALERT_NAMES)
    mend = f"did you mean {near!r}?" if near else f"write some of {', '.join(sorted(KNOWN_ALERT_NAMES))}"
    return f"{name!r} is neither a job state nor an event; {mend}"


def _trigger(value: object, _handler: object, info: ValidationInfo) -> Trigger:
    """The trigger that `value` describes, with its paths absolute and what is wrong with its type said at `type`."""
    directory = info.context.get("directory") if isinstance(info.context, dict) else None
    try:
        return parse_trigger(with_absolute_paths(value, directory))
    except ValidationError:
        raise
    except (ValueError, ArithmeticError) as error:
        place = ("type",) if isinstance(value, Mapping) and value.get("type") is not None else ()
        refuse([(place, str(error))])
        raise


TriggerSetting = Annotated[
    SerializeAsAny[Trigger], WrapValidator(_trigger), Field(json_schema_extra=trigger_json_schema)
]


class Model(Section):
    """One thing watched: its predictions, its triggers, and how it is trained and deployed."""

    predictions: Predictions = Field(description="The table of predictions and actuals.")
    triggers: dict[Name, TriggerSetting] = Field(
        default={}, description="What leads to a retraining, by a name of your own; see `docs/triggers.md`."
    )
    policy: Policy = Field(default=Policy(), description="How firings become jobs, and jobs deployments.")
    training: Training = Field(description="How a challenger is trained and judged.")
    deploy: tuple[Target, ...] = Field(
        default=(),
        min_length=1,
        description="Where a champion is shown: `{mlflow: NAME, alias: ALIAS}`, `{directory: PATH}`, "
        "`{command: [PROGRAM, ...]}` or `{plugin: NAME}`; by default the alias `champion` of a registered model "
        "of this model's name.",
    )

    @field_validator("triggers")
    @classmethod
    def _members_exist(cls, value: dict[str, Trigger]) -> dict[str, Trigger]:
        refuse(member_problems(value))
        return value

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Model":
        refuse(disagreements(self.predictions, self.triggers, self.training))
        return self


class Settings(Section):
    """The configuration file."""

    models: dict[Name, Model] = Field(min_length=1, description="What is watched, by a name of your own.")
    state: FilePath = Field(
        default=Path("state"), validate_default=True, description="The directory for everything retraind keeps."
    )
    ledger: DatabaseUrl | None = Field(
        default=None,
        repr=False,
        description="The ledger's database; by default `sqlite:///STATE/ledger.db`. "
        "Share one with `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`.",
    )
    broker: BrokerUrl = Field(
        default="embedded",
        repr=False,
        description="`embedded` (a Valkey server that `retraind up` runs) or `redis://HOST:PORT/NUMBER`.",
    )
    mlflow: Mlflow = Field(default=Mlflow(), description="Where runs and model versions are kept.")
    audit: Audit = Field(default=Audit(), description="The audit log.")
    lease: Lease = Field(default=Lease(), description="How a worker holds a job.")
    workers: Workers = Field(default=Workers(), description="What every worker process does.")
    monitor: Monitor = Field(default=Monitor(), description="How the daemon watches.")
    retention: Retention = Field(default=Retention(), description="How long what is over is kept.")
    alerts: tuple[Alert, ...] = Field(default=(), description="Who is told what; by default nobody.")

    _source_path: Path = PrivateAttr(default=Path("retraind.yaml"))
    _expanded: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="before")
    @classmethod
    def _derive_defaults(cls, data: Any) -> Any:
        """Fill in what follows from other settings: audit log from `state`, deploy target from the model's name."""
        if not isinstance(data, dict):
            return data
        derived = dict(data)
        audit, state = data.get("audit", {}), data.get("state", "state")
        if isinstance(audit, dict) and isinstance(state, str | Path):
            derived["audit"] = {"path": str(Path(state, "audit.jsonl")), **audit}
        if isinstance(data.get("models"), dict):
            derived["models"] = {
                name: {"deploy": [{"mlflow": name}], **model} if isinstance(model, dict) else model
                for name, model in data["models"].items()
            }
        return derived

    def model(self, name: str) -> Model:
        """Raises KeyError for a model that is not configured."""
        return self.models[name]

    @property
    def source_path(self) -> Path:
        """The configuration file itself."""
        return self._source_path

    @property
    def directory(self) -> Path:
        """Where the configuration file lies: relative paths start here, and commands run here."""
        return self._source_path.parent

    @property
    def profiles(self) -> Path:
        """The directory of what the daemon has counted, a directory for each model. It can always be made again."""
        return self.state / "profiles"

    @property
    def jobs_directory(self) -> Path:
        """One directory per job is made in it."""
        return self.state / "jobs"

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger."""
        url = self.ledger or f"sqlite:///{self.state / 'ledger.db'}"
        # SQLAlchemy 2.0 takes the bare name for psycopg2, which retraind does not bring.
        return re.sub(r"^postgresql://", "postgresql+psycopg://", url)

    @property
    def mlflow_url(self) -> str:
        """The tracking and registry URL."""
        return self.mlflow.url or f"sqlite:///{self.state / 'mlflow.db'}"

    def experiment(self, model_name: str) -> str:
        """The MLflow experiment of that model's runs."""
        return self.mlflow.experiment or model_name

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """What must never be printed: passwords in URLs, alert addresses, and secrets from the environment."""
        found = [password for url in self._urls() for password in passwords_in(url)]
        # An Apprise URL carries its tokens anywhere.
        found += [alert.url.partition("://")[2] for alert in self.alerts]
        return tuple(dict.fromkeys((*found, *self._expanded)))

    def _urls(self) -> Iterator[str]:
        yield from (self.ledger_url, self.mlflow_url, self.broker)
        yield from (alert.url for alert in self.alerts)
        for model in self.models.values():
            yield model.predictions.url
            if isinstance(model.training.data.source, SqlSource) and model.training.data.source.url:
                yield model.training.data.source.url
