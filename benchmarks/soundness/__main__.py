"""Measures the parts that are named, or every one, and prints their figures. Exit 1: one is beyond its bound."""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterable


def main(arguments: list[str]) -> int:
    # Before numpy is imported: the processes share the cores already.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from benchmarks.soundness.parts import PARTS
    from benchmarks.soundness.running import Run

    asked = _parser(PARTS).parse_args(arguments)
    unknown = [name for name in asked.parts if name not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    run = Run(asked.streams, asked.jobs, quiet=False)
    found = []
    for name in asked.parts or PARTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        begun, spent = time.perf_counter(), _cpu()
        for figure in PARTS[name](run):
            found.append({"part": name, **vars(figure), "holds": figure.holds})
            if not asked.json:
                print(figure, flush=True)
        told = f"{name}: {time.perf_counter() - begun:.0f} s, {_cpu() - spent:.0f} s of CPU"
        print(told, file=sys.stderr, flush=True)
    if asked.json:
        json.dump({"streams": asked.streams, "figures": found}, sys.stdout, indent=1)
        print()
    return 0 if all(each["holds"] for each in found) else 1


def _parser(parts: Iterable[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soundness", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(parts)}; by default all")
    parser.add_argument("--streams", type=_positive, default=1000, help="streams a figure, 1,000 by default")
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="processes; by default one a core")
    parser.add_argument("--json", action="store_true", help="print JSON, at the end")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def _cpu() -> float:
    """Seconds of CPU that this process and its ended children have taken."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
