"""A person sees an incident of the data, and says go: status, clear, trigger."""

import getpass
import sys
from datetime import datetime, timedelta

import pytest

from retraind.ledger import looks, trail
from triggers.incident_state import Incident, IncidentState, Kind, OpenIncident

ME = f"user:{getpass.getuser()}"
SENTENCE = "column distance is missing in 100 % of 150 rows, where 0 % are usual"
CONFIGURATION = f"""
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db", columns: {{features: [distance]}}}}
    triggers: {{drift: {{type: drift, window: 7d}}}}
    policy: {{on_incident: POLICY}}
    training: {{trainer: {{command: [{sys.executable}]}}}}
"""


@pytest.fixture
def broken(project, now):
    """A project in which a look has found an incident."""
    project.configure(text=CONFIGURATION.replace("POLICY", "hold"))
    incident = Incident(Kind.MISSING, "distance", SENTENCE, {"missing": 1.0, "expected": 1.0, "rows": 150})
    state = IncidentState(open=(OpenIncident(incident, now - timedelta(days=2)),), looked_at=now)
    with project.ledger.write("daemon") as transaction:
        looks.save(transaction, "delays", "drift", {"state": state.within({"other": 1}), "last_look_at": now})
    return project


def cleared(project):
    with project.ledger.read() as connection:
        return [event for event in trail.beyond(connection, 0) if event["event"] == "data.cleared"]


def test_status_shows_an_open_incident_and_what_ends_it(broken):
    out = broken("status").out
    assert f"! delays: {SENTENCE}; see to the data, or `retraind clear delays` if it is right" in out
    assert f"found by drift: {SENTENCE}; `retraind clear delays` says that the data is right" in out
    assert f"no new job now: an incident of the data is open: {SENTENCE}" in out
    (model,) = broken("status", "--json").json["models"]
    (incident,) = model["incidents"]
    since = incident.pop("since")
    assert datetime.fromisoformat(since) < datetime.fromisoformat(broken("status", "--json").json["time"])
    assert incident == {
        "trigger": "drift",
        "kind": "missing",
        "column": "distance",
        "sentence": SENTENCE,
        "acknowledged_by": None,
    }


def test_clear_ends_the_hold_under_the_persons_name_and_may_be_asked_twice(broken):
    answer = broken("clear", "delays", "--reason", "that feature is gone")
    assert (answer.code, answer.out) == (0, f"delays is held no more because {SENTENCE}\n")
    (event,) = cleared(broken)
    assert (event["actor"], event["data"]["reason"]) == (ME, "that feature is gone")
    again = broken("clear", "delays")
    assert (again.code, again.out) == (0, "no incident of the data holds delays\n")
    assert broken("clear", "delays", "--json").json == {"model": "delays", "incidents": [], "changed": False}
    status = broken("status").out
    assert f"{SENTENCE}; {ME} said go" in status
    assert "no new job now" not in status
    assert f"! delays: {SENTENCE}" not in status
    with broken.ledger.read() as connection:
        assert looks.record(connection, "delays", "drift").state["other"] == 1


def test_clear_tells_in_json_what_it_ended(broken):
    assert broken("clear", "delays", "--json").json == {"model": "delays", "incidents": [SENTENCE], "changed": True}


def test_clear_of_an_unknown_model_is_a_wrong_call_with_the_nearest_name(broken):
    answer = broken("clear", "dealys")
    assert answer.code == 2
    assert "did you mean 'delays'?" in answer.err


def test_a_model_whose_data_is_broken_is_not_retrained_unless_forced_or_cleared(broken):
    answer = broken("trigger", "delays")
    assert answer.code == 1
    assert answer.err == (
        f"retraind: the data of model 'delays' is broken: {SENTENCE}; `retraind clear delays` says that it is right, "
        "--force asks all the same\n"
    )
    assert broken("trigger", "delays", "--force").code == 0


def test_after_clear_a_retraining_needs_no_force(broken):
    broken("clear", "delays")
    assert broken("trigger", "delays").code == 0


def test_where_the_policy_ignores_incidents_a_person_may_ask_without_force(broken):
    broken.configure(text=CONFIGURATION.replace("POLICY", "ignore"))
    assert "no new job now" not in broken("status").out
    assert broken("trigger", "delays").code == 0
