"""What every benchmark answers with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure. `bound` is the most it may be, chosen to hold on any machine: a ratio where
    seconds would depend on the machine. None: shown, not judged."""

    name: str
    value: float
    unit: str
    bound: float | None = None

    @property
    def holds(self) -> bool:
        return self.bound is None or self.value <= self.bound
