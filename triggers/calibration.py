"""What probability a score stands for, learned from labelled rows, with its uncertainty.

Called by the estimation of a classifier's performance without labels. Two calibrations are known: a
logistic curve (Platt 1999; for probabilities beta calibration, Kull et al. 2017), and the isotonic
one, a rising curve over cells of scores (Zadrozny and Elkan 2002). Isotonic is taken only where it
predicts rows that it has not seen better by more than chance: its curve ends where the labelled
scores end, and a logistic one carries on.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_CELLS = 200
_ROWS_A_CELL = 20
_FOLDS = 5
_DRAWS = 200
_STEPS = 50
_RIDGE = 1e-2  # so little that it only keeps a curve over equal scores finite
_SMALLEST = 1e-6  # no score is taken for more certain than that


class Calibration(Protocol):
    """A learned curve."""

    @property
    def kind(self) -> Literal["beta", "platt", "isotonic"]: ...

    @property
    def rows(self) -> int:
        """How many labelled rows it was learned from."""

    @property
    def reach(self) -> tuple[float, float]:
        """The lowest and the highest score that it was learned from."""

    def chance(self, score: "Floats") -> "Floats":
        """The probability of the positive class at each score."""

    def draws(self, score: "Floats") -> "Floats":
        """Shape (200, scores): the curves that other samples of labelled rows might have given. Always the same."""


def calibrate(score: "Floats", hits: "Bools") -> Calibration:
    """The calibration that serves best on rows it has not seen, by the Brier score over blocks of rows left out.

    Rows are in the order of time, so that a block is a time of its own. Raises ValueError where all
    rows are of one class, or fewer than ten of one.
    """
    import numpy as np

    rarer = int(min(hits.sum(), (~hits).sum()))
    if rarer < 10:
        raise ValueError(f"of {hits.size:,} labelled rows only {rarer} are of the rarer class, and it takes ten")
    block = np.arange(score.size) * _FOLDS // score.size
    gains = []
    for fold in range(_FOLDS):
        rest, left_out = block != fold, block == fold
        if min(hits[rest].sum(), (~hits[rest]).sum()) < 2:
            continue
        losses = [
            np.square(learn(score[rest], hits[rest]).chance(score[left_out]) - hits[left_out])
            for learn in (Logistic.learn, Isotonic.learn)
        ]
        gains.append(losses[0] - losses[1])
    gain = np.concatenate(gains) if gains else np.zeros(1)
    better = gain.mean() > gain.std() / np.sqrt(gain.size)
    return Isotonic.learn(score, hits) if better else Logistic.learn(score, hits)


@dataclass(frozen=True)
class Logistic:
    """A logistic curve: over `log s` and `-log(1 - s)` of scores between 0 and 1 (beta calibration, which holds Platt's
    and the scores as they are as special cases), over the score itself where it is no probability (Platt's)."""

    rows: int
    reach: tuple[float, float]
    probabilities: bool
    centre: "Floats"
    spread: "Floats"
    weights: "Floats"  # of the constant and of each term
    covariance: "Floats"  # of the weights; the sandwich, which holds where the curve is not quite logistic

    @property
    def kind(self) -> Literal["beta", "platt"]:
        return "beta" if self.probabilities else "platt"

    @classmethod
    def learn(cls, score: "Floats", hits: "Bools") -> "Logistic":
        import numpy as np

        probabilities = bool(score.min() >= 0 and score.max() <= 1)
        terms = _terms(score, probabilities=probabilities)
        centre, spread = terms.mean(axis=0), terms.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        design = np.column_stack([np.ones(score.size), (terms - centre) / spread])
        weights, ridge = np.zeros(design.shape[1]), np.diag([1e-9, *[_RIDGE] * terms.shape[1]])
        for _ in range(_STEPS):
            chance = _logistic(design @ weights)
            slope = design.T @ (design * (chance * (1 - chance))[:, None]) + ridge
            step = np.linalg.solve(slope, design.T @ (hits - chance) - ridge @ weights)
            weights = weights + np.clip(step, -2, 2)
            if np.abs(step).max() < 1e-9:
                break
        pull = design * (hits - _logistic(design @ weights))[:, None]
        covariance = np.linalg.solve(slope, np.linalg.solve(slope, pull.T @ pull).T)
        return cls(score.size, _reach(score), probabilities, centre, spread, weights, covariance)

    def chance(self, score: "Floats") -> "Floats":
        return _logistic(self._design(score) @ self.weights)

    def draws(self, score: "Floats") -> "Floats":
        import numpy as np

        random = np.random.default_rng(0)
        drawn = random.multivariate_normal(self.weights, self.covariance, _DRAWS, method="eigh", check_valid="ignore")
        return _logistic(drawn @ self._design(score).T)

    def _design(self, score: "Floats") -> "Floats":
        import numpy as np

        terms = _terms(score, probabilities=self.probabilities)
        return np.column_stack([np.ones(score.size), (terms - self.centre) / self.spread])


@dataclass(frozen=True)
class Isotonic:
    """A rising curve through the shares of positives in cells of scores, straight between their centres."""

    rows: int
    reach: tuple[float, float]
    centres: "Floats"
    shares: "Floats"  # of positives in each cell, made to rise
    counts: "Floats"  # rows in each cell

    @property
    def kind(self) -> Literal["isotonic"]:
        return "isotonic"

    @classmethod
    def learn(cls, score: "Floats", hits: "Bools") -> "Isotonic":
        import numpy as np

        cells = max(min(_CELLS, score.size // _ROWS_A_CELL), 2)
        edges = np.unique(np.quantile(score, np.linspace(0, 1, cells + 1)[1:-1]))
        cell = np.searchsorted(edges, score, "left")
        counts = np.bincount(cell, minlength=edges.size + 1).astype(float)
        there = counts > 0
        sums, positive = (np.bincount(cell, weights, edges.size + 1)[there] for weights in (score, hits))
        counts = counts[there]
        return cls(score.size, _reach(score), sums / counts, _rising(positive / counts, counts), counts)

    def chance(self, score: "Floats") -> "Floats":
        import numpy as np

        found: Floats = np.interp(score, self.centres, self.shares)
        return found

    def draws(self, score: "Floats") -> "Floats":
        import numpy as np

        return np.stack([np.interp(score, self.centres, curve) for curve in self._curves])

    @cached_property
    def _curves(self) -> "Floats":
        """Shape (draws, cells)."""
        import numpy as np

        # Half a row of either class keeps a cell of one class alone from being taken for certain.
        share = (self.shares * self.counts + 0.5) / (self.counts + 1)
        drawn = np.random.default_rng(0).binomial(self.counts.astype(int), share, (_DRAWS, share.size))
        return _rising(drawn / self.counts, self.counts)


def _rising(shares: "Floats", counts: "Floats") -> "Floats":
    """The nearest rising curve, by weighted squares, along the last axis: the largest, over the cells up to here, of
    the smallest mean from there to a cell after here (the min-max formula of isotonic regression)."""
    import numpy as np

    weight = np.concatenate([[0.0], np.cumsum(counts)])
    below = np.zeros((*shares.shape[:-1], 1))
    total = np.concatenate([below, np.cumsum(shares * counts, axis=-1)], axis=-1)
    best = np.full(shares.shape, -np.inf)
    for start in range(counts.size):
        means = (total[..., start + 1 :] - total[..., start : start + 1]) / (weight[start + 1 :] - weight[start])
        smallest = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
        best[..., start:] = np.maximum(best[..., start:], smallest)
    return best


def _terms(score: "Floats", *, probabilities: bool) -> "Floats":
    import numpy as np

    if not probabilities:
        return score[:, None]
    kept = np.clip(score, _SMALLEST, 1 - _SMALLEST)
    return np.column_stack([np.log(kept), -np.log1p(-kept)])


def _logistic(value: "Floats") -> "Floats":
    import numpy as np

    chance: Floats = 1 / (1 + np.exp(-np.clip(value, -35, 35)))
    return chance


def _reach(score: "Floats") -> tuple[float, float]:
    return float(score.min()), float(score.max())
