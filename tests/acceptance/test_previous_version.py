"""Processes of the former schema beside those of this one, on one ledger, whichever of them leads or works.

`schema_0001.tar.xz` holds the packages as they were when the ledger had its first schema.
"""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from system import System

from retraind.ledger.schema import HEAD

pytestmark = [pytest.mark.timeout(400), pytest.mark.soak]
MakeSystem = Callable[..., System]
PACKED = Path(__file__).parent / "schema_0001.tar.xz"
STAGES = ["ingest", "validate", "train", "evaluate", "register", "deploy"]


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The former version's packages."""
    with tarfile.open(PACKED) as packed:
        packed.extractall(tmp_path / "former", filter="data")
    return tmp_path / "former"


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def schema(url: str) -> str:
    """The newest migration done, wherever that version writes it."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = engine.dialect.get_table_names(connection)
        name = "schema_version" if "schema_version" in tables else "alembic_version"
        found = connection.execute(text(f"SELECT version_num FROM {name}")).scalar_one()
    engine.dispose()
    return str(found)


def test_each_version_carries_out_what_the_other_decided(
    make_system: MakeSystem, former: Path, ledger_url: str, valkey_url: str
) -> None:
    new = make_system()
    new.configuration |= {"ledger": ledger_url, "broker": valkey_url}
    new.write()
    old = System(new.folder, new.configuration, code=former, processes=new.processes)

    daemon = old.start("run")
    first = old.wait_for("job.requested")[0]["job"]
    assert schema(ledger_url) == "0001"
    worker = new.start("worker")  # brings the schema forward, and works on what the old daemon decided
    closed(new, 1)
    assert schema(ledger_url) == HEAD
    assert daemon.poll() is None

    new.start("run")  # stands by
    daemon.terminate()
    daemon.wait(40)
    worker.terminate()
    worker.wait(60)
    old.start("worker")
    assert new.run("trigger", "delays", "--force").returncode == 0
    second = new.wait_for("job.requested", 2)[1]["job"]
    closed(new, 2)

    for job in (first, second):
        stages = [event["data"]["stage"] for event in new.events("stage.succeeded") if event["job"] == job]
        assert stages == STAGES
    for version in (old, new):
        assert version.run("status").returncode == 0
        proved = version.run("audit", "verify")
        assert proved.returncode == 0, proved.stdout + proved.stderr


def closed(system: System, jobs: int) -> None:
    ends = system.wait_for("job.closed", jobs)
    assert [event["data"]["outcome"] for event in ends] == ["deployed"] * jobs, system.told()
