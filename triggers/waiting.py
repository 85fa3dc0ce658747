"""What waiting costs, against what retraining costs.

Called by `triggers.worth`. Let a training cost C, and let L(t) be what a day costs, t days after it,
because the model is no longer as good as it was then. Trainings every T days cost (C + A(T)) / T a day,
where A(T) is the sum of L up to T. That is least where its derivative is nothing, L(T) = (C + A(T)) / T:
retrain as soon as the next day costs more than a day has cost on average, the training included (the
marginal rule of replacement; Barlow and Proschan 1965). Of a steady decay, L(t) = r t, it is at
T = sqrt(2 C / r), where A(T) is C exactly: retrain when as much was lost as the training costs, which
is the cumulative threshold of CARA (Mahadevan and Mathioudakis 2024, "Cost-aware retraining for machine
learning"). Retraining is worth it when either rule says so. The first finds a sudden loss at once where
the model had held long enough for a training to pay. The second needs no next loss to come: whatever
the losses do, waiting costs C at most, so that both costs together are at most twice what is lost by
knowing the future and retraining once (as of skis to rent or to buy). How L is told from labels with
their noise, and held to be real only beyond doubt, is `triggers.decay`'s; that what is to come is
forecast, and uncertain, is the point of Regol et al. 2025, "When to retrain a machine learning model".
"""

from dataclasses import dataclass
from math import sqrt

from triggers.decay import Decay


@dataclass(frozen=True)
class Waiting:
    """Money is in the user's unit, time in days."""

    retrain: float  # what a training costs
    days: float  # since the last one; above zero
    a_day: float  # what a day of waiting costs now
    lost: float  # since the last training
    due_in: float  # days until retraining is worth it, if it goes on like this; 0: it is

    @classmethod
    def of(cls, decay: Decay, trained: float, now: float, retrain: float, per_unit: float) -> "Waiting":
        """What `decay` costs on the day `now`, a whole unit of the metric costing `per_unit` a day; the last training
        ended on the day `trained`."""
        days, loss = max(now - trained, 1e-6), max(decay.on(now), 0.0)
        lost = max(decay.between(trained, now), 0.0) * per_unit
        found = cls(retrain, days, loss * per_unit, lost, 0.0)
        if found.worth or not loss:
            return found
        if decay.shape == "step":
            due = max(decay.began, trained) + retrain / found.a_day
        else:
            due = sqrt(trained**2 + 2 * retrain * decay.until / (decay.loss * per_unit))
        return cls(retrain, days, found.a_day, lost, max(due - now, 0.0))

    @property
    def average(self) -> float:
        """What a day has cost since the last training, were the model trained now."""
        return (self.retrain + self.lost) / self.days

    @property
    def worth(self) -> bool:
        return self.lost > self.retrain or self.a_day > self.average
