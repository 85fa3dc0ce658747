"""A slice of `make chaos`: some faults at random in one of its worlds, another each time, and nothing comes of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAULTS = "12"
RECOVERY = "240"  # seconds; the minute that is promised is `make chaos`'s to show, with the machine to itself


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_slice_of_chaos_leaves_the_world_as_it_should_be(tmp_path: Path) -> None:
    output = str(tmp_path / "run")
    chosen = ["--faults", FAULTS, "--jobs", "1", "--recovery", RECOVERY, "--output", output]
    finished = subprocess.run(
        [sys.executable, str(HERE), "--slice", *chosen],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:  # what was violated comes last: of a long report the end is what people see
        pytest.fail(said(tmp_path / "run") + "\n" + finished.stderr + finished.stdout, pytrace=False)


def said(output: Path) -> str:
    """How the logs of a round end, and of the world that it kept."""
    logs = sorted(output.glob("round-*/log")) + sorted(output.glob("round-*/world/*.log"))
    return "".join(f"\n--- {log}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:]) for log in logs)
