"""The ROC AUC of rows that count in parts: as positives and as negatives, or more than once."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def rank(
    score: "Floats", positive: "Floats", negative: "Floats", with_itself: float = 0.0
) -> "tuple[float, Floats, Floats] | None":
    """The AUC of rows of which each counts `positive` times as a positive and `negative` times as a negative, and each
    row's influence on it as the one and as the other, in the mean over all that counts; None without both classes.

    `with_itself` is what rows of both kinds would weigh as pairs with themselves, which are none. The
    influences are DeLong's placements (DeLong, DeLong and Clarke-Pearson 1988).
    """
    import numpy as np

    distinct, place = np.unique(score, return_inverse=True)
    above, below = (np.bincount(place, weights, distinct.size) for weights in (positive, negative))
    positives, negatives = float(above.sum()), float(below.sum())
    pairs = positives * negatives - with_itself
    if positives <= 0 or negatives <= 0 or pairs <= 0:
        return None
    outranked = ((np.cumsum(below) - below / 2) / negatives)[place]  # the share of negatives that a row outranks
    outranking = (1 - (np.cumsum(above) - above / 2) / positives)[place]
    value = (float(positive @ outranked) * negatives - with_itself / 2) / pairs
    size = positives + negatives
    return value, (outranked - value) * size / positives, (outranking - value) * size / negatives
