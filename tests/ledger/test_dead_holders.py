"""A lease whose holder is known to be dead is not waited for, and one whose holder may live is."""

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from retraind import identity
from retraind.ledger import Ledger, jobs, leases, work
from retraind.states import JobState, Stage

LENGTH = timedelta(hours=1)
SAY_AND_WAIT = (
    "import os, sys; from retraind.identity import marked; print(marked(f'worker:here:{os.getpid()}'), flush=True); "
    "sys.stdin.read()"
)


@pytest.fixture
def other():
    """Another process, and the name under which it holds leases."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAY_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def running_job(ledger: Ledger, owner: str) -> str:
    with ledger.write("daemon") as transaction:
        job = jobs.request(transaction, "delays", reason="r")
        assert job
        held = work.claim(transaction, job, owner, LENGTH)
        assert held
        work.begin_stage(transaction, held, Stage.INGEST)
    return job


def orphans(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return [job.id for job in work.orphans(connection, ledger.clock.now())]


def test_a_living_process_is_not_gone_and_a_killed_one_is_even_before_its_parent_has_noticed(other):
    process, owner = other
    assert not identity.is_gone(owner)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity.is_gone(owner)
    process.wait()
    assert identity.is_gone(owner)


def test_a_stopped_process_is_not_gone(other):
    process, owner = other
    process.send_signal(signal.SIGSTOP)
    assert not identity.is_gone(owner)


def test_a_process_that_was_given_the_number_of_a_dead_one_is_another():
    owner = identity.marked(f"worker:here:{os.getpid()}")
    name, _, start = owner.rpartition(".")
    assert identity.is_gone(f"{name}.{int(start) - 1}")
    assert not identity.is_gone(owner)


@pytest.mark.parametrize("owner", ["worker:here:999999999", "worker:a", "", "worker:x:999999999@0123456789ab.1"])
def test_of_a_process_of_another_machine_or_boot_or_without_a_mark_nothing_is_known(owner):
    assert not identity.is_gone(owner)


def test_a_name_is_shown_without_its_mark():
    assert identity.name_of(identity.marked("worker:here:1")) == "worker:here:1"
    assert identity.name_of("worker:here:1") == "worker:here:1"


def test_the_job_of_a_killed_worker_is_given_back_at_once_and_its_follower_says_whom_it_follows(ledger, other):
    process, owner = other
    job = running_job(ledger, owner)
    assert orphans(ledger) == []
    process.kill()
    process.wait()
    assert orphans(ledger) == [job]
    with ledger.write("worker:b") as transaction:
        (orphan,) = work.orphans(transaction.connection, transaction.now)
        assert work.end_lease(transaction, orphan)
    with ledger.read() as connection:
        found = jobs.get(connection, job)
        (stage,) = work.stages_of(connection, job)
        assert found.state == JobState.QUEUED
        assert [job.id for job in jobs.unclaimed(connection, ledger.clock.now(), ledger.clock.now())] == [found.id]
    assert stage.state == "interrupted"
    with ledger.write("worker:b") as transaction:
        held = work.claim(transaction, job, "worker:b", LENGTH)
        assert held.job.state == JobState.RUNNING
        assert work.begin_stage(transaction, held, Stage.INGEST) == 2


def test_a_lease_that_was_taken_meanwhile_is_not_ended(ledger, other):
    process, owner = other
    job = running_job(ledger, owner)
    process.kill()
    process.wait()
    with ledger.read() as connection:
        (orphan,) = work.orphans(connection, ledger.clock.now())
    with ledger.write("worker:b") as transaction:
        work.end_lease(transaction, orphan)
        assert work.claim(transaction, job, "worker:b", LENGTH)
    with ledger.write("worker:c") as transaction:
        assert not work.end_lease(transaction, orphan)


def test_the_lead_of_a_killed_daemon_is_taken_at_once_and_that_of_a_living_one_is_not(ledger, other):
    process, owner = other
    with ledger.write("daemon") as transaction:
        first = leases.acquire(transaction, leases.LEADER, owner, LENGTH)
    with ledger.write("daemon") as transaction:
        assert leases.acquire(transaction, leases.LEADER, "daemon:b:1", LENGTH) is None
    process.kill()
    process.wait()
    with ledger.write("daemon") as transaction:
        assert leases.acquire(transaction, leases.LEADER, "daemon:b:1", LENGTH) == first + 1
