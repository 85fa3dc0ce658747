"""`python -m benchmarks.empty_stages FILE`: a worker whose six stages do nothing but note in FILE when they begin.

Everything around them is the real thing: Celery tasks, claims under leases, commits, events, the audit log.
"""

import sys
import time
from pathlib import Path

from retraind.states import JobState, Stage
from workers import stages
from workers.context import StageContext, StageResult


def _empty(stage: Stage, notes: Path) -> None:
    def run(context: StageContext) -> StageResult:
        with notes.open("a") as file:
            file.write(f"{time.time_ns()} {context.job.id} {stage}\n")
        return StageResult({}, closes=JobState.DEPLOYED if stage is Stage.DEPLOY else None)

    stages.RUN[stage] = run


def main() -> int:
    import os

    from retraind.config.loading import find_configuration, load
    from workers import service

    for stage in Stage:
        _empty(stage, Path(sys.argv[1]))
    return service.run(load(find_configuration(None, os.environ), os.environ))


if __name__ == "__main__":
    sys.exit(main())
