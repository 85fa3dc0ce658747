"""A daemon asked to stop is gone within five seconds, whatever hangs, and at once when asked again."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import psycopg
import pytest
from hanging import silent_port
from servers import postgres_server
from system import System

pytestmark = pytest.mark.timeout(240)
STOPPED_SECONDS = 5.0
QUIET = {"rows": {"type": "volume", "rows": 10**9}}


@pytest.fixture
def until_the_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def slow_store(make_system, stack: ExitStack, postgres_url: str) -> System:
    """Looks wait for a table that another session has locked."""
    connection = stack.enter_context(psycopg.connect(postgres_url.replace("+psycopg", "")))
    connection.execute("CREATE TABLE predictions (timestamp timestamptz, x float, z float, prediction int, actual int)")
    connection.commit()
    predictions = {"url": postgres_url, "columns": {"features": ["x", "z"]}}
    system: System = make_system(predictions=predictions, triggers={"often": {"type": "volume", "rows": 1}})
    system.start("run")
    system.wait("look", lambda: "insufficient" in system.told() or '"look"' in system.told())
    connection.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
    system.run("evaluate", "delays")  # takes as long as a look does: by then the daemon's waits too
    return system


def dead_receiver(make_system, stack: ExitStack, _postgres_url: str) -> System:
    port = stack.enter_context(silent_port())
    system: System = make_system()
    url = f"json://127.0.0.1:{port}/?cto=60&rto=60"
    system.configuration["alerts"] = [{"url": url, "on": ["trigger.fired", "model.paused"]}]
    system.write()
    system.start("run")
    system.wait_for("job.requested")
    system.run("pause", "delays")
    time.sleep(3)  # receivers are looked after every two seconds
    return system


def half_open_broker(make_system, stack: ExitStack, _postgres_url: str) -> System:
    port = stack.enter_context(silent_port())
    system: System = make_system()
    system.configuration["broker"] = f"redis://127.0.0.1:{port}/0"
    system.write()
    system.start("run")
    system.wait_for("job.requested")
    time.sleep(1)
    return system


def busy_ledger(make_system, stack: ExitStack, _postgres_url: str) -> System:
    system: System = make_system(triggers=QUIET)
    system.start("run")
    system.wait_for("daemon.led")
    other = sqlite3.connect(system.folder / "state/ledger.db", isolation_level=None)
    stack.callback(other.close)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(2)  # by then a heartbeat waits
    return system


def stopped_ledger(make_system, stack: ExitStack, _postgres_url: str) -> System:
    server = stack.enter_context(postgres_server())
    system: System = make_system(triggers=QUIET)
    system.configuration["ledger"] = server.url("postgres")
    system.write()
    system.start("run")
    system.wait_for("daemon.led")
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children()]
    for member in family:
        member.send_signal(signal.SIGSTOP)
        stack.callback(member.send_signal, signal.SIGCONT)
    time.sleep(2)
    return system


@pytest.mark.parametrize("hang", [slow_store, dead_receiver, half_open_broker, busy_ledger, stopped_ledger])
def test_a_daemon_stops_within_five_seconds_while_something_hangs(
    make_system, postgres_url, until_the_end, hang: Callable[..., System]
):
    system = hang(make_system, until_the_end, postgres_url)
    (daemon,) = system.processes
    asked = time.monotonic()
    daemon.terminate()
    assert daemon.wait(60) == 0
    assert time.monotonic() - asked < STOPPED_SECONDS, system.told()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_asked_twice_is_gone_at_once(make_system, until_the_end, first):
    system = busy_ledger(make_system, until_the_end, "")
    (daemon,) = system.processes
    daemon.send_signal(first)
    time.sleep(0.5)
    asked = time.monotonic()
    daemon.terminate()
    assert daemon.wait(60) == 0
    assert time.monotonic() - asked < 1.0


def test_a_daemon_waiting_for_a_ledger_that_is_not_there_stops_when_asked(make_system):
    system: System = make_system(triggers=QUIET)
    system.configuration["ledger"] = "postgresql+psycopg://postgres@127.0.0.1:1/none"
    system.write()
    daemon = system.start("run")
    system.wait("warning", lambda: "ledger_absent" in system.told())
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait(STOPPED_SECONDS) == 0
    assert system.told().count("ledger_absent") == 1
