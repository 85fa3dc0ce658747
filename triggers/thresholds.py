"""Where a test's bars stand, in the unit of its distance, so that a picture can show by how much they were passed.

Called by `triggers.picture`. Whether a bar was passed is what `triggers.judging` says, by p-values; here only
where it stands, for people to see. The approximations by normal and chi-squared distributions are good
near the bar and rough far from it; the bar of noise is moved to the distance itself where it would
contradict what was judged.
"""

from math import isfinite, log, sqrt

from scipy import special

from triggers.comparison import Comparison, Sizes, Tested
from triggers.judging import Judged


def noise_bar(judged: Judged, rows: tuple[int, int]) -> float:
    """The distance at which the p-value would be the test's part of the look's level.

    `rows` are those of the reference and of the current data. A correction by steps (Holm,
    Benjamini-Hochberg) lets a test pass a little below it, where others have passed.
    """
    found = _critical(judged, rows)
    return min(found, judged.test.distance) if judged.noise else max(found, judged.test.distance)


def effect_bar(test: Tested, comparison: Comparison, sizes: Sizes) -> float | None:
    """The distance that matters. None: of missing values it is the stability index that must be large.

    The distance of `ks` matters below it, too, where the stability index is large.
    """
    if test.name == "chi_squared":
        return sqrt(sizes.js**2 + comparison.js_floor**2)
    return {"ks": sizes.ks, "rank_sum": sizes.location, "mood": sizes.scale}.get(test.name)


def _critical(judged: Judged, rows: tuple[int, int]) -> float:
    test, comparison = judged.test, judged.comparison
    inverse = 1 / rows[0] + 1 / rows[1]
    if test.name == "chi_squared":
        parts = max(round(comparison.js_floor**2 * 8 * log(2) / inverse), 1)
        return comparison.js_floor * sqrt(float(special.chdtri(parts, judged.level)) / parts)
    critical = -float(special.ndtri(judged.level / 2))
    if test.name == "missing":
        shares = comparison.missing_reference, comparison.missing_current
        pooled = (rows[0] * shares[0] + rows[1] * shares[1]) / (rows[0] + rows[1])
        return critical * sqrt(pooled * (1 - pooled) * inverse)
    values = rows[0] * (1 - comparison.missing_reference), rows[1] * (1 - comparison.missing_current)
    inverse = 1 / max(values[0], 1.0) + 1 / max(values[1], 1.0)
    if test.name == "ks":
        return sqrt(log(2 / judged.level) / 2 * inverse)
    reached = -float(special.ndtri(test.p_value / 2))
    if reached > 0 and isfinite(reached):  # the p-value knows of ties
        return test.distance * critical / reached
    return critical * sqrt(inverse * (1 / 12 if test.name == "rank_sum" else 0.8))
