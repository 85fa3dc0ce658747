"""What is done so that a seldom passed point is passed: each act leads to points that there are."""

import json
import sqlite3
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import project
import pytest
from provoking import (
    APPROVE,
    COMMAND_TARGET,
    LEADS_TO,
    REJECT,
    RELABEL,
    RELOAD,
    acts_for,
    acts_left,
    forget,
    models_for,
    relabel,
    unalias,
)
from test_guarantees_document import in_code


@pytest.fixture
def world(tmp_path: Path) -> Any:
    return SimpleNamespace(folder=tmp_path)


def test_each_act_leads_to_points_that_there_are() -> None:
    places = set(in_code())
    for start in {start.rpartition(">")[2] for starts in LEADS_TO.values() for start in starts}:
        assert any(place.replace("mlflow.any", start).startswith(start) for place in places), start


def test_what_is_armed_says_what_is_done() -> None:
    assert acts_for(["stage.train.before", "audit.note.after"]) == set()
    assert acts_for(["ledger.daemon.monitor._begin.in"]) == {RELOAD}
    assert acts_for(["durable.once.after", "ledger.daemon.cli.acting.reject.in"]) == {RELABEL, REJECT, COMMAND_TARGET}
    assert acts_for(["stage.deploy>child.watch.after"]) == {COMMAND_TARGET}
    assert APPROVE in acts_for(["ledger.daemon.cli.acting.approve.before"])


def test_an_act_is_left_until_all_that_it_leads_to_was_passed() -> None:
    every = [f"{start}.before" for starts in LEADS_TO.values() for start in starts]
    assert acts_left(every) == set()
    assert acts_left([]) == set(LEADS_TO)
    assert acts_left([point for point in every if not point.startswith("durable.link")]) == {RELABEL}


def test_files_land_for_a_model_that_leads_there() -> None:
    assert models_for({COMMAND_TARGET, RELOAD}) == ("gamma",)
    assert models_for({RELOAD}) == project.MODELS


def test_an_edited_label_shows_another_version_of_a_model_that_stays_whole(world: Any) -> None:
    for directory in project.DIRECTORIES.values():
        place = world.folder / directory / "versions" / "3"
        place.mkdir(parents=True)
        (place / "VERSION.json").write_text(json.dumps({"version": "3", "job": "j"}))
        (place.parents[1] / "current").symlink_to("versions/3")
    relabel(world, Random(1))
    labels = [
        json.loads((world.folder / directory / "current" / "VERSION.json").read_text())
        for directory in project.DIRECTORIES.values()
    ]
    assert sorted(label["version"] for label in labels) == ["0", "3"]
    assert {label["job"] for label in labels} == {"j"}
    assert not list(world.folder.rglob("*.draft"))


def test_before_anything_is_deployed_there_is_nothing_to_edit(world: Any) -> None:
    relabel(world, Random(1))
    unalias(world, Random(1))
    assert list(world.folder.iterdir()) == []


def test_a_deployment_under_way_is_not_forgotten(world: Any) -> None:
    records = world.folder / "state" / "targets" / "gamma"
    records.mkdir(parents=True)
    for name in ("command-0a.json", "command-0a.group.json", "settled.json"):
        (records / name).touch()
    forget(world, Random(1))
    assert sorted(each.name for each in records.iterdir()) == ["command-0a.group.json", "settled.json"]


def test_the_champion_keeps_its_alias(world: Any) -> None:
    (world.folder / "state").mkdir()
    with sqlite3.connect(world.folder / "state" / "mlflow.db") as registry:
        registry.execute("CREATE TABLE registered_model_aliases (alias TEXT, name TEXT, version INTEGER)")
        registry.execute(
            "INSERT INTO registered_model_aliases VALUES ('champion', 'alpha', 2), ('previous', 'alpha', 1)"
        )
    registry.close()
    unalias(world, Random(1))
    with sqlite3.connect(world.folder / "state" / "mlflow.db") as registry:
        assert registry.execute("SELECT alias FROM registered_model_aliases").fetchall() == [("champion",)]
    registry.close()
