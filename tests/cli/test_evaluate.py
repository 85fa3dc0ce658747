"""`retraind evaluate`: what the triggers would answer now; nothing fires and nothing is written."""

import sqlite3

from sqlalchemy import select

from retraind.ledger import models, tables


def everything(project):
    """Each table's rows."""
    with project.ledger.read() as connection:
        return {name: connection.execute(select(table)).all() for name, table in tables.metadata.tables.items()}


def test_each_trigger_answers_with_its_numbers_and_nothing_is_written(project):
    before = everything(project)
    answer = project("evaluate", "delays", "--json")
    assert answer.code == 0
    volume, stale = answer.json
    assert (volume["trigger"], volume["outcome"], volume["course"]) == ("volume", "fired", "request")
    assert volume["numbers"]["labelled"] == 50
    assert volume["sentence"] == "There are 50 labelled rows and no training yet; 40 are enough."
    assert (stale["type"], stale["because"]) == ("interval", "nothing holds it back")
    assert everything(project) == before


def test_for_people_it_is_a_table(project):
    lines = project("evaluate", "delays", "volume").out.splitlines()
    assert lines[0].split() == ["TRIGGER", "TYPE", "ANSWER", "THE", "DAEMON", "WOULD", "WHY"]
    assert lines[1].split()[:4] == ["volume", "volume", "fired", "start"]
    assert len(lines) == 2


def test_what_holds_a_job_back_is_told(project):
    with project.ledger.write("user:ann") as transaction:
        models.pause(transaction, "delays", "holidays")
    assert "hold it: the model is paused: holidays" in project("evaluate", "delays", "volume").out


def test_an_open_job_would_be_joined(project):
    job = project.job()
    assert f"join it to the open job: job {job} is open and takes it in" in project("evaluate", "delays").out


def test_a_trigger_that_cannot_answer_exits_1(project):
    with sqlite3.connect(project.folder / "monitoring.db") as store:
        store.execute("DROP TABLE predictions")
    store.close()
    answer = project("evaluate", "delays", "--json")
    assert answer.code == 1
    assert answer.json[0]["outcome"] == "error"
    assert "Traceback" not in answer.err


def test_an_unknown_trigger_is_a_wrong_call_with_the_nearest_name(project):
    answer = project("evaluate", "delays", "volum")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "retraind: model 'delays' has no trigger 'volum' (did you mean 'volume'?); it has: volume, stale\n"
    )


def test_a_model_without_triggers_says_so(project):
    assert project("evaluate", "fraud").out == "the model has no triggers\n"


def test_the_schema_is_json_schema(project):
    answer = project("schema")
    assert answer.code == 0
    assert answer.json["properties"]["models"]
    assert "fraud" not in answer.out
