"""`retraind status`: what is watched, what runs, and why; also when nothing is alive to ask."""

import os
import pty
import re
import subprocess
import sys
from datetime import timedelta

import pytest

from daemon.reports.status import status
from retraind.ledger import leases, looks, models
from retraind.opening import open_ledger
from retraind.states import Stage
from triggers.verdict import Outcome, Verdict


def lead(project, kind="daemon", host="here", pid=7):
    """A live daemon that leads, or a live worker."""
    with project.ledger.write(kind) as transaction:
        leases.beat(transaction, f"{kind}:{host}:{pid}", kind, host, pid, transaction.now)
        if kind == "daemon":
            leases.acquire(transaction, leases.LEADER, f"daemon:{host}:{pid}", timedelta(seconds=30))


def look(project, trigger="volume", outcome=Outcome.QUIET, sentence="There are 50 rows; 40 are enough.", **values):
    with project.ledger.write("daemon") as transaction:
        stored = {
            "last_look_at": transaction.now,
            "outcome": str(outcome),
            "sentence": sentence,
            "decision": f"answered {outcome}",
            "next_look_at": transaction.now + timedelta(minutes=1),
            **values,
        }
        looks.save(transaction, "delays", trigger, stored)
        looks.keep(transaction, "delays", trigger, Verdict(outcome, sentence), "because", None)


def test_a_new_ledger_says_that_nothing_was_looked_at(project):
    answer = project("status")
    assert answer.code == 0
    assert "! no daemon is running: nothing is being watched" in answer.out
    assert "! no worker is alive: jobs wait" in answer.out
    assert "delays: nothing deployed yet" in answer.out
    assert answer.out.count("never looked at") == 2
    assert "no triggers: it is retrained when `retraind trigger` asks for it" in answer.out


def test_who_is_alive_is_told(project):
    lead(project)
    lead(project, "worker", pid=8)
    answer = project("status")
    assert "!" not in answer.out
    assert "daemon: daemon:here:7 leads · workers: here (pid 8) · audit log: up to date at event 0" in answer.out


def test_a_leader_whose_lease_ran_out_is_no_leader(project, now):
    lead(project)
    settings, opened = settings_and_ledger(project)
    report = status(settings, *opened, now + timedelta(minutes=5))
    assert not report.daemon.leading
    assert [process.alive for process in report.processes] == [False]


def settings_and_ledger(project):
    from retraind.config.loading import load

    settings = load(project.folder / "retraind.yaml", {})
    return settings, open_ledger(settings)


def test_a_trigger_shows_its_last_look_its_answer_and_its_next_look(project):
    lead(project)
    look(project)
    (line,) = [line for line in project("status").out.splitlines() if line.startswith("  volume")]
    assert re.fullmatch(r"  volume +volume +(now|\d+s ago) +quiet +in \d+s +There are 50 rows; 40 are enough\.", line)


def test_a_firing_shows_what_was_decided(project):
    look(project, outcome=Outcome.FIRED, decision="cooldown of 6h until then")
    assert "40 are enough. (cooldown of 6h until then)" in project("status").out


def test_a_trigger_that_nobody_looks_at_any_more_is_an_alarm(project, now):
    lead(project)
    look(project, last_look_at=now - timedelta(minutes=65), next_look_at=now - timedelta(hours=1))
    answer = project("status")
    assert "! delays: volume should have been looked at and was not" in answer.out
    assert "was due 1h ago" in answer.out
    (report,) = [t for t in project("status", "--json").json["models"][0]["triggers"] if t["name"] == "volume"]
    assert report["overdue_seconds"] == pytest.approx(3600, abs=30)


def test_a_trigger_that_is_a_moment_late_is_no_alarm(project, now):
    lead(project)
    lead(project, "worker")
    look(project, last_look_at=now - timedelta(minutes=2), next_look_at=now - timedelta(minutes=1))
    assert "!" not in project("status").out


def test_a_failing_trigger_is_an_alarm(project):
    look(project, outcome=Outcome.ERROR, sentence="The store cannot be read.", errors=3)
    assert "! delays: volume cannot answer" in project("status").out


def test_a_deployment_shows_its_version_its_age_and_its_figures(project):
    project.deployed()
    answer = project("status")
    assert "delays: version 1, deployed 20" in answer.out
    assert "at its gates: accuracy 0.910" in answer.out
    assert "no new job now: cooldown of 6h until" in answer.out
    report = project("status", "--json").json["models"][0]
    assert (report["version"], report["previous_version"], report["metrics"]) == ("1", None, {"accuracy": 0.91})
    assert report["cooldown_until"] > report["deployed_at"]


def test_an_open_job_shows_its_stage_and_its_worker(project):
    held = project.claim(project.job(reason="There are 50 rows."))
    with project.ledger.write(held.owner) as transaction:
        from retraind.ledger import work

        work.begin_stage(transaction, held, Stage.TRAIN)
    answer = project("status")
    assert f"job {held.job.id}: running train for " in answer.out
    assert "on worker:here:1" in answer.out
    assert "because: There are 50 rows." in answer.out
    job = project("status", "--json").json["models"][0]["open_job"]
    assert (job["state"], job["stage"], job["worker"]) == ("running", "train", "worker:here:1")


def test_a_job_that_awaits_approval_says_what_to_type(project):
    job = project.awaiting()
    assert f"`retraind approve {job}` deploys version 1 (expires in 23h" in project("status").out


def test_a_pause_and_an_open_breaker_are_told_with_what_ends_them(project):
    with project.ledger.write("user:ann") as transaction:
        models.pause(transaction, "delays", "holidays")
    project.closed("failed", "fraud")
    answer = project("status")
    assert re.search(r"paused by user:ann (now|\d+s ago): holidays; `retraind resume delays` ends it", answer.out)
    assert "1 job ended without a deployment: new ones are held until" in answer.out
    report = project("status", "--json").json["models"]
    assert report[0]["held_because"] == "the model is paused"
    assert report[1]["breaker"]["fruitless_jobs"] == 1


def test_a_log_that_lags_behind_is_told(project):
    project.job()  # written without letting the log catch up
    assert "audit log: 1 event behind" in project("status").out


def test_in_a_pipe_nothing_is_drawn_and_nothing_cut(project):
    look(project, sentence="x" * 400 + ".")
    out = project("status").out
    assert "x" * 400 in out
    assert not set(out) & set("\x1b│─┃━┌╭…")


def test_on_a_terminal_the_table_fits_its_width(project):
    look(project, sentence="The quick brown fox jumps over the lazy dog again and again and again and again.")
    main, side = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color"}
    call = [sys.executable, "-m", "daemon.cli", "status"]
    with subprocess.Popen(call, cwd=project.folder, stdout=side, env=environment) as process:
        os.close(side)
        chunks = []
        while chunk := _read(main):
            chunks.append(chunk)
    os.close(main)
    assert process.returncode == 0
    text = b"".join(chunks).decode()
    assert "\x1b[" in text
    table = [line for line in text.splitlines() if "quick" in line or "again" in line]
    assert len(table) >= 2
    assert all(len(line) < 140 for line in table)  # escapes included


def _read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end is closed
        return b""


def test_a_model_that_is_not_configured_any_more_is_not_shown(project):
    job = project.job("gone")
    assert "gone" not in project("status").out
    assert job in project("jobs", "gone").out
