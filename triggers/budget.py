"""How a budget of false alarms becomes the level of one look.

Called by every trigger with `false_alarms`. Expectations add up whatever the dependence between
looks (windows overlap, so looks resemble each other): when each look fires falsely with a
probability of at most `level`, the expected number of false firings in a time is at most `level`
times the looks in it.
"""

from datetime import timedelta

from triggers.quantities import Rate

HIGHEST_LEVEL = 0.05  # however many false alarms are allowed, and however rarely is looked


def level_per_look(budget: Rate, between_looks: timedelta) -> float:
    """The probability with which one look may fire falsely: the alarms allowed, divided among the looks in their
    time, and never above `HIGHEST_LEVEL`."""
    return min(budget.count * (between_looks / budget.per), HIGHEST_LEVEL)
