"""Runs the benchmarks that are named, or every one, and prints their figures. Exit 1: one is beyond its bound."""

import sys
from collections.abc import Callable

from benchmarks import (
    audit_events,
    backtest_flights,
    drift_window,
    empty_job,
    file_to_stage,
    idle,
    idle_look,
    idle_thousand,
    ledger_decisions,
    rows_into_profiles,
    sequential_look,
    startup,
)
from benchmarks.figure import Figure

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "startup": startup.measure,
    "ledger": ledger_decisions.measure,
    "audit": audit_events.measure,
    "drift": drift_window.measure,
    "sequence": sequential_look.measure,
    "rows": rows_into_profiles.measure,
    "file": file_to_stage.measure,
    "job": empty_job.measure,
    "look": idle_look.measure,
    "thousand": idle_thousand.measure,
    "idle": idle.measure,
    "backtest": backtest_flights.measure,
    "flights": backtest_flights.measure_training,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    held = True
    for name in names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        for figure in BENCHMARKS[name]():
            held &= figure.holds
            print(figure, flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
