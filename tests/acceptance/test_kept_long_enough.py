"""A running system removes what it kept long enough, and what is left serves, rolls back and is proved."""

import json
import sqlite3
from contextlib import closing

import pytest
from system import System, configuration

pytestmark = [pytest.mark.timeout(400), pytest.mark.soak]


def proof(system: System) -> dict:
    verified = system.run("audit", "verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    return json.loads(verified.stdout)


def jobs_on_disk(system: System) -> set[str]:
    return {entry.name for entry in (system.folder / "state/jobs").iterdir()}


def test_jobs_events_and_files_go_while_the_system_runs(tmp_path):
    kept = {"jobs": "2s", "looks": "2s", "events": "4s", "audit": "6s", "every": "1s", "data": 1}
    changed = {"retention": kept, "audit": {"rotate": "3KiB"}}
    system = System(tmp_path / "project", configuration(triggers={}) | changed)
    system.write()
    try:
        system.start("up")
        system.wait_for("daemon.led")
        first = asked(system)
        later = [asked(system) for _ in range(3)]  # skipped: the same data by the same recipe
        system.wait("tidied disk", lambda: jobs_on_disk(system) == {first, later[-1]})
        proved = system.wait("pruned log", lambda: (found := proof(system))["first_seq"] > 1 and found, every=1.0)
        assert proved["proved_from"] == min(proved["first_seq"], proved["anchor_seq"] + 1)
        system.wait("pruned ledger", lambda: len(in_ledger(system, "SELECT id FROM jobs")) == 2)
        listed = listed_jobs(system)
        assert {job["id"]: job["state"] for job in listed} == {first: "deployed", later[-1]: "skipped"}
        assert (system.folder / "models/production/current/MLmodel").is_file()
        assert system.run("trigger", "delays", "--wait").returncode == 1  # still known to be the same training
        system.stop()
    finally:
        system.kill()
    assert proof(system)["holds"]


def asked(system: System) -> str:
    """A job that was asked for and has ended."""
    before = in_ledger(system, "SELECT id FROM jobs")
    assert system.run("trigger", "delays").returncode == 0
    (job,) = set(in_ledger(system, "SELECT id FROM jobs")) - set(before)
    system.wait("end of the job", lambda: not in_ledger(system, "SELECT id FROM jobs WHERE closed_at IS NULL"), 300)
    return job


def in_ledger(system: System, query: str) -> list[str]:
    """A column of the ledger: what to wait for is looked up there, and then shown by the command."""
    with closing(sqlite3.connect(f"file:{system.folder}/state/ledger.db?mode=ro", uri=True)) as ledger:
        return [value for (value,) in ledger.execute(query)]


def listed_jobs(system: System) -> list[dict]:
    return json.loads(system.run("jobs", "--json").stdout)
