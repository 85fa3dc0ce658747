"""Gates: whether a challenger may be deployed. Pure: figures in, answers with a sentence out."""

from collections.abc import Mapping, Sequence

from retraind.config.training import Gate
from triggers.metrics import METRICS
from workers.context import GateOutcome

Figures = Mapping[str, float | None]


def ask(gates: Sequence[Gate], challenger: Figures, champion: Figures | None) -> list[GateOutcome]:
    """Every gate's answer. `champion` is None where none is deployed yet: then nothing can be worse than it.

    A figure that cannot be computed fails its gate.
    """
    return [_answer(gate, challenger.get(gate.metric), champion) for gate in gates]


def _answer(gate: Gate, challenger: float | None, champion: Figures | None) -> GateOutcome:
    name = describe(gate)
    rival = champion.get(gate.metric) if champion is not None else None
    if challenger is None:
        return GateOutcome(name, False, f"{gate.metric} of the challenger cannot be computed", None, rival)  # noqa: FBT003
    passed, sentence = _judge(gate, challenger, rival, first=champion is None)
    return GateOutcome(name, passed, sentence, challenger, rival)


def _judge(gate: Gate, challenger: float, rival: float | None, *, first: bool) -> tuple[bool, str]:
    """Whether the figure passes, and the comparison in words."""
    if gate.at_least is not None:
        return challenger >= gate.at_least, f"{gate.metric} {challenger:.4f}, wanted at least {gate.at_least:g}"
    if gate.at_most is not None:
        return challenger <= gate.at_most, f"{gate.metric} {challenger:.4f}, wanted at most {gate.at_most:g}"
    if first:
        return True, f"{gate.metric} {challenger:.4f}; there is no champion yet to compare with"
    if rival is None:
        return False, f"{gate.metric} of the champion cannot be computed"
    gain = challenger - rival if METRICS[gate.metric].higher_is_better else rival - challenger
    both = f"{gate.metric} {challenger:.4f} against the champion's {rival:.4f} on the same rows ({gain:+.4f})"
    if gate.better_than is not None:
        return gain > gate.by, f"{both}, wanted better by more than {gate.by:g}"
    return gain >= -gate.by, f"{both}, wanted not worse by more than {gate.by:g}"


def describe(gate: Gate) -> str:
    """The gate as its user would say it."""
    if gate.at_least is not None:
        return f"{gate.metric} at_least {gate.at_least:g}"
    if gate.at_most is not None:
        return f"{gate.metric} at_most {gate.at_most:g}"
    kind = "better_than" if gate.better_than is not None else "not_worse_than"
    return f"{gate.metric} {kind} champion by {gate.by:g}"
