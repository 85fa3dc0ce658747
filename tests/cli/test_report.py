"""`retraind looks` and `retraind report`: finding a look and drawing it, long after its rows are gone."""

import json
from typing import Any

import pytest

from retraind.ledger import looks
from triggers.verdict import Outcome, Verdict

BARS = {
    "spacing": "levels",
    "marks": ["AA", "UA"],
    "reference": [60, 40],
    "current": [10, 50],
    "beside": {"missing": [0, 40]},
    "reach": None,
}
TEST = ["chi_squared", "7d", 0.4, 0.1, 0.1, None, True, True, None]
COLUMN = {"name": "carrier", "bars": BARS, "window": "7d", "drifted": True, "told_by": "chi_squared"}
PICTURE = {"columns": [{**COLUMN, "tests": [TEST]}], "left_out": 3}
MEASURED = {"metric": "accuracy", "value": 0.8, "low": 0.7, "high": 0.9, "bar": 0.85, "labelled": 100}


def keep(project: Any, trigger: str, outcome: Outcome, numbers: dict[str, Any], picture: Any = None) -> int:
    """Keeps a look and returns its number."""
    verdict = Verdict(outcome, f"{trigger} answered.", numbers, picture=picture)
    with project.ledger.write("daemon") as transaction:
        looks.keep(transaction, "delays", trigger, verdict, "because", None)
    with project.ledger.read() as connection:
        return looks.latest(connection, "delays", limit=1)[0].id


def test_a_verdict_is_drawn_from_what_the_ledger_keeps(project):
    number = keep(project, "drift", Outcome.FIRED, {}, PICTURE)
    (project.folder / "monitoring.db").unlink()
    answer = project("report", "delays", "--look", str(number))
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == [
        f"fired: drift of delays, look {number}",
        "  drift answered.",
        *(f"  pictures/delays-drift-{number}.{kind}" for kind in ("html", "svg", "png")),
    ]
    assert {path.suffix for path in (project.folder / "pictures").iterdir()} == {".svg", ".png", ".html"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (project.folder / "pictures").iterdir())


def test_by_default_the_newest_verdict_of_each_trigger_that_has_figures_is_drawn(project):
    keep(project, "volume", Outcome.QUIET, MEASURED)
    newer = keep(project, "volume", Outcome.QUIET, MEASURED)
    keep(project, "volume", Outcome.INSUFFICIENT, {})
    keep(project, "stale", Outcome.QUIET, {"days": 3})
    (report,) = project("report", "delays", "--format", "svg", "--output", "out", "--json").json
    assert (report["look"], report["trigger"], report["outcome"]) == (newer, "volume", "quiet")
    assert report["files"] == [f"out/delays-volume-{newer}.svg"]
    assert (report["columns"], report["left_out"]) == ([], 0)


def test_the_columns_of_a_picture_are_told_as_json(project):
    keep(project, "stale", Outcome.FIRED, {}, PICTURE)
    (report,) = project("report", "delays", "stale", "--format", "png", "--json").json
    assert (report["columns"], report["left_out"]) == (["carrier"], 3)


def test_what_led_to_a_job_is_drawn_and_show_says_how(project):
    verdict = Verdict(Outcome.FIRED, "carrier drifted.", {"level": 0.01}, picture=PICTURE)
    job = project.job()
    with project.ledger.write("daemon") as transaction:
        looks.keep(transaction, "delays", "drift", verdict, "because", job)
        looks.fire(transaction, "delays", "drift", verdict, role="cause", job=job)
    (cause,) = project("show", job, "--json").json["causes"]
    assert (cause["look"], cause["can_be_drawn"]) == (1, True)
    assert cause["numbers"] == {"level": 0.01}
    assert f"`retraind report delays --job {job}` draws it" in project("show", job).out
    (report,) = project("report", "delays", "--job", job[-6:], "--format", "svg", "--json").json
    assert report["look"] == 1


def test_a_picture_is_in_no_event_and_in_no_firing(project):
    verdict = Verdict(Outcome.FIRED, "carrier drifted.", {"level": 0.01}, picture=PICTURE)
    with project.ledger.write("daemon") as transaction:
        looks.keep(transaction, "delays", "drift", verdict, "because", None)
        looks.fire(transaction, "delays", "drift", verdict, role="proposed", job=None)
        transaction.event("trigger.fired", model="delays", data={"numbers": dict(verdict.numbers)})
    assert "beside" not in project("audit", "tail", "--json").out
    with project.ledger.read() as connection:
        (look,) = looks.latest(connection, "delays", "drift")
    assert look.numbers == {"level": 0.01}
    assert look.picture == json.loads(json.dumps(PICTURE))


def test_looks_are_listed_newest_first(project):
    first = keep(project, "volume", Outcome.QUIET, MEASURED)
    second = keep(project, "stale", Outcome.QUIET, {})
    listed = project("looks", "delays", "--json").json
    assert [(look["look"], look["can_be_drawn"]) for look in listed] == [(second, False), (first, True)]
    assert [look["look"] for look in project("looks", "delays", "volume", "--json").json] == [first]
    assert len(project("looks", "delays", "--limit", "1", "--json").json) == 1
    assert project("looks", "delays").out.splitlines()[0].split() == [
        "LOOK",
        "TRIGGER",
        "AT",
        "ANSWER",
        "DECISION",
        "WHY",
    ]
    assert project("looks", "fraud").out == "no looks are kept\n"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (["delays", "--look", "99"], "there is no look 99 of model 'delays'; `retraind looks delays` lists those"),
        (["fraud", "--look", "1"], "there is no look 1 of model 'fraud'"),
        (["delays", "--look", "1"], "look 1 (stale) has nothing to draw; it said: stale answered."),
        (["delays"], "no kept look of model 'delays' has anything to draw"),
        (["delays", "volume"], "no kept look of trigger 'volume' has anything to draw"),
        (
            ["delays", "volumes"],
            "model 'delays' has no trigger 'volumes' (did you mean 'volume'?); it has: volume, stale",
        ),
        (["delay"], "there is no model 'delay' in the configuration (did you mean 'delays'?)"),
        (["delays", "--format", "svg,gif"], "--format: 'gif' is no format; write some of svg, png, html, with commas"),
        (["delays", "--format", ","], "--format: nothing is no format"),
        (["delays", "volume", "--look", "1"], "write TRIGGER, --look or --job, one of the three"),
        (["delays", "--job", "nope"], "there is no job 'nope'"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(project, call, told):
    keep(project, "stale", Outcome.QUIET, {})
    answer = project("report", *call)
    assert answer.code == 2
    assert answer.err.startswith(f"retraind: {told}")
    assert answer.err.count("\n") == 1
    assert not (project.folder / "pictures").exists()


def test_a_job_that_a_person_asked_for_has_nothing_to_draw(project):
    job = project.job("fraud")
    assert "nothing that led to job" in project("report", "fraud", "--job", job).err
    assert f"job {job} is of model 'fraud', not of 'delays'" in project("report", "delays", "--job", job).err


def test_a_directory_that_cannot_be_made_is_named(project):
    keep(project, "volume", Outcome.QUIET, MEASURED)
    (project.folder / "pictures").write_text("a file")
    answer = project("report", "delays")
    assert answer.code == 1
    assert answer.err == "retraind: File exists (pictures)\n"
