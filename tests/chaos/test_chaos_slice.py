"""A slice of `make chaos`: some faults at random in every kind of world, and nothing lost, doubled, torn or left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAULTS = "24"


@pytest.mark.timeout(900)
def test_a_slice_of_chaos_leaves_every_world_as_it_should_be(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(HERE), "--slice", "--faults", FAULTS, "--jobs", "1", "--output", str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
