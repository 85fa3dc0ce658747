"""`retraind backtest` and `retraind tune` as a person types them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli.app import app

SINCE = ("--since", "2026-02-05")


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), prog_name="retraind")
    return result.exit_code, result.stdout, result.stderr


def test_tables_for_people_and_one_page_that_needs_nothing_else(folder: Path) -> None:
    code, out, err = call("backtest", "delays", *SINCE, "--html", "page.html")
    assert code == 0
    assert err == "replaying configured ...\n"
    assert "delays, 2026-02-05 to 2026-03-2" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["POLICY", "TRIGGER", "TYPE"] in [line[:3] for line in lines]
    page = (folder / "page.html").read_text()
    assert page.count("<svg") == 1
    assert not re.search(r"<(script|link|img|iframe)\b|src=|url\(http", page)
    assert "drifted" in page


def test_json_is_what_the_contract_says(folder: Path) -> None:
    code, out, _ = call("backtest", "delays", *SINCE, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["policies"][0]["name"] == "configured"
    assert report["alarms"][0].keys() == {"policy", "trigger", "at", "sentence", "decision", "retrained", "followed"}
    code, out, _ = call("tune", "delays", *SINCE, "--json", "--false-alarms", "1 per 30d")
    assert code == 0
    assert "false_alarms: 1 per 30d" in json.loads(out)["snippet"]


def test_a_wrong_call_is_one_sentence(folder: Path) -> None:
    for arguments, sentence in (
        (("delay",), "there is no model 'delay' in the configuration (did you mean 'delays'?)"),
        (("delays", "--since", "soon"), "--since 'soon' is no date"),
        (("delays", "--finest", "often"), "--finest: 'often' is not a duration"),
        (("delays", "--html", "nowhere/page.html"), "there is no directory"),
    ):
        code, out, err = call("backtest", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert sentence in err
    code, _, err = call("tune", "delays", "--false-alarms", "few")
    assert code == 2
    assert "--false-alarms: 'few' is not a rate" in err
    (folder / "past.db").unlink()
    code, out, err = call("backtest", "delays")
    assert (code, out, err.count("\n")) == (1, "", 1), err


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_whoever_ends_it_nothing_is_left_behind(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (folder / "train.py").write_text("import time; open('training', 'w').close(); time.sleep(600)")
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon.cli", "backtest", "delays", *SINCE, "--train"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one call, no lock
    )
    deadline = time.monotonic() + 200
    while not (folder / "training").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert [path.name for path in scratch.iterdir() if path.name.startswith("retraind-")] == []
    told = {path.name for path in folder.iterdir()} - {"training"}
    assert told == {"past.db", "train.py", "retraind.yaml"}
