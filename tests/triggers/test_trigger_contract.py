"""What holds for every built-in trigger: pure, JSON-able, plain sentences, and an answer to every evidence."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from samples import NOW, evidence, facts, features_table, predictions_table, scored_table

from triggers.base import Trigger
from triggers.catalog import BUILT_IN, parse_trigger
from triggers.evidence import Arrival, Counts, FileFact, Manifest, Member
from triggers.metrics import Tally
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
QUIET, FIRED, INSUFFICIENT, ERROR = Outcome.QUIET, Outcome.FIRED, Outcome.INSUFFICIENT, Outcome.ERROR


@dataclass(frozen=True)
class Case:
    """A trigger's settings, what it is handed, and what it must answer."""

    settings: Mapping[str, Any]
    answers: Mapping[str, Any]
    outcome: Outcome
    state: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


NONE = Counts(0, 0)
TIMES = pa.array([NOW - DAY] * 400, pa.timestamp("us", "UTC"))
CRON = {"type": "cron", "schedule": "0 2 * * *"}
DUE = {"schedule": "0 2 * * *", "timezone": "UTC", "next_due": "2026-03-20T02:00:00Z", "fired": False}
INTERVAL = {"type": "interval", "every": "7d"}
VOLUME = {"type": "volume", "rows": 100}
DECAY = {"type": "performance", "metric": "accuracy", "below": 0.8, "window": "7d"}
RANKING = {"type": "performance", "metric": "roc_auc", "below": 0.8, "window": "7d"}
ESTIMATE = {"type": "estimated_performance", "metric": "accuracy", "below": 0.5, "window": "7d"}
WORTH = {"type": "worth", "retrain": 40, "point_of_accuracy_per_day": 25, "window": "28d"}
DRIFT = {"type": "drift", "window": "7d"}
FILE = {"type": "file", "path": "data/*.csv"}
KNOWN = {"path": "data/*.csv", "root": "/d", "files": {}, "changed_since": None, "firings": 0}
PENDING = {
    **KNOWN,
    "pending": {"a.csv": [[1, 1, 1, "x"], (NOW - DAY).isoformat()]},
    "changed_since": (NOW - DAY).isoformat(),
}
PREDICTIONS = {"prediction_reference": predictions_table(600, 1), "prediction_current": predictions_table(600, 2)}
NO_PREDICTIONS = {name: table.slice(0, 0) for name, table in PREDICTIONS.items()}
REFERENCE = features_table(2000, 1)
NO_ROWS = features_table(0, 1)
ALL_MISSING = pa.table({"distance": pa.nulls(600, pa.float64()), "carrier": pa.nulls(600, pa.string())})


def dated(table: pa.Table) -> pa.Table:
    times = [NOW - DAY + DAY * (index / table.num_rows) for index in range(table.num_rows)]
    return table.add_column(0, "timestamp", pa.array(times, pa.timestamp("us", "UTC")))


def newest(rows: pa.Table) -> Mapping[str, Any]:
    """What a drift trigger is handed to look for incidents in: these rows, none a day and a week before."""
    none = dated(NO_ROWS).select(["timestamp"])
    return {"newest": dated(rows), "day_before": none, "week_before": none}


BEFORE = newest(NO_ROWS)

ESTIMATED = {"past": scored_table(2000, 1), "window": scored_table(2000, 2, labelled=False)}
TEXT_SCORES = {name: table.set_column(1, "score", [["a"] * 2000]) for name, table in ESTIMATED.items()}
TIMED = features_table(600, 2).append_column("timestamp", pa.array([NOW - DAY] * 600, pa.timestamp("us", "UTC")))


def right(parts: int, hits: int, predicted: str = "1") -> tuple[Arrival, ...]:
    """So many parts of 500 labelled rows each (none of no hits), with so many hits."""
    tally = Tally({(predicted, "1"): hits, (predicted, "0"): 500 - hits} if hits else {})
    return (Arrival(tally, {}),) * parts


def fading() -> pa.Table:
    """Four weeks of scores that no longer tell positives in the last one."""
    instants = [NOW - 28 * DAY + 28 * DAY * index / 2800 for index in range(2800)]
    scores = [(index * 37 % 100 + (60 if index % 2 and index < 2100 else 0)) / 160 for index in range(2800)]
    return pa.table(
        {"timestamp": pa.array(instants, pa.timestamp("us", "UTC")), "score": scores, "actual": [0, 1] * 1400}
    )


CASES = {
    "cron first look": Case(CRON, {}, QUIET),
    "cron due": Case(CRON, {}, FIRED, DUE),
    "cron not due": Case(CRON, {}, QUIET, {**DUE, "next_due": "2026-03-21T02:00:00Z"}),
    "interval over": Case(INTERVAL, {}, FIRED),
    "interval running": Case(INTERVAL, {}, QUIET, facts={"trained_at": NOW - DAY}),
    "interval never trained": Case(INTERVAL, {}, FIRED, facts={"trained_at": None}),
    "volume reached": Case(VOLUME, {"counts": Counts(100, 0)}, FIRED),
    "volume of nothing": Case(VOLUME, {"counts": Counts(0, 0)}, QUIET, facts={"trained_until": None}),
    "performance low": Case(
        DECAY,
        {
            "counts": Counts(500, 400),
            "before": NONE,
            "long_before": NONE,
            "labels": (Arrival(Tally({("1", "0"): 400}), {"1": 100}),),
        },
        FIRED,
    ),
    "performance high": Case(
        DECAY,
        {
            "counts": Counts(500, 400),
            "before": NONE,
            "long_before": NONE,
            "labels": (Arrival(Tally({("1", "1"): 400}), {}),),
        },
        QUIET,
    ),
    "performance empty": Case(
        DECAY, {"counts": NONE, "before": NONE, "long_before": NONE, "labels": (Arrival(Tally(), {}),)}, INSUFFICIENT
    ),
    "performance undefined": Case(
        {**DECAY, "metric": "recall"},
        {
            "counts": Counts(400, 400),
            "before": NONE,
            "long_before": NONE,
            "labels": (Arrival(Tally({("0", "0"): 400}), {}),),
        },
        INSUFFICIENT,
    ),
    "performance of scores": Case(
        RANKING,
        {
            "counts": Counts(400, 400),
            "before": NONE,
            "long_before": NONE,
            "labels": pa.table({"timestamp": TIMES, "score": [0.5, 0.6] * 200, "actual": [1, 0] * 200}),
        },
        FIRED,
    ),
    "performance of no scores": Case(
        RANKING,
        {
            "counts": NONE,
            "before": NONE,
            "long_before": NONE,
            "labels": pa.table({"timestamp": TIMES.slice(0, 0), "score": pa.nulls(0), "actual": pa.nulls(0)}),
        },
        INSUFFICIENT,
    ),
    "performance of text": Case(
        RANKING,
        {
            "counts": Counts(400, 400),
            "before": NONE,
            "long_before": NONE,
            "labels": pa.table({"timestamp": TIMES, "score": ["a"] * 400, "actual": [1, 0] * 200}),
        },
        ERROR,
    ),
    "estimated performance": Case(ESTIMATE, ESTIMATED, QUIET),
    "estimated performance low": Case({**ESTIMATE, "below": 0.99}, ESTIMATED, FIRED),
    "estimated performance of few rows": Case(
        ESTIMATE, {name: table.slice(0, 9) for name, table in ESTIMATED.items()}, INSUFFICIENT
    ),
    "estimated performance of text": Case(ESTIMATE, TEXT_SCORES, ERROR),
    "worth it": Case(WORTH, {"before": NONE, "older": right(16, 450), "newest": right(8, 350)}, FIRED),
    "not worth it": Case(WORTH, {"before": NONE, "older": right(16, 450), "newest": right(8, 449)}, QUIET),
    "worth of nothing": Case(WORTH, {"before": NONE, "older": right(16, 0), "newest": right(8, 0)}, INSUFFICIENT),
    "worth of probabilities": Case(
        WORTH, {"before": NONE, "older": right(16, 450, "0.83"), "newest": right(8, 450, "0.12")}, ERROR
    ),
    "worth of scores": Case(
        {"type": "worth", "retrain": 40, "point_of_roc_auc_per_day": 25, "window": "28d"},
        {"before": NONE, "labels": fading()},
        FIRED,
    ),
    "drift": Case(
        DRIFT, {"reference": REFERENCE, "current": features_table(600, 2, 1), **PREDICTIONS, **BEFORE}, FIRED
    ),
    "no drift": Case(
        DRIFT, {"reference": REFERENCE, "current": features_table(600, 2), **PREDICTIONS, **BEFORE}, QUIET
    ),
    "drift without a reference": Case(
        DRIFT, {"reference": None, "current": REFERENCE, **PREDICTIONS, **newest(REFERENCE)}, INSUFFICIENT
    ),
    "drift without rows": Case(
        DRIFT, {"reference": NO_ROWS, "current": NO_ROWS, **NO_PREDICTIONS, **BEFORE}, INSUFFICIENT
    ),
    "drift of other columns": Case(
        DRIFT,
        {"reference": predictions_table(600, 1), "current": REFERENCE, **PREDICTIONS, **newest(REFERENCE)},
        ERROR,
    ),
    "drift in sequence": Case(
        {**DRIFT, "method": "sequential"}, {"reference": REFERENCE, "current": TIMED, **BEFORE}, QUIET
    ),
    "drift of all missing": Case(
        {**DRIFT, "incidents": False}, {"reference": REFERENCE, "current": ALL_MISSING, **PREDICTIONS}, FIRED
    ),
    "an incident": Case(
        DRIFT,
        {"reference": REFERENCE, "current": ALL_MISSING, **PREDICTIONS, **newest(ALL_MISSING)},
        INSUFFICIENT,
    ),
    "file first look": Case(FILE, {"files": Manifest("/d", {"a.csv": FileFact(1, 1, 1, "x")})}, QUIET),
    "file settled": Case(FILE, {"files": Manifest("/d", {"a.csv": FileFact(1, 1, 1, "x")})}, FIRED, PENDING),
    "file without directory": Case(FILE, {"files": Manifest("/d", {}, missing=True)}, INSUFFICIENT),
    "all": Case({"type": "all", "of": ["a"]}, {"members": {"a": Member(FIRED, NOW)}}, FIRED),
    "all never looked at": Case({"type": "all", "of": ["a"]}, {"members": {"a": Member(None, None)}}, INSUFFICIENT),
    "any": Case({"type": "any", "of": ["a", "b"]}, {"members": dict.fromkeys("ab", Member(QUIET, None))}, QUIET),
    "any of nobody": Case({"type": "any", "of": ["a"]}, {"members": {}}, ERROR),
}


def judge(case: Case) -> Verdict:
    return parse_trigger(case.settings).evaluate(evidence(case.answers, case.state, **case.facts), NOW)


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_every_built_in_trigger_has_cases() -> None:
    assert {case.settings["type"] for case in CASES.values()} == set(BUILT_IN)


def test_the_evidence_has_its_answer(case: Case) -> None:
    assert judge(case).outcome is case.outcome


def test_equal_evidence_gives_an_equal_verdict(case: Case) -> None:
    assert judge(case) == judge(case)


def test_it_asks_for_the_same_evidence_each_time_by_the_names_it_answers_to(case: Case) -> None:
    trigger = parse_trigger(case.settings)
    asked = trigger.requests(facts(**case.facts), case.state, NOW)
    assert asked == trigger.requests(facts(**case.facts), case.state, NOW)
    assert set(asked) == set(case.answers)
    assert all(hash(request) == hash(request) for request in asked.values())


def test_its_numbers_and_state_are_json_without_nan(case: Case) -> None:
    verdict = judge(case)
    for told in (verdict.numbers, verdict.state):
        assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_its_sentence_is_one_line_that_ends_in_a_full_stop(case: Case) -> None:
    sentence = judge(case).sentence
    assert sentence.endswith(".")
    assert not sentence.endswith("..")
    assert "\n" not in sentence
    assert "nan" not in sentence.lower().split()


def test_the_next_look_is_not_in_the_past(case: Case) -> None:
    trigger, verdict = parse_trigger(case.settings), judge(case)
    state = case.state if verdict.state is None else verdict.state
    following = trigger.next_look(facts(**case.facts), state, NOW)
    assert following is not None
    assert NOW < following <= NOW + timedelta(days=30)


def test_a_firing_with_a_key_is_not_answered_twice(case: Case) -> None:
    verdict = judge(case)
    if verdict.key is not None:
        assert verdict.state is not None
        trigger = parse_trigger(case.settings)
        assert trigger.evaluate(evidence(case.answers, verdict.state, **case.facts), NOW).outcome is Outcome.QUIET


def test_its_settings_can_be_written_out_and_read_again(case: Case) -> None:
    trigger = parse_trigger(case.settings)
    assert parse_trigger(trigger.model_dump(mode="json")) == trigger
    assert parse_trigger(trigger) is trigger


def test_unknown_settings_are_refused(case: Case) -> None:
    with pytest.raises(ValueError, match="surprise"):
        parse_trigger({**case.settings, "surprise": 1})


def test_which_news_bring_a_look_forward_is_known() -> None:
    triggers: dict[str, Trigger] = {case.settings["type"]: parse_trigger(case.settings) for case in CASES.values()}
    assert {name for name, trigger in triggers.items() if trigger.wakes_on_rows} == {
        "volume",
        "performance",
        "estimated_performance",
        "worth",
        "drift",
    }
    assert {name for name, trigger in triggers.items() if trigger.wakes_on_files} == {"file"}


JUDGE_IN_A_FRESH_PROCESS = """
import sys
import pyarrow as pa
from datetime import datetime, UTC
from triggers.catalog import parse_trigger
from triggers.evidence import Arrival, Counts, Evidence, ModelFacts

def read(name):
    return pa.ipc.open_file(f"{sys.argv[1]}/{name}.arrow").read_all()

now = datetime(2026, 1, 1, tzinfo=UTC)
facts = ModelFacts(now, None, None, None, None, {}, features=("distance", "carrier"))
drift = parse_trigger({"type": "drift", "prediction": False})
rank = parse_trigger({"type": "performance", "metric": "roc_auc", "below": 0.9, "window": "7d"})
tables = {"reference": read("reference"), "current": read("current")}
print(drift.evaluate(Evidence(facts, {}, tables), now).outcome)
labels = {"counts": Counts(600, 600), "before": Counts(0, 0), "long_before": Counts(0, 0), "labels": read("labels")}
print(rank.evaluate(Evidence(facts, {}, labels), now).outcome)
ahead = parse_trigger({"type": "estimated_performance", "metric": "accuracy", "below": 0.99})
print(ahead.evaluate(Evidence(facts, {}, {"past": read("past"), "window": read("window")}), now).outcome)
for name in ("day_before", "week_before"):
    tables[name] = read("newest").select(["timestamp"]).slice(0, 0)
tables["newest"] = read("newest")
print(drift.evaluate(Evidence(facts, {}, tables), now).sentence.rpartition(" are copies ")[1])
print([name for name in ("pandas", "scipy.stats", "sklearn", "mlflow") if name in sys.modules])
"""


def test_judging_imports_neither_pandas_nor_scipy_stats(tmp_path: Path) -> None:
    holes = pa.array([None if index % 9 == 0 else index / 600 for index in range(600)])
    tables = {
        "reference": REFERENCE,
        "newest": pa.concat_tables([dated(features_table(600, 2))] * 2),
        "current": features_table(600, 2, shift=1).set_column(0, "distance", holes),
        **ESTIMATED,
        "labels": pa.table({"timestamp": [NOW] * 600, "score": holes, "actual": [0, 1] * 300}),
    }
    for name, table in tables.items():
        with pa.ipc.new_file(str(tmp_path / f"{name}.arrow"), table.schema) as file:
            file.write_table(table)
    command = [sys.executable, "-c", JUDGE_IN_A_FRESH_PROCESS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:5] == ["fired", "fired", "fired", " are copies ", "[]"]
