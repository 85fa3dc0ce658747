"""Gates: whether a challenger may be deployed."""

from typing import Any

import pytest

from retraind.config.training import Gate
from workers.gates import ask


def answer(gate: dict[str, Any], challenger: dict[str, float | None], champion: dict[str, float | None] | None) -> Any:
    return ask([Gate(**gate)], challenger, champion)[0]


@pytest.mark.parametrize(
    ("gate", "challenger", "champion", "passed"),
    [
        ({"metric": "accuracy", "at_least": 0.85}, 0.85, None, True),
        ({"metric": "accuracy", "at_least": 0.85}, 0.8499, 0.1, False),
        ({"metric": "rmse", "at_most": 2.0}, 2.0, None, True),
        ({"metric": "rmse", "at_most": 2.0}, 2.01, None, False),
        ({"metric": "accuracy", "not_worse_than": "champion"}, 0.9, 0.9, True),
        ({"metric": "accuracy", "not_worse_than": "champion"}, 0.899, 0.9, False),
        ({"metric": "accuracy", "not_worse_than": "champion", "by": 0.0625}, 0.5, 0.5625, True),
        ({"metric": "accuracy", "not_worse_than": "champion", "by": 0.0625}, 0.5, 0.5626, False),
        ({"metric": "accuracy", "better_than": "champion"}, 0.9, 0.9, False),
        ({"metric": "accuracy", "better_than": "champion"}, 0.9001, 0.9, True),
        ({"metric": "log_loss", "better_than": "champion"}, 0.3, 0.4, True),
        ({"metric": "log_loss", "not_worse_than": "champion"}, 0.4, 0.3, False),
    ],
)
def test_a_gate_knows_which_way_is_better(
    gate: dict[str, Any], challenger: float, champion: float | None, passed: bool
) -> None:
    rival = None if champion is None else {gate["metric"]: champion}
    assert answer(gate, {gate["metric"]: challenger}, rival).passed is passed


def test_the_first_model_ever_needs_no_champion() -> None:
    for comparison in ("not_worse_than", "better_than"):
        outcome = answer({"metric": "f1", comparison: "champion"}, {"f1": 0.2}, None)
        assert (outcome.passed, outcome.champion) == (True, None)
        assert outcome.sentence == "f1 0.2000; there is no champion yet to compare with"


def test_a_figure_that_cannot_be_computed_fails_its_gate() -> None:
    compared = {"metric": "roc_auc", "not_worse_than": "champion"}
    mine = answer(compared, {"roc_auc": None}, {"roc_auc": 0.9})
    assert (mine.passed, mine.sentence) == (False, "roc_auc of the challenger cannot be computed")
    theirs = answer(compared, {"roc_auc": 0.9}, {"roc_auc": None})
    assert (theirs.passed, theirs.sentence) == (False, "roc_auc of the champion cannot be computed")


def test_a_sentence_holds_both_figures_their_difference_and_the_wish() -> None:
    outcome = answer(
        {"metric": "accuracy", "not_worse_than": "champion", "by": 0.005}, {"accuracy": 0.88}, {"accuracy": 0.9}
    )
    assert outcome.gate == "accuracy not_worse_than champion by 0.005"
    assert outcome.sentence == (
        "accuracy 0.8800 against the champion's 0.9000 on the same rows (-0.0200), wanted not worse by more than 0.005"
    )
