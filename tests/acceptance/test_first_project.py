"""`retraind init fraud && cd fraud && retraind up`: a stranger's first five minutes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def retraind(folder: Path, *verb: str, seconds: float = 170) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli", *verb],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "RETRAIND_CONFIG"},
    )


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_new_project_watches_retrains_and_deploys_at_once(tmp_path):
    assert retraind(tmp_path, "init", "fraud").returncode == 0
    folder = tmp_path / "fraud"
    checked = retraind(folder, "check")
    assert checked.returncode == 0, checked.stdout
    with (tmp_path / "up.log").open("wb") as log:
        call = [sys.executable, "-m", "daemon.cli", "up"]
        process = subprocess.Popen(call, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        followed = retraind(folder, "trigger", "fraud", "--wait")
        assert followed.returncode == 0, followed.stdout + followed.stderr + (tmp_path / "up.log").read_text()[-4000:]
        assert "gate passed: accuracy" in followed.stdout
        assert "version 1 is deployed" in followed.stdout

        status = json.loads(retraind(folder, "status", "--json").stdout)
        (model,) = status["models"]
        assert (model["model"], model["version"], status["alarms"]) == ("fraud", "1", [])
        assert status["daemon"]["leading"]
        assert model["metrics"]["accuracy"] > 0.85
        assert (folder / "models" / "production" / "current" / "MLmodel").is_file()
        assert retraind(folder, "healthcheck").returncode == 0

        (job,) = [job for job in json.loads(retraind(folder, "jobs", "--json").stdout) if not job["open"]]
        story = json.loads(retraind(folder, "show", job["id"], "--json").stdout)
        assert {cause["trigger"] for cause in story["causes"]} <= {"volume", "decay"}
        assert [stage["state"] for stage in story["stages"]] == ["succeeded"] * 6
        assert all(gate["passed"] for gate in story["gates"])

        refused = retraind(folder, "rollback", "fraud")
        assert (refused.returncode, refused.stdout) == (1, "")
    finally:
        process.send_signal(signal.SIGINT)
        ended = process.wait(60)
    assert ended == 0
    proved = retraind(folder, "audit", "verify")
    assert proved.returncode == 0, proved.stdout
    after = json.loads(retraind(folder, "status", "--json").stdout)
    assert any("no daemon is running" in alarm for alarm in after["alarms"])
