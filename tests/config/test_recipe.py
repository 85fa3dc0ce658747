"""Which changes make another recipe."""

from pathlib import Path

import pytest
from sample_files import DESIGN, LEAST, loaded

from retraind.config.recipe import recipe_hash


def hash_of(directory: Path, text: str, **environ: str) -> str:
    return recipe_hash(loaded(directory, text, **environ).model("delays"), directory)


@pytest.fixture
def before(tmp_path: Path) -> str:
    return hash_of(tmp_path, DESIGN, SLACK_URL="json://h")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_iter: 200", "max_iter: 201"),
        ("HistGradientBoostingClassifier", "RandomForestClassifier"),
        ("{rolling: 30d}", "{rolling: 31d}"),
        ("{rolling: 30d}", "{rolling: 30d, half_life: 7d}"),
        ("{rolling: 30d}", "{expanding: true}"),
        ("source: predictions", "source: {csv: data.csv}"),
        ("target: actual", "target: distance"),
        ("target: actual", "target: actual, features: [distance]"),
        ("features: [dep_delay, distance]", "features: [dep_delay]"),
        ("table: predictions", "table: other"),
        ("table: predictions", "table: predictions\n      only: {model: delays}"),
        ("budget:", "holdout: {share: 0.3}\n      budget:"),
        ("budget:", "task: classification\n      budget:"),
        ("{sklearn:", "{python: python3.12, sklearn:"),
    ],
)
def test_what_determines_the_outcome_makes_another_recipe(tmp_path: Path, before: str, old: str, new: str) -> None:
    assert old in DESIGN
    assert hash_of(tmp_path, DESIGN.replace(old, new), SLACK_URL="json://h") != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cooldown: 6h", "cooldown: 7h"),
        ("every: 7d", "every: 8d"),
        ("at_least: 0.85", "at_least: 0.9"),
        ("min_rows: 5000", "min_rows: 10"),
        ("time: 4h", "time: 5h"),
        ("budget:", "queue: gpu\n      budget:"),
        ("- {directory: models/production}", "- {directory: elsewhere}"),
        ("on: [failed,", "on: [expired,"),
        ("table: predictions", "table: predictions\n      timeout: 5s"),
        ("{max_iter: 200}", "{'max_iter': 0xC8}"),
    ],
)
def test_what_decides_whether_to_train_or_to_deploy_does_not(tmp_path: Path, before: str, old: str, new: str) -> None:
    assert old in DESIGN
    assert hash_of(tmp_path, DESIGN.replace(old, new), SLACK_URL="json://h") == before


def test_a_new_password_is_the_same_recipe_and_another_database_is_not(tmp_path: Path) -> None:
    text = LEAST.replace("sqlite:///monitoring.db", "postgresql://u:${P}@${H}/d")
    first = hash_of(tmp_path, text.replace("postgresql", "'postgresql").replace("/d}", "/d'}"), P="one", H="a")
    same = hash_of(tmp_path, text.replace("postgresql", "'postgresql").replace("/d}", "/d'}"), P="two", H="a")
    other = hash_of(tmp_path, text.replace("postgresql", "'postgresql").replace("/d}", "/d'}"), P="one", H="b")
    assert first == same
    assert first != other


def test_changed_code_of_a_function_is_another_recipe(tmp_path: Path) -> None:
    text = LEAST.replace("{sklearn: sklearn.linear_model.LogisticRegression}", "{function: train.py:train}")
    (tmp_path / "train.py").write_text("def train(): ...")
    first = hash_of(tmp_path, text)
    assert hash_of(tmp_path, text) == first
    (tmp_path / "train.py").write_text("def train(): pass")
    assert hash_of(tmp_path, text) != first
    (tmp_path / "train.py").unlink()
    assert hash_of(tmp_path, text) != first


def test_changed_files_of_a_command_are_another_recipe(tmp_path: Path) -> None:
    text = LEAST.replace(
        "{sklearn: sklearn.linear_model.LogisticRegression}",
        "{command: [python, train.py, --name, 'x/y:z'], predict: [python, predict.py]}",
    )
    hashes = [hash_of(tmp_path, text)]
    for name in ("train.py", "predict.py"):
        (tmp_path / name).write_text("1")
        hashes.append(hash_of(tmp_path, text))
    assert len(set(hashes)) == 3


def test_the_hash_is_64_hexadecimal_digits(before: str) -> None:
    assert len(before) == 64
    assert int(before, 16) >= 0
