"""Events as sentences, and spans of time as people say them."""

from datetime import UTC, datetime, timedelta

import pytest

from retraind.events import EVENTS
from retraind.telling import ago, figure, figures, instant, span, tell

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(name, actor="daemon", **data):
    return {"event": name, "model": "delays", "job": "j1", "actor": actor, "data": data}


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_a_sentence_of_its_own_even_without_data(name):
    told = tell(event(name))
    assert told
    assert told != name
    assert not told.endswith(".")


def test_an_event_of_another_version_is_told_by_its_name():
    assert tell(event("job.teleported", where="mars")) == "job.teleported"


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            event("trigger.fired", trigger="drift", sentence="3 of 4 columns drifted."),
            "drift fired: 3 of 4 columns drifted",
        ),
        (
            event("data.incident", trigger="drift", sentence="column x is 0.000 in all of 150 rows"),
            "the data is broken: column x is 0.000 in all of 150 rows",
        ),
        (
            event("data.cleared", actor="user:ann", kind="units", column="x", reason="we count in metres now."),
            "the incident of the data (units) of the column x is over, says user:ann: we count in metres now",
        ),
        (event("trigger.held", trigger="drift", reason="cooldown"), "drift fired, and no job was started: cooldown"),
        (
            event("job.requested", actor="user:ann", reason="new schedule", forced=True),
            "user:ann asked for a retraining, even on data trained on before: new schedule",
        ),
        (event("stage.started", stage="train", attempt=2), "train begins, attempt 2"),
        (event("stage.succeeded", stage="train", seconds=12.34), "train done in 12s"),
        (
            event("stage.failed", stage="train", kind="transient", error="no route", retry_at="2026-03-01T12:00:00Z"),
            "train failed (transient): no route; tried again at 2026-03-01 12:00 UTC",
        ),
        (
            event("gate.failed", gate="accuracy", sentence="accuracy 0.6, wanted at least 0.85."),
            "gate failed: accuracy 0.6, wanted at least 0.85",
        ),
        (
            event("gate.passed", gate="accuracy not worse than champion", challenger=0.9123456, champion=0.9),
            "gate passed: accuracy not worse than champion: challenger 0.912, champion 0.900",
        ),
        (
            event("job.closed", outcome="gate_failed", error="accuracy fell short."),
            "the job ended as gate failed: accuracy fell short",
        ),
        (
            event("job.closed", outcome="deployed", success=True, version="3"),
            "the job ended as deployed with version 3",
        ),
        (
            event("model.rolled_back", actor="user:ann", version="1", previous="2", reason="complaints"),
            "user:ann went back from version 2 to 1: complaints",
        ),
        (
            event("job.awaiting_approval", version="3", expires="2026-03-02T12:00:00Z"),
            "version 3 passed its gates and waits for approval until 2026-03-02 12:00 UTC",
        ),
        (
            event("registry.repaired", registered="delays", deleted=["4", "5"], terminated=[]),
            "MLflow's delays was mended: deleted the surplus versions 4, 5",
        ),
        (event("audit.repaired", repairs=["a", "b"]), "the audit log was mended: a; b"),
    ],
)
def test_a_sentence_carries_what_matters(told, sentence):
    assert tell(told) == sentence


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.34, "0.3s"), (9.96, "10.0s"), (45, "45s"), (4000, "1h6m"), (-45, "45s"), (273_600, "3d4h")]
)
def test_a_span_takes_a_sensible_unit(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "now"), (-0.4, "now"), (1, "1s ago"), (90, "1m30s ago"), (-90, "in 1m30s")]
)
def test_ages_point_both_ways(seconds, text):
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_figures_leave_out_what_is_nested():
    assert figures({"accuracy": 0.91234, "rows": 1234, "window": {"start": 1}, "champion": None}) == (
        "accuracy 0.912, rows 1234, champion -"
    )
    assert figures(None) == ""
    assert (figure(None), figure("x"), instant(None)) == ("-", "x", "-")
