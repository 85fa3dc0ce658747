"""What a family of processes costs: memory as PSS, which counts a shared page once, and processor time."""

import time
from dataclasses import dataclass

import psutil

MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """`memory` in MiB, after the time measured; `cpu` in seconds a minute."""

    memory: float
    cpu: float


def cost(pids: list[int], seconds: float) -> Cost:
    """Of these processes and all their descendants, over so many seconds."""
    before = _spent(pids)
    start = time.monotonic()
    time.sleep(seconds)
    after = _spent(pids)
    minutes = (time.monotonic() - start) / 60
    spent = sum(used - before.get(pid, 0.0) for pid, used in after.items())
    return Cost(sum(_pss(pid) for pid in after), spent / minutes)


def _spent(pids: list[int]) -> dict[int, float]:
    """Processor seconds of each process so far."""
    family: dict[int, float] = {}
    for pid in pids:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            family[process.pid] = times.user + times.system
    return family


def _pss(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_full_info().pss) / MIB
    except psutil.NoSuchProcess:
        return 0.0
