"""A process that forks while one of its threads writes to the ledger: the child can write too."""

import subprocess
import sys
from pathlib import Path

from templates import empty_ledger

# In a process of its own, which is killed if it waits for itself. The hook is called at the fork, before the wait for
# the transaction, which begins to end only then.
FORK_WHILE_A_THREAD_WRITES = """
import os, sys, threading, time
from retraind.ledger import Ledger, engine, forking

url, ends = sys.argv[1], sys.argv[2] == "ends"
forking.LONGEST_SECONDS, engine.BUSY_SECONDS = (20, 1) if ends else (0.5, 1)
ledger, inside, forks, over = Ledger.open(url), threading.Event(), threading.Event(), threading.Event()

def write():
    with ledger.write("parent") as transaction:
        transaction.event("retention.pruned", data={})
        inside.set()
        (forks if ends else over).wait()
        time.sleep(0.3)

thread = threading.Thread(target=write, daemon=True)
thread.start()
assert inside.wait(10)
os.register_at_fork(before=forks.set)
pid = os.fork()
if pid == 0:
    if ends:
        with Ledger.open(url).write("child") as transaction:
            transaction.event("retention.pruned", data={})
    os._exit(0)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
over.set()
thread.join()
with ledger.write("parent") as transaction:
    transaction.event("retention.pruned", data={})
sys.exit(code)
"""


def fork(tmp_path: Path, how: str) -> None:
    url = empty_ledger(tmp_path / "ledger.db")
    command = [sys.executable, "-c", FORK_WHILE_A_THREAD_WRITES, url, how]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr


def test_a_child_forked_while_a_thread_writes_can_write_itself(tmp_path: Path) -> None:
    fork(tmp_path, "ends")


def test_a_transaction_that_does_not_end_keeps_nobody_from_forking(tmp_path: Path) -> None:
    fork(tmp_path, "goes on")
