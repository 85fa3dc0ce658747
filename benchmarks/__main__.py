"""Runs every benchmark and prints its figures. Exit 1: a figure is over its bound."""

import sys
from collections.abc import Callable

from benchmarks import startup
from benchmarks.figure import Figure

BENCHMARKS: tuple[Callable[[], list[Figure]], ...] = (startup.measure,)


def main() -> int:
    figures = [figure for benchmark in BENCHMARKS for figure in benchmark()]
    for figure in figures:
        bound = "" if figure.bound is None else f"   at most {figure.bound:g}{'' if figure.holds else '   TOO MUCH'}"
        print(f"{figure.name:<40}{figure.value:>12.3f} {figure.unit}{bound}")
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
