"""What every benchmark answers with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure. `bound` is the most it may be, `at_least` the least; None: shown, not judged.

    A ratio to a baseline of the same run holds on any machine. Bounds in seconds and MiB are those that
    docs/benchmarks.md promises for a machine of two cores.
    """

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        high = self.bound is not None and self.value > self.bound
        low = self.at_least is not None and self.value < self.at_least
        return not (high or low)

    def __str__(self) -> str:
        told = f"{self.name:<64}{self.value:>12.3f} {self.unit}"
        if self.bound is not None:
            told += f"   at most {self.bound:g}{'' if self.holds else '   TOO MUCH'}"
        if self.at_least is not None:
            told += f"   at least {self.at_least:g}{'' if self.holds else '   TOO LITTLE'}"
        return told
