"""How far the reference moves by itself: its own blocks of a window's length, each against the rest.

Called by `triggers.pairs`. Sampling noise is not the only noise: days differ. The figure that a test holds
against its bar (the KS distance, the location, the spread, ...) is taken of each block against all
other blocks, and what its mean square exceeds sampling noise by is the natural variance. A window's
figure must exceed a prediction bound for one more block:

    (the noise's critical value)^2 + t(nu, 1 - level / 2)^2 * a * natural variance, of which the root
    a = (1 + tau / k) / (1 - (tau - 1) / (k - 1))

of k blocks, where tau = (1 + r) / (1 - r) makes up for neighbouring blocks that resemble each other
(r is their correlation, pooled over the columns; with none, a is the 1 + 1/k of a prediction
bound). The degrees of freedom nu are the blocks' less one (with a season less one for each of the
blocks in its period), and fewer where blocks resemble each other. Few blocks tell little of one
column, so the columns' variances are moderated by each other as far as they are alike (Smyth 2004,
"Linear models and empirical Bayes methods for assessing differential expression"). Taken as normal:
the figures of blocks. Where the natural variance is much smaller than the blocks' noise it is known
roughly only. Numbers are looked at in 256 steps of the reference.

The blocks are the window's length if there are 8 of them, else the longest shorter ones that there
are 8 of, else the longest that there are 4 of: a shorter block varies more, never less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import inf, log, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from triggers.blocks import Moves
from triggers.comparison import TestName

Floats = NDArray[np.float64]

_ENOUGH, _FEWEST = 8, 4
_MOST_ALIKE = 0.9
_MOST: Mapping[TestName, float] = {"ks": 1.0, "rank_sum": 0.5, "missing": 1.0, "chi_squared": 1.0}  # of a distance


@dataclass(frozen=True)
class Nature:
    """What one figure of one column does between blocks without drift. Squares of the figure's unit."""

    test: TestName
    blocks: int
    length: timedelta  # of a block
    variance: float  # natural, for one more block
    freedom: float  # degrees of freedom of that estimate
    noise: float  # the mean square by sampling alone, times 1/(1/n + 1/m)
    parts: float  # of how many independent parts that is
    largest: float  # of a block's own distance from the rest

    def bar(self, level: float, inverse_sizes: float) -> float:
        """What a window's figure exceeds with a chance of at most `level`, two-sided, without drift. `inverse_sizes` is
        1/n + 1/m of the rows that are compared.

        Where too few blocks, or blocks too much alike, make that more than a distance can be, it is the largest move
        that the reference made by itself: of m blocks alike, one more exceeds that with a chance of 1/(m + 1).
        """
        natural = float(special.stdtrit(self.freedom, 1 - level / 2)) ** 2 * self.variance
        bar = sqrt(natural + self._critical(level) * inverse_sizes)
        return bar if bar < _MOST.get(self.test, inf) else self.largest

    def _critical(self, level: float) -> float:
        """What sampling alone exceeds with that chance: squared, times 1/(1/n + 1/m)."""
        if self.test == "ks":
            return log(2 / level) / 2
        if self.test == "chi_squared":
            return self.noise / self.parts * float(special.chdtri(self.parts, level))
        return self.noise * float(special.ndtri(1 - level / 2)) ** 2


class InBlocks(Protocol):
    """A reference in blocks: `triggers.blocks.Blocks`, or what is known of them."""

    def number(self, length: timedelta) -> int: ...

    def moves(self, length: timedelta) -> Mapping[tuple[str, TestName], Moves]: ...


def chosen(blocks: InBlocks, lengths: Sequence[timedelta]) -> timedelta | None:
    """Which of `lengths` the blocks are to have: that of the window first, then shorter ones. None: there are fewer
    than four of any."""
    enough = next((each for each in lengths if blocks.number(each) >= _ENOUGH), None)
    return enough or next((each for each in lengths if blocks.number(each) >= _FEWEST), None)


def natures(blocks: InBlocks, lengths: Sequence[timedelta]) -> Mapping[tuple[str, TestName], Nature]:
    """By column and test, from blocks of one of `lengths`, as `chosen` says. Empty: of none."""
    length = chosen(blocks, lengths)
    if length is None:
        return {}
    # A constant column moves by nothing, and by nothing less than sampling would: its nature is not known.
    moves = {key: move for key, move in blocks.moves(length).items() if move.noise > 0}
    alike = _alike([move for move in moves.values() if move.test == "rank_sum"])
    found: dict[tuple[str, TestName], Nature] = {}
    for test in dict.fromkeys(move.test for move in moves.values()):
        of_test = {key: move for key, move in moves.items() if move.test == test}
        found |= _of_one_test(of_test, length, alike)
    return found


def _of_one_test(
    moves: Mapping[tuple[str, TestName], Moves], length: timedelta, alike: float
) -> dict[tuple[str, TestName], Nature]:
    ratios = np.array([move.ratio for move in moves.values()])
    freedoms = np.array([float(move.freedom) for move in moves.values()])
    if next(iter(moves.values())).test != "chi_squared":  # of many parts: alike in noise, not in nature
        ratios, freedoms = moderated(ratios, freedoms)
    found = {}
    for (key, move), ratio, freedom in zip(moves.items(), ratios.tolist(), freedoms.tolist(), strict=True):
        blocks = move.values.size
        tau = (1 + alike) / (1 - alike)
        wider = (1 + tau / blocks) / max(1 - (tau - 1) / (blocks - 1), 0.25)
        variance = max(ratio - 1, 0.0) * move.noise * float(move.inverse_sizes.mean()) * wider
        fewer = max(freedom * (1 - alike**2) / (1 + alike**2), 1.0)
        found[key] = Nature(
            move.test, blocks, length, variance, fewer, move.noise, move.parts, float(np.abs(move.values).max())
        )
    return found


def _alike(moves: Sequence[Moves]) -> float:
    """The correlation of one block's natural move with the next one's, pooled over the columns; at least 0."""
    nature = sum(max(move.ratio - 1, 0.0) for move in moves)
    if nature <= 0.1 * len(moves):
        return 0.0
    blocks = moves[0].values.size
    together = sum(
        float((move.values[1:] * move.values[:-1]).mean()) / (move.noise * float(move.inverse_sizes.mean()))
        for move in moves
    )
    found = together / nature
    return min(max(found + (1 + 3 * found) / blocks, 0.0), _MOST_ALIKE)  # Kendall's correction of its bias


def moderated(variances: Floats, freedoms: Floats) -> tuple[Floats, Floats]:
    """Each variance drawn to what all have in common, as far as they are alike, and its degrees of freedom then.

    As Smyth (2004), section 6.2; the degrees of freedom gained are at most those that the others have.
    """
    if variances.size < 3 or not (variances > 0).all():
        return variances, freedoms
    logs = np.log(variances) - special.digamma(freedoms / 2) + np.log(freedoms / 2)
    beyond = float(logs.var(ddof=1) - special.polygamma(1, freedoms / 2).mean())
    others = freedoms.sum() - freedoms
    prior = np.inf if beyond <= 0 else 2 * _inverse_trigamma(beyond)
    centre = logs.mean() if np.isinf(prior) else logs.mean() + special.digamma(prior / 2) - log(prior / 2)
    gained = np.minimum(prior, others)
    return (gained * np.exp(centre) + freedoms * variances) / (gained + freedoms), gained + freedoms


def _inverse_trigamma(value: float) -> float:
    """Newton's steps of Smyth (2004), which come from one side and do not overshoot."""
    found = 0.5 + 1 / value
    for _ in range(50):
        slope = float(special.polygamma(1, found))
        step = slope * (1 - slope / value) / float(special.polygamma(2, found))
        found += step
        if -step / found < 1e-8:
            break
    return found
