"""How long a person waits for `retraind --help`, in units of an empty Python's start on the same machine."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure

ROUNDS = 11


def seconds(*command: str | Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure() -> list[Figure]:
    """The two are run in turn, so that whatever else the machine does strikes both; medians are compared."""
    empty, command = [], []
    for _ in range(ROUNDS):
        empty.append(seconds(sys.executable, "-c", "pass"))
        command.append(seconds(Path(sys.executable).with_name("retraind"), "--help"))
    return [
        Figure("retraind --help", statistics.median(command), "s"),
        Figure(
            "retraind --help / python -c pass", statistics.median(command) / statistics.median(empty), "x", bound=12
        ),
    ]
