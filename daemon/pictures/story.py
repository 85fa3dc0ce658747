"""What is drawn: one look, and the trigger's earlier looks as far as they are kept. Knows nothing of drawing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retraind.ledger.looks import Look
from triggers.picture import kept_tests
from triggers.wording import instant


@dataclass(frozen=True)
class Test:
    """One test of one column at one look. A bar that is not known is None, and so is whether it was passed."""

    distance: float
    bars: Mapping[str, float | None]
    passed: Mapping[str, bool | None]

    @property
    def past(self) -> bool:
        """Whether every bar that is known was passed."""
        return all(held is not False for held in self.passed.values())


@dataclass(frozen=True)
class Story:
    """`looks` are the newest ones up to the one that is drawn, which is the last of them."""

    looks: Sequence[Look]

    @property
    def look(self) -> Look:
        return self.looks[-1]

    @property
    def headline(self) -> str:
        """`FIRED: drift of delays, look 12 at 2026-03-20 12:00 UTC`."""
        look = self.look
        return f"{look.outcome.upper()}: {look.trigger} of {look.model}, look {look.id} at {instant(look.at)}"

    @property
    def is_of_evidence(self) -> bool:
        """A drift verdict by `method: sequential`."""
        return {"evidence", "enough"} <= self.look.numbers.keys()

    @property
    def is_of_metric(self) -> bool:
        """A performance verdict, estimated or not, that has a figure."""
        numbers = self.look.numbers
        return {"metric", "low", "high", "bar"} <= numbers.keys() and numbers.get("value") is not None

    def tests(self, column: str, test: str, window: str | None) -> Iterator[tuple[Look, Test]]:
        """That test of the column over such a window, at each look that tells it."""
        for look in self.looks:
            found = _kept(look, column, test, window) or _numbered(look, column, test, window)
            if found is not None:
                yield look, found


def _kept(look: Look, column: str, test: str, window: str | None) -> Test | None:
    for each in (look.picture or {}).get("columns", []):
        if each["name"] == column:
            found = next((one for one in kept_tests(each) if (one["test"], one["window"]) == (test, window)), None)
            return None if found is None else test_of(found)
    return None


def test_of(kept: Mapping[str, Any]) -> Test:
    """A test as `triggers.picture.kept_tests` gives it."""
    bars = {"noise": kept["noise_bar"], "effect": kept["effect_bar"], "nature": kept["natural_bar"]}
    return Test(kept["distance"], bars, {name: kept[name] for name in bars})


def _numbered(look: Look, column: str, test: str, window: str | None) -> Test | None:
    """From a look's numbers, which have the figures of every column over the whole window, without its bars."""
    numbers = look.numbers
    whole = (numbers.get("windows") or [{"window": None}])[0]["window"]
    figures = (numbers.get("columns") or {}).get(column)
    if not figures or window != whole:
        return None
    value = {
        "ks": figures.get("ks"),
        "rank_sum": _from(figures.get("rank_sum"), 0.5),
        "mood": _from(figures.get("mood"), 1.0),
        "missing": _from(figures.get("missing_current"), figures.get("missing_reference", 0.0)),
        "chi_squared": figures.get("js"),
    }.get(test)
    nothing: dict[str, None] = {"noise": None, "effect": None, "nature": None}
    # Few columns are kept beside the drifted ones, so one that was not kept had not drifted.
    return None if value is None else Test(value, nothing, {"noise": False})


def _from(value: float | None, nothing: float) -> float | None:
    return None if value is None else abs(value - nothing)
