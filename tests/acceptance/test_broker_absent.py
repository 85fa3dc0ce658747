"""A broker that is away is a state: told once when it goes and once when it is back; then work goes on by itself."""

import json
import time

import psutil
import pytest
from brokers import Broker, broker
from system import System

pytestmark = [pytest.mark.timeout(400), pytest.mark.soak]
GOES_ON_SECONDS = 60.0
QUIET_SECONDS = 15.0


@pytest.fixture
def served(tmp_path):
    with broker(tmp_path) as made:
        yield made


class Scene:
    """A daemon and a worker on a broker of their own, with nothing to do. Jobs end with their training."""

    def __init__(self, system: System, served: Broker) -> None:
        self.system = system
        self.broker = served
        system.configuration["broker"] = served.url
        # The defaults: sooner than these would say nothing of them.
        del system.configuration["lease"], system.configuration["monitor"]
        system.write()
        system.start("run")
        system.start("worker")
        system.wait_for("daemon.led")
        system.wait("worker", lambda: "ready." in self.log("worker"))

    def log(self, verb: str) -> str:
        (path,) = self.system.folder.glob(f"{verb}-*.log")
        return path.read_text()

    def told(self, verb: str, event: str) -> int:
        return sum(event in line for line in self.log(verb).splitlines())

    def lines(self) -> int:
        return sum(len(self.log(verb).splitlines()) for verb in ("run", "worker"))

    def cpu_seconds(self) -> float:
        """What daemon and worker have spent so far, with all that descends from them."""
        families = [psutil.Process(process.pid) for process in self.system.processes]
        families += [child for process in families for child in process.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in families)

    def wait_told(self, event: str, count: int = 1) -> None:
        for verb in ("run", "worker"):
            self.system.wait(f"{event} of {verb}", lambda verb=verb: self.told(verb, event) >= count, 90)

    def ask(self) -> None:
        assert self.system.run("trigger", "delays").returncode == 0

    def done_within(self, seconds: float, before: int = 0) -> None:
        """Waits for a stage beyond those that were done before."""
        self.system.wait("a stage done", lambda: len(self.system.events("stage.succeeded")) > before, seconds)


@pytest.fixture
def scene(make_system, served) -> Scene:
    training = {"data": {"window": {"rolling": "30d"}}, "trainer": {"command": ["false"]}}
    return Scene(make_system(triggers={"rows": {"type": "volume", "rows": 10**9}}, training=training), served)


def kill(served: Broker) -> None:
    served.kill()


def restart_empty(served: Broker) -> None:
    served.start()


def hang(served: Broker) -> None:
    served.stop()


def wake(served: Broker) -> None:
    served.go_on()


@pytest.mark.parametrize(("leave", "come_back"), [(kill, restart_empty), (hang, wake)])
def test_decisions_are_kept_while_the_broker_is_away_and_carried_out_soon_after(scene, leave, come_back):
    leave(scene.broker)
    scene.ask()
    scene.wait_told("broker_absent")
    absent = scene.lines()
    status = json.loads(scene.system.run("status", "--json").stdout)
    assert any("the broker is absent" in alarm for alarm in status["alarms"])
    spent = scene.cpu_seconds()
    time.sleep(QUIET_SECONDS)
    assert scene.lines() - absent <= 4, scene.system.told()
    assert scene.cpu_seconds() - spent < QUIET_SECONDS / 5
    assert scene.system.events("job.requested")
    assert not scene.system.events("stage.started")
    come_back(scene.broker)
    scene.done_within(GOES_ON_SECONDS)
    scene.wait_told("broker_back")
    for verb in ("run", "worker"):
        assert (scene.told(verb, "broker_absent"), scene.told(verb, "broker_back")) == (1, 1), scene.system.told()


def test_a_message_that_was_flushed_is_sent_again_and_a_worker_cut_off_comes_back_by_itself(scene):
    with scene.broker.client() as client:
        client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")  # nobody takes what comes now
        scene.ask()
        client.execute_command("CLIENT", "UNPAUSE")
        client.flushall()
    scene.done_within(GOES_ON_SECONDS)
    scene.system.wait_for("job.closed")
    done = len(scene.system.events("stage.succeeded"))
    with scene.broker.client() as client:
        assert client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") > 0
    scene.ask()
    scene.done_within(GOES_ON_SECONDS, done)
    assert scene.told("worker", "broker_absent") <= 1


def test_a_worker_started_without_a_broker_waits_and_then_works(make_system, served):
    served.kill()
    system = make_system()
    system.configuration["broker"] = served.url
    system.write()
    worker = system.start("worker")
    system.start("run")
    system.wait("warning", lambda: "broker_absent" in next(system.folder.glob("worker-*.log")).read_text())
    system.wait_for("job.requested")
    time.sleep(20)
    assert worker.poll() is None
    log = next(system.folder.glob("worker-*.log")).read_text()
    assert log.count("broker_absent") == 1
    assert len(log.splitlines()) < 12, log
    served.start()
    system.wait("a stage done", lambda: system.events("stage.succeeded"), GOES_ON_SECONDS)
