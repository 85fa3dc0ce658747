"""How far a metric has fallen since a model's start: the trend or the step that its labelled rows show best.

Called by `triggers.worth`. Two kinds of decay are looked for: a steady one (a line through time, from
the start on) and a sudden one (a step, tried at several places: before the newest part, the newest two,
three, four, six and so on). Each is a contrast, a weighted sum of figures of separate stretches of rows, whose
weights add up to nothing where the level at the start is not known, so that a level that stays has a
contrast of zero. Its one-sided bound puts the stretches' own intervals together (MOVER: Zou and Donner
2008), which keeps what is exact and skewed about them; the level of the look is divided among the
contrasts (Bonferroni). Days that differ by more than their rows explain widen the bound by as much as
the days do (a quasi-likelihood's dispersion; Wedderburn 1974). Days that resemble their neighbours are not
told from a decay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from triggers.confidence import Estimate, deviations

GROUPS = 8  # stretches that a trend is drawn through, at most
_FEWEST_GROUPS = 3
_FEWEST_DAYS = 6  # with fewer parts their spread tells nothing
_LABELS_A_PART = 30
_ONE_DEVIATION = 0.6827


@dataclass(frozen=True)
class Part:
    """A stretch of time, in days since the start, and its labelled rows."""

    start: float
    end: float
    labelled: int

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


# The metric of the parts from the first to before the last, with its two-sided interval; None: undefined.
Measure = Callable[[int, int, float], Estimate | None]


@dataclass(frozen=True)
class Decay:
    """What the rows show best. Losses are in units of the metric, above zero where it has got worse."""

    shape: Literal["trend", "step"]
    before: float  # the metric that the model started with, and that retraining is expected to restore
    loss: float  # on the day `until`
    least: float  # the lower bound of it: above zero the decay is beyond doubt
    began: float  # the day of the step; of a trend 0
    until: float  # the last day with labels
    dispersion: float  # by how much days differ more than their rows explain: 1, not at all

    def on(self, day: float) -> float:
        """The loss on a day, after `until` as it goes on from there."""
        if self.shape == "step":
            return self.loss if day >= self.began else 0.0
        return self.loss * max(day, 0.0) / self.until

    def between(self, first: float, last: float) -> float:
        """The losses of the days from `first` to `last`, added up."""
        if self.shape == "step":
            return self.loss * max(last - max(first, self.began), 0.0)
        return self.loss * (max(last, 0.0) ** 2 - max(first, 0.0) ** 2) / (2 * self.until)


@dataclass(frozen=True)
class _Contrast:
    shape: Literal["trend", "step"]
    began: float
    stretches: Sequence[tuple[int, int]]  # of parts
    weights: Sequence[float]  # of their losses


def find_decay(
    parts: Sequence[Part], measure: Measure, level: float, *, rising: bool, fewest: int, known: float | None = None
) -> Decay | None:
    """The decay of which there is the strongest sign; None: there are too few labels to look for one.

    `level` is the probability with which `least` may be above zero though nothing has changed. `rising`
    says that the metric rises when a model decays. Of a step either side takes `fewest` labels. `known`
    is the metric at the start; None: it is what the older rows show.
    """
    contrasts = [*_trends(parts, fewest, known is not None), *_steps(parts, fewest, known is not None)]
    sign = 1 if rising else -1
    days = [(part, measure(place, place + 1, _ONE_DEVIATION)) for place, part in enumerate(parts)]
    found = [_judged(contrast, parts, measure, level / len(contrasts), sign, known, days) for contrast in contrasts]
    return max((each for each in found if each is not None), key=_strength, default=None)


def _strength(decay: Decay) -> float:
    """The loss in units of its bound's width: above 1 it is beyond doubt."""
    width = decay.loss - decay.least
    return decay.loss / width if width > 0 else 0.0


def _steps(parts: Sequence[Part], fewest: int, known: bool) -> list[_Contrast]:  # noqa: FBT001 one of two forms
    """Before the newest part, the newest two, three, four, six and so on; with a known start also at the very start."""
    newest = {round(2 ** (power / 2)) for power in range(2 * len(parts).bit_length())}
    places = [len(parts) - each for each in sorted(newest | ({len(parts)} if known and parts else set()))]
    found = []
    for place in places:
        newer = sum(part.labelled for part in parts[place:])
        if place < 0 or newer < fewest:
            continue
        if known:
            found.append(_Contrast("step", parts[place].start, [(place, len(parts))], [1]))
        elif sum(part.labelled for part in parts[:place]) >= fewest:
            found.append(_Contrast("step", parts[place].start, [(0, place), (place, len(parts))], [-1, 1]))
    return found


def _trends(parts: Sequence[Part], fewest: int, known: bool) -> list[_Contrast]:  # noqa: FBT001 one of two forms
    """The slope of a line through groups of parts, by least squares, times its length."""
    groups = _groups(parts, fewest)
    if len(groups) < _FEWEST_GROUPS:
        return []
    labels = [sum(part.labelled for part in parts[first:last]) for first, last in groups]
    middles = [
        sum(part.labelled * part.middle for part in parts[first:last]) / rows
        for (first, last), rows in zip(groups, labels, strict=True)
    ]
    origin = 0.0 if known else sum(map(_product, labels, middles)) / sum(labels)
    length = sum(rows * (day - origin) ** 2 for rows, day in zip(labels, middles, strict=True))
    if length <= 0:
        return []
    until = parts[-1].end
    weights = [until * rows * (day - origin) / length for rows, day in zip(labels, middles, strict=True)]
    return [_Contrast("trend", 0.0, groups, weights)]


def _product(one: float, other: float) -> float:
    return one * other


def _groups(parts: Sequence[Part], fewest: int) -> list[tuple[int, int]]:
    """Consecutive parts of about as many labels each, and of no fewer than it takes."""
    enough = max(sum(part.labelled for part in parts) / GROUPS, min(fewest, _LABELS_A_PART), 1)
    groups: list[tuple[int, int]] = []
    first, labels = 0, 0
    for place, part in enumerate(parts, start=1):
        labels += part.labelled
        if labels >= enough:
            groups.append((first, place))
            first, labels = place, 0
    if labels and groups:  # too few for a group of their own
        groups[-1] = (groups[-1][0], len(parts))
    return groups


def _judged(
    contrast: _Contrast,
    parts: Sequence[Part],
    measure: Measure,
    level: float,
    sign: int,
    known: float | None,
    days: Sequence[tuple[Part, Estimate | None]],
) -> Decay | None:
    """None where the metric is undefined in a stretch."""
    estimates = [measure(first, last, 1 - 2 * level) for first, last in contrast.stretches]
    measured = [each for each in estimates if each is not None]
    if len(measured) < len(estimates):
        return None
    loss = width = 0.0
    for weight, estimate in zip(contrast.weights, measured, strict=True):
        loss += weight * sign * (estimate.value - (known or 0.0))
        # A loss that counts for more is less at its lower end; that end is the metric's own where it rises.
        downward = estimate.value - estimate.low if weight * sign > 0 else estimate.high - estimate.value
        width += (weight * downward) ** 2
    until = parts[-1].end
    before = known if known is not None else _start(contrast, parts, measured, loss * sign)
    decay = Decay(contrast.shape, before, loss, loss, contrast.began, until, 1.0)
    dispersion = _dispersion(decay, sign, days)
    return Decay(contrast.shape, before, loss, loss - dispersion * sqrt(width), contrast.began, until, dispersion)


def _start(contrast: _Contrast, parts: Sequence[Part], measured: Sequence[Estimate], change: float) -> float:
    """The metric at the start, where the rows tell it: before the step, or where the line begins."""
    if contrast.shape == "step":
        return measured[0].value
    labels = [sum(part.labelled for part in parts[first:last]) for first, last in contrast.stretches]
    rows = sum(part.labelled * part.middle for part in parts)
    mean = sum(count * each.value for count, each in zip(labels, measured, strict=True)) / sum(labels)
    return mean - change * rows / sum(part.labelled for part in parts) / parts[-1].end


def _dispersion(decay: Decay, sign: int, days: Sequence[tuple[Part, Estimate | None]]) -> float:
    """How much further parts lie from the decay than their rows explain, as a factor of the error: 1, no further."""
    squares = []
    for part, estimate in days:
        if estimate is None or part.labelled < _LABELS_A_PART:
            continue
        error = (estimate.high - estimate.low) / 2 / deviations(_ONE_DEVIATION)
        if error > 0:
            squares.append(((estimate.value - decay.before - sign * decay.on(part.middle)) / error) ** 2)
    return sqrt(max(sum(squares) / (len(squares) - 2), 1.0)) if len(squares) >= _FEWEST_DAYS else 1.0
