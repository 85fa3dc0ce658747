"""docker-compose.yml: valid by its schema, closed to the outside, and its servers' commands really run."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import yaml
from servers import PostgresServer, free_port

from retraind.config.loading import load

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def schema_verdict(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def running(service: str, replacements: dict[str, str], directory: Path) -> Iterator[None]:
    """A service's shell command as compose would hand it over, its places replaced by the test's own."""
    script = SERVICES[service]["command"][-1].replace("$$", "$")
    environment = os.environ | SERVICES[service].get("environment", {}) | {"HOME": str(directory)}
    for place, replacement in replacements.items():
        assert place in script, f"the command no longer names {place}"
        script = script.replace(place, replacement)
    with (directory / "output").open("ab") as output:
        process = subprocess.Popen(["sh", "-euc", script], cwd=directory, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str, host: str | None = None) -> int:
    """The HTTP status of `url`; 0 while nobody answers."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_file_is_valid_by_the_compose_schema_and_a_misspelt_key_is_not(tmp_path: Path) -> None:
    verdict = schema_verdict(FILE)
    assert verdict.returncode == 0, verdict.stdout
    misspelt = tmp_path / "docker-compose.yml"
    misspelt.write_text(FILE.read_text().replace("depends_on:", "depend_on:"))
    assert schema_verdict(misspelt).returncode == 1


def test_it_holds_broker_database_mlflow_daemon_and_two_workers() -> None:
    assert set(SERVICES) == {"daemon", "worker", "mlflow", "redis", "postgres"}
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in SERVICES["redis"]


def test_whoever_waits_for_a_server_waits_for_its_health() -> None:
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            assert wait == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[name]


def test_passwords_come_from_files_alone() -> None:
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or (name.endswith("_FILE") and value.startswith("/run/secrets/"))
    ignored = (ROOT / ".gitignore").read_text().split()
    for secret in COMPOSE["secrets"].values():
        assert f"/{Path(secret['file']).parent}/" in ignored


def test_the_mounted_configuration_loads_with_the_passwords_from_the_secrets(tmp_path: Path) -> None:
    environment = SERVICES["daemon"]["environment"]
    for name, path in environment.items():
        (tmp_path / Path(path).name).write_text(f"{name.lower()}\n")
    in_tests = {name: path.replace("/run/secrets", str(tmp_path)) for name, path in environment.items()}
    settings = load(ROOT / "deploy/compose/retraind.yaml", in_tests)
    assert settings.ledger == "postgresql+psycopg://retraind:postgres_password_file@postgres/retraind"
    assert settings.broker == "redis://:redis_password_file@redis:6379/0"
    mounts = [volume.split(":")[1] for volume in SERVICES["daemon"]["volumes"]]
    assert str(settings.state) in mounts
    assert settings.audit.path.is_relative_to(settings.state)


def test_named_volumes_are_declared_and_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).is_file()
            else:
                assert source in COMPOSE["volumes"]


def test_redis_asks_for_the_password_evicts_nothing_and_keeps_what_waits_over_a_restart(
    tmp_path: Path, valkey_program: Path
) -> None:
    password, port = tmp_path / "redis_password", free_port()
    password.write_text("not-so-secret\n")
    (tmp_path / "data").mkdir()
    replacements = {
        "redis-server -": f"{valkey_program} - --port {port} --bind 127.0.0.1",
        "/data": str(tmp_path / "data"),
        "/run/secrets/redis_password": str(password),
    }
    client = redis.Redis(port=port, password="not-so-secret", retry_on_error=[redis.ConnectionError])
    with running("redis", replacements, tmp_path):
        until(lambda: reachable(client))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.rpush("retraind", "a message")
    with running("redis", replacements, tmp_path):
        until(lambda: reachable(client))
        assert client.lrange("retraind", 0, -1) == [b"a message"]
    client.close()


def test_the_databases_are_made_and_mlflow_serves_from_its_own(tmp_path: Path, postgres: PostgresServer) -> None:
    psql = Path(postgres.process.args[0]).with_name("psql")
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE retraind LOGIN CREATEDB")
    made = subprocess.run(
        [psql, "--set=ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "retraind", "postgres"],
        stdin=(ROOT / "deploy/compose/databases.sql").open(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "password").write_text("not-so-secret")
    port = free_port()
    replacements = {
        "/run/secrets/postgres_password": str(tmp_path / "password"),
        "@postgres/": f"@127.0.0.1:{postgres.port}/",
        "exec mlflow": f"exec {sys.executable} -m mlflow",
        "--host 0.0.0.0": "--host 127.0.0.1",
        "5000": str(port),
        "--workers 2": "--workers 1",
        "/var/lib/mlflow": str(tmp_path),
    }
    url = f"http://127.0.0.1:{port}"
    with running("mlflow", replacements, tmp_path):
        until(lambda: answers(f"{url}/health") == 200, seconds=90)
        experiment = f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0"
        assert answers(experiment, host=f"mlflow:{port}") == 200
        assert answers(experiment, host="elsewhere.example") == 403


@pytest.fixture
def valkey_program(valkey: Any) -> Path:
    return Path(valkey.process.args[0])


def reachable(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def until(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
