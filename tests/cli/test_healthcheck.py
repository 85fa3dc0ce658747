"""`retraind healthcheck`: for containers and service managers that ask by exit status."""

import socket
from datetime import timedelta

import pytest

from retraind.ledger import Ledger, leases, tables


def beat(project, kind="daemon", host=None, silent_seconds=0.0):
    host = host or socket.gethostname()
    with project.ledger.write(kind) as transaction:
        identity = f"{kind}:{host}:5"
        leases.beat(transaction, identity, kind, host, 5, transaction.now)
        seen = transaction.now - timedelta(seconds=silent_seconds)
        table = tables.processes
        transaction.connection.execute(table.update().where(table.c.id == identity).values(seen_at=seen))


def test_nobody_heard_of_is_1(project):
    answer = project("healthcheck")
    assert (answer.code, answer.out) == (1, "")
    assert "has not heard of a daemon or worker on" in answer.err


@pytest.mark.parametrize("kind", ["daemon", "worker"])
def test_a_live_process_of_this_host_is_0(project, kind):
    beat(project, kind)
    answer = project("healthcheck")
    assert (answer.code, answer.out) == (0, f"{kind} (pid 5) is alive\n")
    assert project("healthcheck", "--kind", kind).code == 0
    other = "worker" if kind == "daemon" else "daemon"
    assert project("healthcheck", "--kind", other).code == 1


@pytest.mark.parametrize(("silent_seconds", "code"), [(25, 0), (31, 1)])
def test_alive_means_heard_of_within_the_length_of_a_lease(project, silent_seconds, code):
    beat(project, silent_seconds=silent_seconds)
    answer = project("healthcheck")
    assert answer.code == code
    assert ("has been silent for 3" in answer.err) == bool(code)


def test_a_process_of_another_host_says_nothing_of_this_one(project):
    beat(project, host="elsewhere")
    assert project("healthcheck").code == 1


def test_a_ledger_that_does_not_answer_is_1(project):
    (project.folder / "state" / "ledger.db").write_bytes(b"this is no database, and long enough to be read as one" * 50)
    assert isinstance(project.ledger, Ledger)
    answer = project("healthcheck")
    assert answer.code == 1
    assert "Traceback" not in answer.err


def test_an_unknown_kind_is_a_wrong_call(project):
    assert project("healthcheck", "--kind", "broker").code == 2
