"""From a decision to the outcome of a job whose six stages do nothing, on a warm worker.

Both instants are the ledger's: the job's request and its closing, the latter when its transaction began.
The bare baseline is six chained Celery tasks on the same broker, from sending to the last one's beginning.
"""

import statistics
import time
from datetime import datetime

from benchmarks.bare import STEPS, application, six_steps
from benchmarks.figure import Figure
from benchmarks.project import model
from benchmarks.rounds import WARM_UP, Rig, rig

ROUNDS = 15
MOST_SECONDS = 0.3
NEVER = {"weekly": {"type": "cron", "schedule": "0 2 1 1 *"}}


def measure() -> list[Figure]:
    with rig({"models": {"delays": model(NEVER)}}) as running:
        bare_app = application(running.broker)
        ours, bare = [], []
        for number in range(WARM_UP + ROUNDS):
            ours.append(_job(running))
            bare.append(_chain(running, bare_app, number))
    mine, theirs = statistics.median(ours[WARM_UP:]), statistics.median(bare[WARM_UP:])
    return [
        Figure("decision -> outcome of a job of six empty stages", mine, "s", bound=MOST_SECONDS),
        Figure("six bare chained Celery tasks", theirs, "s"),
        Figure("decision -> outcome / six bare chained tasks", mine / theirs, "x"),
    ]


def _job(running: Rig) -> float:
    """Seconds."""
    running.settled()
    running.project.retraind("trigger", "delays")
    newest = "SELECT requested_at, closed_at, state FROM jobs ORDER BY requested_at DESC LIMIT 1"
    requested, closed, state = running.project.wait(
        "closed job", lambda: next((row for row in running.project.rows(newest) if row[1]), None), every=0.05
    )
    assert state == "deployed", state
    return (_instant(closed) - _instant(requested)).total_seconds()


def _chain(running: Rig, app: object, number: int) -> float:
    seen = len(running.begun(bare=True))
    sent = time.time_ns()
    six_steps(app, str(number))
    return (int(running.next_begun(seen, STEPS, bare=True)[-1][0]) - sent) / 1e9


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
