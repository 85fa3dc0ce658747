"""The table that no neighbour fills: whoever is killed or doubled, there is exactly one run, and the state shown is
true."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from system import TRAINING, System, children_of, kill_tree

from retraind.config.loading import load
from retraind.faults import VARIABLE
from retraind.queue import celery_app

pytestmark = pytest.mark.timeout(400)
MakeSystem = Callable[..., System]


def shown(system: System) -> list[dict[str, Any]]:
    """The jobs as `retraind jobs --json` shows them, newest first."""
    answered = system.run("jobs", "--json")
    assert answered.returncode == 0, answered.stderr
    found: list[dict[str, Any]] = json.loads(answered.stdout)
    return found


def assert_exactly_one_run(system: System) -> None:
    """One decision, each stage once, one deployment; and what people and programs are shown says so."""
    system.wait_for("job.closed")
    assert len(system.events("job.requested")) == 1
    assert [event["data"]["outcome"] for event in system.events("job.closed")] == ["deployed"]
    stages = [event["data"]["stage"] for event in system.events("stage.succeeded")]
    assert stages == ["ingest", "validate", "train", "evaluate", "register", "deploy"]
    assert [job["state"] for job in shown(system)] == ["deployed"]
    assert system.run("audit", "verify").returncode == 0


def hold_in_training(system: System) -> "subprocess.Popen[bytes]":
    (system.folder / "hold").touch()
    up = system.start("up")
    trained_again(system)
    return up


def trained_again(system: System) -> None:
    """Waits until a training has begun and is held."""
    system.wait("training", (system.folder / "training").exists)
    (system.folder / "training").unlink()


def test_the_decider_is_killed_after_deciding_and_the_worker_sleeps_past_its_lease(make_system: MakeSystem) -> None:
    system = make_system()
    daemon = system.start("run")  # there is no broker: the decision stands and nobody was told
    system.wait_for("job.requested")
    kill_tree(daemon.pid)
    daemon.wait()
    assert not system.events("job.queued")
    assert [job["state"] for job in shown(system)] == ["requested"]
    up = hold_in_training(system)
    sleepers = children_of(up.pid, "worker")
    for sleeper in sleepers:
        sleeper.send_signal(signal.SIGSTOP)
    second = system.start("worker")
    trained_again(system)
    for sleeper in sleepers:
        sleeper.send_signal(signal.SIGCONT)
    time.sleep(2)  # time enough for a sleeper to try
    (system.folder / "hold").unlink()
    assert_exactly_one_run(system)  # and what the sleeper had trained was not committed
    assert len(system.events("model.registered")) == len(system.events("model.deployed")) == 1
    assert second.poll() is None


def test_whoever_is_killed_in_the_middle_of_a_step_there_is_one_run_on_one_set_of_data(make_system: MakeSystem) -> None:
    system = make_system(policy={"retries": {"attempts": 5, "delay": "1s"}})
    up = hold_in_training(system)
    data = next(system.folder.glob("state/jobs/*/data/data.parquet"))
    before = (data.read_bytes(), data.stat().st_mtime_ns)
    for training in children_of(up.pid, TRAINING):
        training.kill()
    trained_again(system)
    assert [job["state"] for job in shown(system)] == ["running"]

    kill_workers(up.pid)
    trained_again(system)
    assert len(system.events("job.recovered")) == 1

    kill_at_one_stroke(up)
    system.start("up")
    trained_again(system)
    (system.folder / "hold").unlink()
    assert_exactly_one_run(system)
    assert (data.read_bytes(), data.stat().st_mtime_ns) == before
    assert (system.folder / "models/production/current/MLmodel").is_file()


def kill_workers(up: int) -> None:
    training, workers = children_of(up, TRAINING), children_of(up, "worker")
    assert training
    for worker in workers:
        with suppress(psutil.NoSuchProcess):  # a child ends when its parent is killed
            worker.kill()
    psutil.wait_procs([*training, *workers], timeout=20)
    assert not [process for process in training if process.is_running()]


def kill_at_one_stroke(up: "subprocess.Popen[bytes]") -> None:
    training = children_of(up.pid, TRAINING)
    assert training
    kill_tree(up.pid, signal.SIGKILL)
    up.wait()
    psutil.wait_procs(training, timeout=20)
    assert not [process for process in training if process.is_running()]


def test_the_decider_of_a_one_minute_schedule_is_down_for_three_minutes(
    make_system: MakeSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is stepped while it is down. What was missed becomes one run, and each missed occurrence is told."""
    plan = tmp_path / "plan"
    (plan / "armed").mkdir(parents=True)
    (plan / "struck").mkdir()
    monkeypatch.setitem(os.environ, VARIABLE, str(plan))
    system = make_system(triggers={"minutely": {"type": "cron", "schedule": "* * * * *"}})
    daemon = system.start("run")
    system.wait_for("daemon.led")
    system.wait("look", lambda: looked(system), every=1.0)
    kill_tree(daemon.pid)
    daemon.wait()
    decided = len(system.events("job.requested"))  # a minute may have begun meanwhile
    (plan / "clock").write_text("180")
    system.start("run")
    requested = system.wait_for("job.requested", decided + 1) if not decided else system.events("job.requested")
    assert len(requested) == 1  # what follows joins the open job: there is no worker yet
    system.start("up")
    system.wait_for("job.closed")
    assert [event["data"]["outcome"] for event in system.events("job.closed")][:1] == ["deployed"]
    first = requested[0]["job"]
    stages = [event["data"]["stage"] for event in system.events("stage.succeeded") if event["job"] == first]
    assert stages == ["ingest", "validate", "train", "evaluate", "register", "deploy"]


def looked(system: System) -> bool:
    """Whether every trigger was looked at once."""
    answered = system.run("status", "--json")
    models = json.loads(answered.stdout)["models"] if answered.returncode == 0 else []
    return any(trigger["last_look_at"] for model in models for trigger in model["triggers"])


def test_two_deciders_decide_once_and_doubled_and_forged_messages_do_nothing(make_system: MakeSystem) -> None:
    system = make_system()
    first, second = system.start("run"), system.start("run")
    system.wait_for("daemon.started", 2)
    system.wait_for("job.requested")
    system.start("worker")
    hold_in_training(system)
    forge(system)
    (system.folder / "hold").unlink()
    assert_exactly_one_run(system)
    assert len(system.events("model.registered")) == len(system.events("model.deployed")) == 1
    assert first.poll() is None
    assert second.poll() is None
    decided_by = {event["actor"] for event in system.events("job.requested")}
    assert len(decided_by) == 1


def forge(system: System) -> None:
    """Sends the wake-ups of the job again, and others that nobody should send."""
    job = system.events("job.requested")[0]["job"]
    app = celery_app(load(system.folder / "retraind.yaml", os.environ), publisher=True)
    for name in ("train", "ingest", "deploy", "register"):
        for argument in (job, "261121-000000-ffffff", "'; DROP TABLE jobs; --", 7, None, {"job": job}):
            app.send_task(f"retraind.{name}", args=[argument])
    app.send_task("retraind.converge", args=["no-such-model"])
