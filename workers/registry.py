"""The registry: MLflow's tracking server and model registry, and the only place in the worker that speaks to them.

A challenger is registered as a run (parameters, metrics, tags) with the model directory among its
artifacts, and a model version whose source is that directory: `mlflow.pyfunc.load_model` finds it as
`models:/NAME/VERSION` and `models:/NAME@champion`, on servers of MLflow 2 and 3 alike. Every step is
looked up by the job's id before it is made, so that asking again makes nothing twice.

MLflow takes seconds to import, so it is imported where it is used.
"""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from retraind import faults
from retraind.errors import RetraindError, TransientFailure, UnknownFailure
from retraind.redaction import redact
from workers import healing, registry_mark
from workers.durable import making_once
from workers.healing import JOB_TAG
from workers.lifeline import unfenced
from workers.temporaries import beside, discard, private_directory

if TYPE_CHECKING:
    from mlflow import MlflowClient

VERSION_TAG = "retraind.version"
PREVIOUS = "previous"
ARTIFACT_PATH = "model"
CONNECT_SECONDS = 5.0
DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
# Bounds where MLflow's own would hold a worker for minutes; what the environment sets already stays.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# What MLflow answers when it, or what it stands on, cannot answer just now.
PASSING = frozenset(
    {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
)
MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})  # the latter for an alias nobody set


@dataclass(frozen=True)
class Registration:
    """A challenger to be registered."""

    name: str  # the registered model's
    experiment: str
    job: str
    model: Path  # the MLflow model directory
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started: datetime  # aware
    ended: datetime
    importance: Mapping[str, Any] | None = None  # kept beside the model as importance.json; None: not known


@dataclass(frozen=True)
class Registered:
    """A model version."""

    version: str
    uri: str  # models:/NAME/VERSION
    run: str | None


@dataclass(frozen=True)
class Registry:
    """One tracking store. `url` is a server's, or a database's; then artifacts stand under `artifacts`."""

    url: str
    artifacts: Path
    lock: Path

    def ensure_ready(self) -> None:
        """Makes sure that the store answers, and makes a database's tables if there are none.

        Under a file lock: two processes that make them at once break the database. Raises
        TransientFailure within seconds if it does not answer.
        """
        _ = self._client

    def register(self, registration: Registration, fence: Callable[[], None] = unfenced) -> Registered:
        """The model version of the job; made if there is none yet. Raises TransientFailure, UnknownFailure or, before
        each write, what `fence` raises."""
        with self._answering(), private_directory():
            found = self._of_job(registration.name, registration.job)
            if found is not None:
                return found
            fence()
            run = self._run(registration)
            self._upload(run, registration)
            self._client.set_terminated(run.info.run_id, "FINISHED", _milliseconds(registration.ended))
            self._ensure_model(registration.name)
            fence()
            self._client.create_model_version(
                registration.name,
                f"{run.info.artifact_uri}/{ARTIFACT_PATH}",
                run.info.run_id,
                tags={**registration.tags, JOB_TAG: registration.job},
            )
            return self._only_one(registration)

    def version_under(self, name: str, source: str, version: str, fence: Callable[[], None] = unfenced) -> str:
        """The version of the registered model `name` that is `version` of the registered model `source`.

        It is that version itself where both are one model, and else a version of the same files, made
        if there is none. Raises UnknownFailure where `source` has no such version.
        """
        with self._answering():
            original = self._client.get_model_version(source, version)
            if name == source:
                return version
            found = self._of_job(name, original.tags.get(JOB_TAG, ""))
            if found is not None:
                return found.version
            fence()
            self._ensure_model(name)
            tags = {**original.tags, VERSION_TAG: version}
            made = self._client.create_model_version(name, original.source, original.run_id, tags=tags)
            return str(made.version)

    def set_aliases(
        self, name: str, version: str, previous: str | None, alias: str, fence: Callable[[], None] = unfenced
    ) -> None:
        """Makes `alias` point to `version`, and `previous` to the one before (None: to nothing).

        `previous` first: whoever looks between the two finds a champion that serves, if an old one.
        """
        with self._answering():
            self._point(name, PREVIOUS, previous, fence)
            self._point(name, alias, version, fence)

    def alias_of(self, name: str, alias: str) -> str | None:
        """The version that `alias` points to, as the ledger numbers it. None: to nothing, or there is no such model."""
        with self._answering():
            found = self._aliased(name, alias)
            return None if found is None else str(found.tags.get(VERSION_TAG, found.version))

    def download(self, name: str, version: str, to: Path) -> Path:
        """The version's MLflow model directory, copied to `to`; one that is there already is taken to be it."""
        if to.exists():
            return to
        with self._answering():
            from mlflow.artifacts import download_artifacts

            to.parent.mkdir(parents=True, exist_ok=True)
            source = self._client.get_model_version(name, version).source
            with making_once(to) as made, private_directory():
                with faults.around("mlflow.download"):
                    made.mkdir()
                    fetched = Path(download_artifacts(source, dst_path=str(made), tracking_uri=self.url))
                _unwrap(fetched, made)
        return to

    def mark(self, name: str, aliases: Iterable[str] = ()) -> str | None:
        """A text that changes when these aliases or the versions of `name` do. None: it cannot be had cheaply."""
        return registry_mark.mark(self.url, name, aliases)

    def repairs(
        self, name: str, experiment: str, recorded: Mapping[str, str], ended: Collection[str]
    ) -> list[healing.Repair]:
        """What workers that had lost their job made beside its one version, and runs that nobody goes on with.
        `recorded` maps jobs to the versions that the ledger names; `ended` are the jobs that are over."""
        with self._answering():
            return healing.needed(self._client, name, experiment, recorded, ended)

    def mend(self, name: str, repair: healing.Repair) -> None:
        """Removes the versions, and ends the runs, of a repair."""
        with self._answering():
            healing.mend(self._client, name, repair)

    @cached_property
    def _client(self) -> "MlflowClient":
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        with self._answering():
            self._reach()
            from mlflow import MlflowClient

            if self._is_database:
                with _locked(self.lock):
                    self._make_tables()
            client = MlflowClient(tracking_uri=self.url, registry_uri=self.url)
            client.search_experiments(max_results=1)
            return faults.around_calls(client, "mlflow")

    @property
    def _is_database(self) -> bool:
        return not self.url.startswith(("http://", "https://", "databricks"))

    def _reach(self) -> None:
        """Fails fast where nothing listens: MLflow itself would try a database for most of a minute."""
        parts = urlsplit(self.url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme.partition("+")[0])
        if parts.hostname and port:
            socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()

    def _make_tables(self) -> None:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        if self.url.startswith("sqlite:///"):
            Path(self.url.removeprefix("sqlite:///").partition("?")[0]).parent.mkdir(parents=True, exist_ok=True)
        with faults.around("mlflow.create_store"):
            SqlAlchemyStore(self.url, self.artifacts.absolute().as_uri())

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Translates whatever MLflow, its database driver or the network raise."""
        try:
            yield
        except RetraindError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> RetraindError:
        said = redact(" ".join(str(error).split()))[:500] or type(error).__name__
        code = getattr(error, "error_code", None)
        if code is None or code in PASSING:
            return TransientFailure(f"MLflow at {redact(self.url)} does not answer: {said}.")
        return UnknownFailure(f"MLflow at {redact(self.url)} refuses: {said}.")

    def _of_job(self, name: str, job: str) -> Registered | None:
        """The job's version; the lowest, should two processes have made one each."""
        found = self._client.search_model_versions(f"name = '{name}' and tag.`{JOB_TAG}` = '{job}'")
        if not found:
            return None
        version = min(found, key=lambda each: int(each.version))
        return Registered(str(version.version), f"models:/{name}/{version.version}", version.run_id)

    def _only_one(self, registration: Registration) -> Registered:
        """The job's version, after deleting any that another process made at the same instant."""
        name, job = registration.name, registration.job
        kept = self._of_job(name, job)
        if kept is None:
            raise TransientFailure(f"MLflow at {redact(self.url)} does not show the version made for job {job} yet.")
        for version in self._client.search_model_versions(f"name = '{name}' and tag.`{JOB_TAG}` = '{job}'"):
            if str(version.version) != kept.version:
                self._client.delete_model_version(name, str(version.version))
        return kept

    def _run(self, registration: Registration) -> Any:
        """The job's run, with its parameters and metrics."""
        from mlflow.entities import Metric, Param

        experiment = self._experiment(registration.experiment)
        found = self._client.search_runs([experiment], f"tags.`{JOB_TAG}` = '{registration.job}'", max_results=1)
        run = found[0] if found else None
        if run is None:
            tags = {**registration.tags, JOB_TAG: registration.job, "mlflow.runName": registration.job}
            run = self._client.create_run(experiment, _milliseconds(registration.started), tags=tags)
        at = _milliseconds(registration.ended)
        self._client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, at, 0) for name, value in registration.metrics.items()],
            params=[Param(name, str(value)[:6000]) for name, value in registration.params.items()],
        )
        return run

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # A database has no artifact root of its own: MLflow would take ./mlruns, wherever that is.
        location = (self.artifacts.absolute() / name).as_uri() if self._is_database else None
        try:
            return str(self._client.create_experiment(name, location))
        except MlflowException:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)  # another process made it meanwhile

    def _upload(self, run: Any, registration: Registration) -> None:
        from mlflow.models import Model

        self._client.log_artifacts(run.info.run_id, str(registration.model), ARTIFACT_PATH)
        description = Model.load(str(registration.model))
        description.run_id = run.info.run_id
        self._client.log_text(run.info.run_id, description.to_yaml(), f"{ARTIFACT_PATH}/MLmodel")
        if registration.importance is not None:
            told = json.dumps(dict(registration.importance), indent=2)
            self._client.log_text(run.info.run_id, told, "importance.json")

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code not in {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}:
                raise

    def _aliased(self, name: str, alias: str) -> Any:
        """The model version behind an alias, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code in MISSING:
                return None
            raise

    def _point(self, name: str, alias: str, version: str | None, fence: Callable[[], None]) -> None:
        found = self._aliased(name, alias)
        if version is None and found is not None:
            fence()
            self._client.delete_registered_model_alias(name, alias)
        if version is not None and (found is None or str(found.version) != version):
            fence()
            self._client.set_registered_model_alias(name, alias, version)


def _unwrap(fetched: Path, made: Path) -> None:
    """Makes `made` be what stands in it as `fetched`, however deep."""
    if fetched == made:
        return
    inner = beside(made)
    with faults.around("registry.unwrap"):
        fetched.rename(inner)
        discard(made)
        inner.rename(made)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file; it falls with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
