"""What a living process could not remove is removed by the next that sweeps, though the maker lives for months."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.temporaries import beside, sweep

ROOT = Path(__file__).parents[2]
FAILS_AND_LIVES_ON = """
import sys
from pathlib import Path
from workers import durable

place = Path(sys.argv[1])
try:
    if sys.argv[2] == "remove":
        durable.remove(place)
    else:
        with durable.making_once(place) as made:
            made.mkdir()
            raise ValueError
except OSError as error:
    print(error.errno, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("act", ["remove", "make"])
def test_what_a_living_process_could_not_remove_goes_with_the_next_sweep(tmp_path: Path, act: str) -> None:
    faults, job = tmp_path / "faults", tmp_path / "job"
    (faults / "armed").mkdir(parents=True)
    (faults / "struck").mkdir()
    inside = "durable.remove>" if act == "remove" else ""
    (faults / "armed" / f"{inside}durable.discard.before").write_text("full")
    job.mkdir()
    if act == "remove":
        (job / "scratch" / "1").mkdir(parents=True)
    command = [sys.executable, "-c", FAILS_AND_LIVES_ON, str(job / "scratch"), act]
    environment = os.environ | {"RETRAIND_FAULTS": str(faults), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "28\n"
        assert [entry.suffix for entry in job.iterdir()] == [".tmp"]
        assert sweep(job) == 1
        assert not any(job.iterdir())
        living.communicate("")


def test_what_a_living_process_makes_is_left_alone(tmp_path: Path) -> None:
    made = beside(tmp_path / "data.parquet")
    made.touch()
    assert sweep(tmp_path) == 0
    assert made.exists()
