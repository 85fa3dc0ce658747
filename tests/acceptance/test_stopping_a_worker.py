"""However a worker ends, another goes on within seconds; what is finished stays, and nothing is left behind.

The lease is the default one of 30 s: that it is not waited for is the point.
"""

import signal
import time

import psutil
import pytest
from system import TRAINING, System, children_of

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]
RETRY_SECONDS = 2.0  # a killed training waits a while before it is tried again
SOON_SECONDS = 25.0  # a new interpreter, pandas and scikit-learn on a busy machine; less than the lease


class Scene:
    """A system under `retraind up` in the middle of a training."""

    def __init__(self, system: System) -> None:
        self.system = system
        (system.folder / "hold").touch()
        self.up = system.start("up")
        system.wait("training", (system.folder / "training").exists)
        self.look()

    def look(self) -> None:
        """Finds the training that is under way, and who runs it."""
        (self.training,) = children_of(self.up.pid, TRAINING)
        guard = self.training.parent()
        assert guard
        child = guard.parent()
        assert child
        parent = child.parent()
        assert parent
        self.processes = {"child": child, "parent": parent, "training": self.training}
        (self.system.folder / "training").unlink()

    def goes_on(self) -> float:
        """The seconds until another training has begun."""
        began = time.monotonic()
        self.system.wait("another training", (self.system.folder / "training").exists, 60)
        return time.monotonic() - began

    def finish(self) -> None:
        """Ends the training and sees that the job goes on, and that what it went through was done once."""
        (self.system.folder / "hold").unlink()
        self.system.wait("trained", lambda: len(self.done("train")) == 1)
        self.system.wait("evaluation", lambda: self.begun("evaluate"))
        assert len(self.done("ingest")) == len(self.done("validate")) == len(self.done("train")) == 1

    def begun(self, stage: str) -> list[dict]:
        return [event for event in self.system.events("stage.started") if event["data"]["stage"] == stage]

    def done(self, stage: str) -> list[dict]:
        return [event for event in self.system.events("stage.succeeded") if event["data"]["stage"] == stage]


@pytest.fixture
def scene(make_system) -> Scene:
    system = make_system(policy={"retries": {"attempts": 9, "delay": "1s"}})
    system.configuration["lease"] = {}
    system.write()
    return Scene(system)


@pytest.mark.parametrize(
    "ends",
    [
        [
            ("training", [signal.SIGTERM], "stage.failed"),
            ("child", [signal.SIGKILL], "job.recovered"),
            ("child", [signal.SIGTERM], "job.recovered"),
        ],
        [
            ("parent", [signal.SIGKILL], "job.recovered"),
            ("parent", [signal.SIGQUIT], "job.recovered"),
        ],
        [
            ("parent", [signal.SIGTERM, signal.SIGTERM], "job.recovered"),
            ("parent", [signal.SIGINT, signal.SIGINT], "job.recovered"),
            ("parent", [signal.SIGINT], "job.interrupted"),
        ],
    ],
    ids=["training and child", "parent at once", "parent when asked"],
)
def test_another_goes_on_at_once_on_what_is_finished(scene, ends):
    for who, signals, event in ends:
        before = len(scene.system.events(event))
        end(scene, who, signals)
        retry = RETRY_SECONDS if who == "training" else 0.0
        assert scene.goes_on() < SOON_SECONDS + retry, scene.system.told()
        assert len(scene.system.events(event)) == before + 1, scene.system.told()
        scene.look()
    scene.finish()


def end(scene: Scene, who: str, signals: list[signal.Signals]) -> None:
    target, training = scene.processes[who], scene.training
    for number in signals:
        target.send_signal(number)
        time.sleep(0.5)
    if who != "training":
        psutil.wait_procs([target], timeout=20)
        assert not target.is_running() or target.status() == psutil.STATUS_ZOMBIE
    psutil.wait_procs([training], timeout=20)
    assert not training.is_running()


def test_a_stage_that_ends_within_the_grace_is_finished_and_not_handed_over(scene):
    parent = scene.processes["parent"]
    parent.terminate()
    time.sleep(1.0)
    (scene.system.folder / "hold").unlink()
    scene.system.wait("trained", lambda: len(scene.done("train")) == 1)
    assert not scene.system.events("job.interrupted")
    psutil.wait_procs([parent], timeout=30)
    scene.system.wait("evaluation", lambda: scene.begun("evaluate"))
    assert len(scene.done("train")) == 1


def test_an_up_asked_twice_has_everything_gone_at_once(scene):
    family = psutil.Process(scene.up.pid).children(recursive=True)
    assert len(family) > 5
    scene.up.terminate()
    time.sleep(0.5)
    asked = time.monotonic()
    scene.up.terminate()
    assert scene.up.wait(60) == 0
    assert time.monotonic() - asked < 8.0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    (job,) = scene.system.events("job.requested")
    shown = scene.system.run("show", job["job"], "--json").stdout
    assert '"state": "running"' not in shown
