"""What `retraind up` keeps running is the daemon and the worker, and nothing that they do not need."""

import json
import os
import signal
import subprocess
import sys

import pytest

SERVING = """
import atexit, json, sys
names = json.loads(sys.argv.pop(1))
atexit.register(lambda: open("loaded", "w").write(json.dumps([n for n in names if n in sys.modules])))
from daemon.serving import main
sys.exit(main())
"""
KEEPING = """
import json, sys
import daemon.keeping
from retraind import embedded_broker
print(embedded_broker._program())
unwanted = ("asyncio", "ssl", "valkey", "redis", "rich", "pydantic", "psutil")
print(json.dumps([name for name in unwanted if name in sys.modules]))
import structlog
print(structlog.stdlib.asyncio.run.__module__)
"""
NEEDLESS = (
    *("typer", "rich", "alembic", "sqlalchemy.dialects.postgresql", "mlflow", "pandas", "sklearn"),
    *("numpy", "pyarrow", "scipy", "psycopg"),
)


@pytest.mark.parametrize(("verb", "sign"), [("run", "daemon.led"), ("worker", None)])
def test_it_holds_neither_the_command_line_nor_what_others_need(make_system, verb, sign):
    system = make_system(triggers={"rows": {"type": "volume", "rows": 10**9}})
    assert system.run("status").returncode == 0  # the ledger is made
    with (system.folder / "served.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVING, json.dumps(NEEDLESS), str(system.folder / "retraind.yaml"), verb],
            cwd=system.folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "RETRAIND_LOG": "json"},
        )
    system.processes.append(process)
    if sign is None:
        system.wait("presence", lambda: "broker_absent" in (system.folder / "served.log").read_text())
    else:
        system.wait_for(sign)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert json.loads((system.folder / "loaded").read_text()) == []


def test_what_keeps_them_running_holds_no_client_of_the_broker_and_no_asyncio_until_it_is_used():
    said = subprocess.run([sys.executable, "-c", KEEPING], capture_output=True, text=True, check=True).stdout
    program, loaded, later = said.splitlines()
    assert os.access(program, os.X_OK)
    assert json.loads(loaded) == []
    assert later == "asyncio.runners"


def test_a_broken_configuration_is_a_sentence_and_exit_code_2(make_system):
    system = make_system()
    (system.folder / "retraind.yaml").write_text("models: {delays: {trigers: {}}}")
    call = [sys.executable, "-m", "daemon.serving", str(system.folder / "retraind.yaml"), "run"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=system.folder)
    assert done.returncode == 2
    assert done.stderr.startswith("retraind: ")
    assert "trigers" in done.stderr
    assert "Traceback" not in done.stderr
