"""The data that jobs are given, good and bad, from every source: taken as it is meant, or refused in a sentence."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from driving import MODEL, START, Project

from retraind.config.policy import Breaker
from retraind.ledger import jobs, looks
from retraind.ledger.rows import Job
from retraind.states import JobState, Stage
from triggers.incident_state import Incident, IncidentState, Kind, OpenIncident

CHECKED = (Stage.INGEST, Stage.VALIDATE)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


def checked(project: Project, **changes: Any) -> Job:
    project.configure(**changes)
    return project.advance(project.request(), *CHECKED)


def data(**changes: Any) -> dict[str, Any]:
    return {"data": {"window": {"rolling": "10d"}, "target": "late", "features": ["delay"], **changes}}


# --- incidents


def remember(project: Project, state: IncidentState) -> None:
    with project.session.ledger.write("daemon") as transaction:
        looks.save(transaction, MODEL, "drift", {"state": state.within({})})


GONE = Incident(Kind.MISSING, "delay", "column delay is gone", {"expected": 1.0})
DRIFT = {"drift": {"type": "drift", "window": "7d"}}


def test_rows_of_incidents_stay_out_of_the_window_and_the_stage_says_so(project: Project) -> None:
    spans = ((START - timedelta(hours=100), START - timedelta(hours=90)),)
    still = OpenIncident(GONE, START - timedelta(hours=20))
    remember(project, IncidentState(open=(still,), left_out=spans))
    job = checked(project, triggers=DRIFT)
    kept = pq.read_table(project.directory(job.id).data)["timestamp"].to_pylist()
    assert len(kept) == 216 - 9 - 18
    assert max(kept) < START - timedelta(hours=20)
    assert [at for at in kept if spans[0][0] <= at < spans[0][1]] == []
    (told,) = [
        each["result"]["left_out"] for each in project.events("stage.succeeded", job.id) if each["stage"] == "ingest"
    ]
    assert told["rows"] == 27
    assert told["spans"] == [[spans[0][0].isoformat(), spans[0][1].isoformat()], [still.since.isoformat(), None]]


def test_rows_of_what_a_person_acknowledged_or_the_policy_ignores_are_trained_on(project: Project) -> None:
    state = IncidentState(open=(OpenIncident(GONE, START - timedelta(hours=20)),))
    remember(project, state)
    job = checked(project, triggers=DRIFT, policy={"on_incident": "ignore"})
    assert pq.read_metadata(project.directory(job.id).data).num_rows == 216
    with project.session.ledger.write("daemon") as transaction:
        jobs.close(transaction, project.job(job.id), JobState.CANCELLED, Breaker())
    remember(project, state.acknowledged([GONE.key], "user:ann"))
    job = checked(project, triggers=DRIFT, policy={"on_incident": "hold"})
    assert pq.read_metadata(project.directory(job.id).data).num_rows == 216


def test_a_window_of_nothing_but_incidents_ends_the_job_and_says_what_to_do(project: Project) -> None:
    remember(project, IncidentState(open=(OpenIncident(GONE, START - timedelta(days=30)),)))
    job = checked(project, triggers=DRIFT)
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert "all 216 labelled rows of the window are of incidents of the data" in job.error
    assert "`retraind clear delays`" in job.error


# --- refused


@pytest.mark.parametrize(
    ("change", "training", "sentence"),
    [
        (None, {"checks": {"min_rows": 500}}, "the training data was refused: 216 rows, fewer than min_rows 500"),
        ("UPDATE predictions SET late = 1", {}, "the target 'late' has 1 distinct values; there is nothing to learn"),
        (
            "UPDATE predictions SET delay = NULL WHERE distance > 0",
            {"checks": {"max_null_share": 0.5}},
            "of 'delay' is missing, more than max_null_share 50.0%",
        ),
        (None, {"checks": {"target_rate": [0.9, 1.0]}}, "outside target_rate 0.9 to 1"),
        (None, {"checks": {"types": {"delay": "category"}}}, "'delay' is a number, not a category"),
        ("ALTER TABLE predictions RENAME COLUMN delay TO wait", {}, "'delay'"),
        ("UPDATE predictions SET delay = 'a lot' WHERE rowid = 50", {}, "'a lot'"),
        ("UPDATE predictions SET timestamp = 'yesterday' WHERE rowid = 50", {}, "'yesterday'"),
        ("DELETE FROM predictions", {}, "no labelled rows"),
        ("DROP TABLE predictions", {}, "predictions"),
        (None, data(source={"csv": "nowhere/*.csv"}), "no file matches"),
        (None, data(source={"sql": "SELECT nothing FROM predictions"}), "nothing"),
        (None, data(source={"sql": "DELETE FROM predictions"}), "the query would write to it; write a SELECT"),
    ],
)
def test_data_that_cannot_be_trained_on_ends_the_job_at_once_and_says_why(
    project: Project, change: str | None, training: dict[str, Any], sentence: str
) -> None:
    if change:
        project.sql(change)
    job = checked(project, training=training)
    assert job.state == JobState.FAILED
    assert sentence in (job.error or "")
    assert "\n" not in (job.error or "")
    assert [each["kind"] for each in project.events("stage.failed", job.id)] == ["data"]
    assert project.events("job.closed", job.id)[0]["error"] == job.error


@pytest.mark.parametrize("content", [b"", b"this is no database, but long enough to be looked at" * 40])
def test_a_store_that_is_no_database_is_a_failure_of_the_data(project: Project, content: bytes) -> None:
    (project.folder / "monitoring.db").write_bytes(content)
    job = checked(project)
    assert (job.state, [each["kind"] for each in project.events("stage.failed")]) == (JobState.FAILED, ["data"])


def test_a_store_that_is_not_there_is_named_with_the_mend(project: Project) -> None:
    (project.folder / "monitoring.db").unlink()
    job = checked(project)
    assert job.state == JobState.FAILED
    assert (job.error or "").startswith(f"there is no predictions store {project.folder / 'monitoring.db'}; ")


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_store_that_is_locked_is_tried_again_and_read_when_it_is_free(project: Project) -> None:
    project.document["models"][MODEL]["predictions"]["timeout"] = "300ms"
    project.configure(predictions=project.document["models"][MODEL]["predictions"])
    job = project.request()
    command = [sys.executable, "-c", LOCK, str(project.folder / "monitoring.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == b"locked\n"
        waiting = project.advance(job, *CHECKED)
        locker.communicate()
    assert waiting.state == JobState.RUNNING
    assert waiting.not_before is not None
    failed = project.events("stage.failed", job)
    assert [each["kind"] for each in failed] == ["transient"]
    assert "is locked by another process" in failed[0]["error"]
    project.clock.instant = waiting.not_before
    assert project.advance(job, *CHECKED).state == JobState.RUNNING
    assert [each["stage"] for each in project.events("stage.succeeded", job)] == ["ingest", "validate"]


# --- taken


def rows(project: Project) -> pa.Table:
    """What the store holds, oldest first."""
    with sqlite3.connect(project.folder / "monitoring.db") as connection:
        found = connection.execute("SELECT timestamp, delay, distance, late FROM predictions ORDER BY 1").fetchall()
    connection.close()
    return pa.Table.from_pylist(
        [dict(zip(("timestamp", "delay", "distance", "late"), row, strict=True)) for row in found]
    )


@pytest.mark.parametrize(
    "source",
    [
        {"csv": "rows.csv", "timestamp": "timestamp"},
        {"parquet": "rows.parquet", "timestamp": "timestamp"},
        {
            "sql": "SELECT timestamp, delay, late FROM predictions "
            "WHERE datetime(timestamp) >= :start AND datetime(timestamp) < :end",
            "timestamp": "timestamp",
        },
    ],
    ids=["csv", "parquet", "sql"],
)
def test_a_window_is_the_same_from_every_source(project: Project, source: dict[str, str]) -> None:
    table = rows(project)
    pa.csv.write_csv(table, project.folder / "rows.csv")
    pq.write_table(table, project.folder / "rows.parquet")
    windows = []
    for training in (data(), data(source=source)):
        training["data"]["window"] = {"rolling": "5d"}
        job = checked(project, training=training)
        assert job.state == JobState.RUNNING, job.error
        found = pq.read_table(project.directory(job.id).data)
        windows.append([found[name].cast(kind).to_pylist() for name, kind in COMPARED.items()])
        end(project, job)
    assert len(windows[0][0]) == 108
    assert windows[0] == windows[1]


COMPARED = {"timestamp": pa.timestamp("us", "UTC"), "delay": pa.float64(), "late": pa.float64()}


def end(project: Project, job: Job) -> None:
    with project.session.ledger.write("user:ann") as transaction:
        jobs.cancel(transaction, job.id, project.session.settings.models[MODEL].policy.breaker, "done with")


def test_an_expanding_weighted_window_takes_everything_and_weighs_it_by_age(project: Project) -> None:
    job = checked(project, training=data(window={"expanding": True, "half_life": "1d"}))
    found = pq.read_table(project.directory(job.id).data)
    assert found.num_rows == 216
    weights = dict(zip(found["timestamp"].to_pylist(), found["__weight"].to_pylist(), strict=True))
    newest = max(weights)
    assert weights[newest] == 1.0
    assert weights[newest - timedelta(days=1)] == pytest.approx(0.5)
    assert job.window_start is None
    assert job.window_end == START


def test_a_fixed_holdout_leaves_every_row_of_the_window_to_train_on(project: Project) -> None:
    pq.write_table(rows(project).slice(0, 50), project.folder / "judge.parquet")
    job = checked(project, training={"holdout": {"file": "judge.parquet"}})
    directory = project.directory(job.id)
    assert pq.read_metadata(directory.train).num_rows == 216
    assert pq.read_metadata(directory.holdout).num_rows == 45


def test_another_fixed_holdout_is_other_data(project: Project) -> None:
    holdout = project.folder / "judge.parquet"
    pq.write_table(rows(project).slice(0, 50), holdout)
    first = checked(project, training={"holdout": {"file": "judge.parquet"}})
    pq.write_table(rows(project).slice(0, 60), holdout)
    with project.session.ledger.write("user:bob") as transaction:
        jobs.cancel(transaction, first.id, Breaker(), "make room")
    second = checked(project, training={"holdout": {"file": "judge.parquet"}})
    assert first.data_hash != second.data_hash


def test_features_in_a_json_column_are_trained_on_like_columns(project: Project) -> None:
    project.sql("ALTER TABLE predictions ADD COLUMN features TEXT")
    project.sql("UPDATE predictions SET features = json_object('delay', delay, 'carrier', 'AA')")
    columns = {"actual": "late", "features": {"json": "features", "names": ["delay", "carrier"]}}
    training = {"data": {"window": {"rolling": "10d"}, "target": "late"}}
    job = checked(project, predictions={"url": "sqlite:///monitoring.db", "columns": columns}, training=training)
    assert job.state == JobState.RUNNING, job.error
    found = pq.read_table(project.directory(job.id).train)
    assert {"delay", "carrier", "late"} <= set(found.column_names)
    assert set(found["carrier"].to_pylist()) == {"AA"}
    assert found["delay"].to_pylist()[0] is not None


def test_a_job_goes_all_the_way_with_store_and_ledger_in_postgres(project: Project, postgres_url: str) -> None:
    table = rows(project)
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(
            "CREATE TABLE predictions (id BIGSERIAL PRIMARY KEY, timestamp TIMESTAMPTZ, delay DOUBLE PRECISION, "
            "distance INTEGER, prediction INTEGER, late INTEGER)"
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO predictions (timestamp, delay, distance, prediction, late) "
                "VALUES (%(timestamp)s, %(delay)s, %(distance)s, 1, %(late)s)",
                table.to_pylist(),
            )
    columns = {"actual": "late", "features": ["delay", "distance"]}
    project.give_registry()
    project.session.ledger.close()
    project.configure(ledger=postgres_url, predictions={"url": postgres_url, "columns": columns})
    job = project.run()
    assert (job.state, job.version) == (JobState.DEPLOYED, "1"), job.error
    assert (job.metrics or {})["accuracy"] == 1.0
    assert project.serves() == {"1"}
    assert pq.read_metadata(project.directory(job.id).data).num_rows == 216
    assert project.advance(project.request(), Stage.INGEST).state == JobState.SKIPPED
    project.session.ledger.close()
