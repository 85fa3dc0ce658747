"""The registry, on a real MLflow store in SQLite."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from templates import empty_mlflow

from retraind.config.deploy import MlflowTarget
from retraind.errors import TransientFailure, UnknownFailure
from workers.registry import Registration, Registry
from workers.targets import DeployableVersion, Means, open_target

STARTED = datetime(2013, 7, 1, 2, 0, tzinfo=UTC)
ENDED = datetime(2013, 7, 1, 2, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    state = tmp_path_factory.mktemp("state")
    registry = Registry(empty_mlflow(state / "mlflow.db"), state / "artifacts", state / "mlflow.lock")
    registry.ensure_ready()
    return registry


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A minimal MLflow model directory that `mlflow.pyfunc` loads."""
    directory = tmp_path / "model"
    (directory / "code").mkdir(parents=True)
    (directory / "code" / f"constant_{tmp_path.name}.py").write_text(
        "class One:\n    def predict(self, rows, params=None):\n        return [1] * len(rows)\n\n\n"
        "def _load_pyfunc(path):\n    return One()\n"
    )
    flavour = {"loader_module": f"constant_{tmp_path.name}", "code": "code", "python_version": "3.11.0"}
    (directory / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": flavour}}))
    (directory / "requirements.txt").write_text("")
    return directory


def registration(model: Path, name: str, job: str = "j1") -> Registration:
    return Registration(
        name=name,
        experiment=name,
        job=job,
        model=model,
        params={"max_iter": 200, "trainer": "sklearn"},
        metrics={"accuracy": 0.91},
        tags={"retraind.data": "sha256:abc", "retraind.trigger": json.dumps({"drift": 0.3})},
        started=STARTED,
        ended=ENDED,
    )


def test_a_registered_challenger_has_run_and_version_with_all_that_is_known(registry: Registry, model: Path) -> None:
    done = registry.register(registration(model, "told"))
    assert (done.version, done.uri) == ("1", "models:/told/1")
    client = registry._client
    run = client.get_run(done.run or "")
    assert run.data.params == {"max_iter": "200", "trainer": "sklearn"}
    assert run.data.metrics == {"accuracy": 0.91}
    assert run.data.tags["retraind.job"] == "j1"
    assert (run.info.status, run.info.start_time) == ("FINISHED", STARTED.timestamp() * 1000)
    version = client.get_model_version("told", "1")
    assert version.tags["retraind.data"] == "sha256:abc"
    assert version.run_id == done.run
    assert f"{registry.artifacts.as_uri()}/told/" in version.source  # and not ./mlruns
    assert done.run == yaml.safe_load(Path(version.source.removeprefix("file://"), "MLmodel").read_text())["run_id"]


def test_registering_twice_makes_one_version(registry: Registry, model: Path) -> None:
    first = registry.register(registration(model, "twice"))
    assert registry.register(registration(model, "twice")) == first
    assert registry.register(registration(model, "twice", job="j2")).version == "2"
    client = registry._client
    assert len(client.search_model_versions("name = 'twice'")) == 2
    assert len(client.search_runs([client.get_experiment_by_name("twice").experiment_id])) == 2


def test_a_registration_cut_short_is_taken_up_where_it_stopped(
    registry: Registry, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = registry._client

    def killed(*_: object, **__: object) -> None:
        raise ConnectionError("connection reset")

    with monkeypatch.context() as patch:
        patch.setattr(client, "create_model_version", killed)
        with pytest.raises(TransientFailure, match="does not answer: connection reset"):
            registry.register(registration(model, "cut"))
    done = registry.register(registration(model, "cut"))
    assert done.version == "1"
    assert len(client.search_runs([client.get_experiment_by_name("cut").experiment_id])) == 1


def test_two_versions_of_one_job_end_as_one(registry: Registry, model: Path) -> None:
    client = registry._client
    ask = registration(model, "racing")
    first = registry.register(ask)
    source = client.get_model_version("racing", "1").source
    client.create_model_version("racing", source, first.run, tags={"retraind.job": "j1"})
    assert registry._only_one(ask) == first
    assert [version.version for version in client.search_model_versions("name = 'racing'")] == [1]


def test_aliases_follow_and_asking_again_changes_nothing(registry: Registry, model: Path) -> None:
    for job in ("j1", "j2", "j3"):
        registry.register(registration(model, "aliased", job))
    assert registry.alias_of("aliased", "champion") is None
    for version, previous in (("1", None), ("2", "1"), ("3", "2"), ("3", "2"), ("2", "1"), ("1", None)):
        registry.set_aliases("aliased", version, previous, "champion")
        assert registry.alias_of("aliased", "champion") == version
        assert registry.alias_of("aliased", "previous") == previous
    assert registry.alias_of("nobody", "champion") is None


def test_another_registered_model_shows_the_same_files_under_the_ledger_s_number(
    registry: Registry, model: Path
) -> None:
    registry.register(registration(model, "ours", "j1"))
    registry.register(registration(model, "ours", "j2"))
    assert registry.version_under("ours", "ours", "2") == "2"
    assert registry.version_under("theirs", "ours", "2") == "1"
    assert registry.version_under("theirs", "ours", "2") == "1"
    registry.set_aliases("theirs", "1", None, "champion")
    assert registry.alias_of("theirs", "champion") == "2"


def test_the_alias_target_shows_a_version_and_the_one_before(registry: Registry, model: Path, tmp_path: Path) -> None:
    means = Means("flown", registry, tmp_path, tmp_path)
    first, second = (
        DeployableVersion("flown", "flown", number, previous, f"j{number}", model, f"models:/flown/{number}")
        for number, previous in (("1", None), ("2", "1"))
    )
    for version in (first, second):
        registry.register(registration(model, "flown", version.job))
    ours = open_target(MlflowTarget(mlflow="flown"), means)
    theirs = open_target(MlflowTarget(mlflow="shop", alias="live"), means)
    assert ours.shown() is None
    for target, name, alias in ((ours, "flown", "champion"), (theirs, "shop", "live")):
        target.show(first)
        target.show(second)
        assert target.shown() == "2"
        assert registry.alias_of(name, alias) == "2"
        assert registry.alias_of(name, "previous") == "1"
    ours.show(replace(first, previous="99"))  # a version that MLflow does not have keeps none from being shown
    assert (ours.shown(), registry.alias_of("flown", "previous")) == ("1", None)


def test_a_champion_loads_by_its_alias_and_from_its_download(registry: Registry, model: Path, tmp_path: Path) -> None:
    import mlflow.pyfunc

    registry.register(registration(model, "loaded"))
    registry.set_aliases("loaded", "1", None, "champion")
    mlflow.set_tracking_uri(registry.url)
    assert mlflow.pyfunc.load_model("models:/loaded@champion").predict([[1], [2]]) == [1, 1]
    copy = registry.download("loaded", "1", tmp_path / "champion")
    assert mlflow.pyfunc.load_model(str(copy)).predict([[1]]) == [1]
    assert registry.download("loaded", "1", tmp_path / "champion") == copy


def test_a_version_that_is_not_there_is_a_refusal_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnknownFailure, match=r"refuses: .*nobody"):
        registry.download("nobody", "7", tmp_path / "champion")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "postgresql+psycopg://user:secret@127.0.0.1:9/mlflow"])
def test_an_unreachable_store_fails_within_seconds_and_may_be_retried(url: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TransientFailure, match=r"MLflow at .* does not answer: .*refused") as failure:
        Registry(url, tmp_path / "artifacts", tmp_path / "lock").ensure_ready()
    assert time.monotonic() - started < 5
    assert "secret" not in str(failure.value)


NONSENSE = """
from http.server import BaseHTTPRequestHandler, HTTPServer
server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_a_server_that_answers_nonsense_fails_within_seconds(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NONSENSE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        try:
            with pytest.raises((TransientFailure, UnknownFailure), match=f"MLflow at {url} "):
                Registry(url, tmp_path / "artifacts", tmp_path / "lock").ensure_ready()
        finally:
            server.kill()


READY = """
import sys
from pathlib import Path
from workers.registry import Registry
state = Path(sys.argv[1])
Registry(f"sqlite:///{state}/new/mlflow.db", state / "artifacts", state / "lock").ensure_ready()
"""


def test_two_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", READY, str(tmp_path)], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert not (tmp_path / "mlruns").exists()
