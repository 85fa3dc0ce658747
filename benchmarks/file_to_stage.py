"""From a file's appearance to the beginning of the first stage, the decision recorded durably before it.

The time that the file must stay unchanged (`settle`, a second here) is taken off. The bare baseline is a
watchdog observer that sends one Celery task to a warm worker on the same broker.
"""

import statistics
import time
from pathlib import Path

from benchmarks.bare import application
from benchmarks.figure import Figure
from benchmarks.project import model
from benchmarks.rounds import WARM_UP, Rig, rig

ROUNDS = 15
SETTLE_SECONDS = 1
MOST_MS = 50.0
COLD_SECONDS = 25.0  # after so long without work the worker's children have left
COLD_ROUNDS = 2


def measure() -> list[Figure]:
    landing = {"landing": {"type": "file", "path": "data/*.csv", "settle": f"{SETTLE_SECONDS}s"}}
    with rig({"models": {"delays": model(landing)}}) as running:
        bare_directory = running.project.folder / "bare"
        bare_directory.mkdir()
        running.project.start("-m", "benchmarks.bare", running.broker, str(running.bare_notes), str(bare_directory))
        application(running.broker).send_task("bare.ping", args=("first",))
        running.next_begun(0, bare=True)
        looked = "SELECT 1 FROM triggers WHERE last_look_at IS NOT NULL"
        running.project.wait("first look", lambda: running.project.rows(looked))
        time.sleep(2.0)
        ours, bare = [], []
        for number in range(WARM_UP + ROUNDS):
            ours.append(_until_stage(running, number))
            bare.append(_until_task(running, bare_directory, number))
        cold = []
        for number in range(COLD_ROUNDS):
            time.sleep(COLD_SECONDS)
            cold.append(_until_stage(running, 1000 + number))
    mine, theirs = statistics.median(ours[WARM_UP:]), statistics.median(bare[WARM_UP:])
    return [
        Figure("file appears -> first stage starts", mine, "ms", bound=MOST_MS),
        Figure("file appears -> task starts, bare watchdog + Celery", theirs, "ms"),
        Figure("file appears -> first stage starts / bare", mine / theirs, "x"),
        Figure("file appears -> first stage starts, after 25 s of rest", statistics.median(cold), "ms"),
    ]


def _until_stage(running: Rig, number: int) -> float:
    """Milliseconds."""
    running.settled()
    seen = len(running.begun())
    appeared = _appear(running.project.data / f"{number}.csv", number)
    began, job, _ = running.next_begun(seen)[0]
    recorded = running.project.rows("SELECT 1 FROM events WHERE job = ? AND event = 'job.requested'", (job,))
    assert recorded, f"job {job} began without a recorded decision"
    return (int(began) - appeared) / 1e6 - SETTLE_SECONDS * 1e3


def _until_task(running: Rig, directory: Path, number: int) -> float:
    seen = len(running.begun(bare=True))
    appeared = _appear(directory / f"{number}.csv", number)
    return (int(running.next_begun(seen, bare=True)[0][0]) - appeared) / 1e6


def _appear(path: Path, number: int) -> int:
    """Moves a complete file to `path`. Returns the time just before, in ns."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(f"a,b\n{number},{number}\n")
    time.sleep(0.5)  # what watches has seen the hidden file, and passed it over
    now = time.time_ns()
    hidden.rename(path)
    return now
