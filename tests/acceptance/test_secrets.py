"""Secrets that are planted wherever a user may write one are found nowhere that anybody but their user would look."""

import gzip
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
import yaml
from servers import PostgresServer, free_port, valkey_server
from system import System, configuration

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]

TRAIN = """
import os
from pathlib import Path
from sklearn.linear_model import LogisticRegression

def train(data, target, api_key, endpoint):
    print("calling", endpoint, "with", api_key)
    if Path("fail").exists():
        raise RuntimeError(f"no answer from {endpoint} for {os.environ['PLANTED_ENVIRONMENT_TOKEN']}")
    return LogisticRegression().fit(data.drop(columns=[target]), data[target])
"""
DEPLOY = """
echo "deploying with $PLANTED_ENVIRONMENT_TOKEN"
if [ -e refuse ]; then echo "$PLANTED_ENVIRONMENT_TOKEN was refused"; exit 3; fi
"""


@pytest.fixture
def planted(tmp_path: Path) -> dict[str, str]:
    """Each place with a secret of its own; with characters that URLs and YAML write otherwise."""
    places = ["ledger", "store", "query", "broker", "alert", "file", "environment", "literal"]
    return {place: f"{place}Secret{secrets.token_hex(8)}" for place in places}


@pytest.fixture
def system(
    tmp_path: Path, planted: dict[str, str], postgres: PostgresServer, postgres_url: str
) -> Iterator[tuple[System, dict[str, str], str]]:
    base = postgres_url.rpartition("/")[2]
    place = f"127.0.0.1:{postgres.port}"
    made = configuration(
        training={
            "data": {"window": {"rolling": "30d"}},
            "trainer": {
                "function": "train.py:train",
                "params": {"api_key": "${PLANTED_KEY}", "endpoint": f"https://user:{planted['literal']}@example.org/"},
            },
        },
        deploy=[{"mlflow": "delays"}, {"directory": "models/production"}, {"command": ["sh", "deploy.sh"]}],
        policy={"cooldown": "1h", "retries": {"attempts": 2, "delay": "1s"}},
    )
    made["models"]["broken"] = {
        "predictions": {
            "url": f"postgresql+psycopg://postgres:{planted['store']}@{place}/{base}_nowhere",
            "columns": {"features": ["x"]},
        },
        "triggers": {"volume": {"type": "volume", "rows": 10}, "stale": {"type": "interval", "every": "1h"}},
        "training": {
            "data": {
                "source": {
                    "sql": "SELECT x, actual FROM nowhere",
                    "url": f"postgresql://postgres:{planted['query']}@{place}/{base}",
                }
            },
            "trainer": {"sklearn": "sklearn.linear_model.LogisticRegression"},
        },
    }
    with valkey_server() as server, redis.Redis.from_url(server.url()) as client:
        client.config_set("requirepass", planted["broker"])
        made["ledger"] = f"postgresql+psycopg://postgres:${{PLANTED_LEDGER}}@{place}/{base}"
        made["broker"] = f"redis://:{planted['broker']}@127.0.0.1:{server.port}/0"
        made["alerts"] = [{"url": f"json://127.0.0.1:{free_port()}/{planted['alert']}", "on": ["failed", "deployed"]}]
        system = System(tmp_path / "project", made)
        system.write()
        (system.folder / "train.py").write_text(TRAIN)
        (system.folder / "deploy.sh").write_text(DEPLOY)
        for file in ("fail", "refuse"):
            (system.folder / file).touch()
        (tmp_path / "key").write_text(planted["file"] + "\n")
        yield system, planted, base
        system.kill()


def commands_running() -> str:
    """What `ps` would show of every process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


def database(conninfo: str) -> str:
    """Every row of every table."""
    said = []
    with psycopg.connect(conninfo) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            rows = connection.execute(f'SELECT t::text FROM "{name}" t').fetchall()
            said += [f"{name}: {row}" for (row,) in rows]
    return "\n".join(said)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            yield str(path), gzip.decompress(content) if path.suffix == ".gz" else content


def test_planted_secrets_are_found_nowhere(
    system: tuple[System, dict[str, str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    postgres: PostgresServer,
) -> None:
    project, planted, base = system
    monkeypatch.setenv("PLANTED_LEDGER", planted["ledger"])
    monkeypatch.setenv("PLANTED_ENVIRONMENT_TOKEN", planted["environment"])
    monkeypatch.setenv("PLANTED_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("RETRAIND_LOG_LEVEL", "DEBUG")
    # A secret counts as one because the configuration takes it in.
    project.configuration["models"]["delays"]["training"]["trainer"]["params"]["endpoint"] += (
        "${PLANTED_ENVIRONMENT_TOKEN}"
    )
    (project.folder / "retraind.yaml").write_text(yaml.safe_dump(project.configuration))
    seen: dict[str, str] = {}

    def ask(*verb: str) -> None:
        answer = project.run(*verb)
        seen["retraind " + " ".join(verb)] = answer.stdout + answer.stderr

    project.start("run")
    project.start("worker")
    shown = []

    def closed(count: int) -> bool:
        shown.append(commands_running())
        return len([event for event in project.events("job.closed") if event["model"] == "delays"]) >= count

    project.wait("failure", lambda: closed(1))
    (project.folder / "fail").unlink()
    ask("trigger", "delays", "--debug")
    project.wait("failure of the command", lambda: closed(0) and project.events("target.failed"))
    (project.folder / "refuse").unlink()
    project.wait("end of the second", lambda: closed(2))
    project.wait("the other model's end", lambda: [e for e in project.events("job.closed") if e["model"] == "broken"])
    failed = project.events("job.closed")[0]["job"]
    for verb in (["status"], ["jobs", "--json"], ["check", "--debug"], ["show", failed], ["show", failed, "--json"]):
        ask(*verb)
    ask("evaluate", "broken", "--debug")
    project.stop()
    seen["the ledger"] = database(postgres.conninfo(base))
    seen["ps"] = "\n".join(shown)
    everything = [(name, said.encode()) for name, said in seen.items()]
    everything += files(project.folder / "state")
    everything += [(str(log), log.read_bytes()) for log in project.folder.glob("*.log")]
    leaks = {
        f"{place} in {name}": said[max(0, said.find(secret.encode()) - 200) :][:400]
        for name, said in everything
        for place, secret in planted.items()
        if secret.encode() in said
    }
    assert leaks == {}
    # And they were where they could have leaked: what was printed and refused is there, without them.
    train = b"".join(said for name, said in everything if name.endswith("train.log"))
    assert b"calling https://user:***@example.org/*** with ***" in train
    assert b"RuntimeError: no answer from" in train
    deploy = b"".join(said for name, said in everything if "/targets/" in name and name.endswith(".log"))
    assert b"*** was refused" in deploy
    assert any(b"***" in said for name, said in everything if name == "the ledger")


def test_an_error_before_the_configuration_is_read_whole_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "retraind.yaml").write_text("ledger: postgresql://u:plantedSecret1@h:port/x\nmodels: {a: ${PLANTED}}\n")
    answer = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "status", "--debug"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PLANTED": "plantedSecret2"},
        timeout=60,
    )
    assert answer.returncode == 2
    assert "plantedSecret" not in answer.stdout + answer.stderr
