"""Kill any process at a bad moment: no job is lost, none deploys twice, nothing is left behind."""

import signal

import psutil
import pytest
import redis
from system import children_of, kill_tree

pytestmark = pytest.mark.timeout(400)


def assert_told_exactly_once(system, *, deployments=1):
    """One outcome a decision, one version a job, and a log that equals the ledger."""
    requested = [event["job"] for event in system.events("job.requested")]
    closed = [event["job"] for event in system.events("job.closed")]
    assert sorted(requested) == sorted(closed)
    assert len(system.events("model.deployed")) == deployments
    registered = [event["job"] for event in system.events("model.registered")]
    assert len(registered) == len(set(registered))
    verified = system.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def succeeded(system, stage):
    return [event for event in system.events("stage.succeeded") if event["data"]["stage"] == stage]


def test_a_standby_takes_over_from_a_daemon_that_was_killed_and_at_once_from_one_that_stops_in_good_order(make_system):
    system = make_system(triggers={"rows": {"type": "volume", "rows": 10**9}})
    first = system.start("run")
    system.wait_for("daemon.led")
    second = system.start("run")
    system.wait_for("daemon.started", 2)
    kill_tree(first.pid)
    first.wait()
    led = system.wait_for("daemon.led", 2, seconds=30)
    assert str(second.pid) in led[1]["data"]["daemon"]
    assert led[1]["data"]["token"] > led[0]["data"]["token"]
    system.start("run")
    system.wait_for("daemon.started", 3)
    second.terminate()
    assert second.wait(20) == 0
    system.wait_for("daemon.led", 3, seconds=3)


def test_a_worker_asked_to_stop_hands_its_job_over_and_a_flushed_broker_loses_it_not(make_system):
    system = make_system()
    (system.folder / "hold").touch()
    up = system.start("up")
    system.wait("training", (system.folder / "training").exists)
    system.start("worker")
    parent = min(children_of(up.pid, "worker"), key=lambda process: process.create_time())
    (system.folder / "training").unlink()
    parent.terminate()
    system.wait_for("job.interrupted", seconds=30)
    system.wait("second training", (system.folder / "training").exists)
    redis.Redis(unix_socket_path=str(system.folder / "state/broker/broker.sock")).flushall()
    (system.folder / "hold").unlink()
    system.wait_for("model.deployed")
    assert len(succeeded(system, "train")) == 1
    assert_told_exactly_once(system)


def test_nothing_outlives_an_up_that_was_killed(make_system):
    system = make_system()
    (system.folder / "hold").touch()
    up = system.start("up")
    system.wait("training", (system.folder / "training").exists)
    family = psutil.Process(up.pid).children(recursive=True)
    assert len(family) > 5
    up.kill()
    up.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []


def test_what_a_killed_worker_was_doing_ends_with_it_and_another_worker_is_started(make_system):
    system = make_system()
    (system.folder / "hold").touch()
    up = system.start("up")
    system.wait("training", (system.folder / "training").exists)
    worker = min(children_of(up.pid, "worker"), key=lambda process: process.create_time())
    family = worker.children(recursive=True)
    assert len(family) >= 3  # its child, the guard and the training
    up.send_signal(signal.SIGSTOP)  # the next worker would kill what it finds
    worker.kill()
    _, alive = psutil.wait_procs(family, timeout=15)
    up.send_signal(signal.SIGCONT)
    assert alive == []
    system.wait("another worker", lambda: children_of(up.pid, "worker"))
