"""`make soundness`: its parts by name, as JSON, and what docs/soundness.md says of them."""

import json
from pathlib import Path

import pytest

from benchmarks.soundness.__main__ import main
from benchmarks.soundness.parts import PARTS

_DOCUMENT = Path(__file__).parents[2] / "docs" / "soundness.md"


def test_every_part_is_documented_with_what_is_promised() -> None:
    promises = _DOCUMENT.read_text().partition("## The streams")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in promises.splitlines() if line.startswith("| `")]
    assert sorted(name for cell in cells for name in cell.replace("`", "").replace(",", " ").split()) == sorted(PARTS)


def test_a_part_is_measured_by_name_and_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["drop", "--streams", "3", "--jobs", "1", "--json"])
    out, progress = capsys.readouterr()
    told = json.loads(out)
    assert told["streams"] == 3
    assert {each["part"] for each in told["figures"]} == {"drop"}
    assert code == (0 if all(each["holds"] for each in told["figures"]) else 1)
    assert "3 of 3" in progress


def test_figures_do_not_hang_on_the_number_of_processes(capsys: pytest.CaptureFixture[str]) -> None:
    outs = []
    for jobs in ("1", "2"):
        main(["drop", "--streams", "4", "--jobs", jobs, "--json"])
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]


def test_a_part_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pwoer"]) == 2
    assert "there is no part 'pwoer'; there are normal, lognormal," in capsys.readouterr().err
