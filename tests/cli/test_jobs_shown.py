"""`retraind jobs` and `retraind show`: what ran, and why."""

from datetime import timedelta

from retraind.config.policy import Breaker
from retraind.errors import FailureKind
from retraind.ledger import jobs, looks, work
from retraind.states import JobState, Stage
from triggers.verdict import Outcome, Verdict


def test_no_jobs_yet_is_said(project):
    assert project("jobs").out == "no jobs yet\n"
    assert project("jobs", "--json").json == []


def test_jobs_come_newest_first_and_as_many_as_asked_for(project):
    made = [project.closed(JobState.FAILED) for _ in range(3)]
    made.append(project.deployed("fraud"))
    listed = [job["id"] for job in project("jobs", "--json").json]
    assert sorted(listed) == sorted(made)
    assert len(project("jobs", "--limit", "2", "--json").json) == 2
    assert [job["model"] for job in project("jobs", "fraud", "--json").json] == ["fraud"]


def test_a_job_in_the_list_tells_its_state_its_version_and_why(project):
    project.closed(JobState.GATE_FAILED, error="accuracy 0.6 is below 0.85")
    lines = project("jobs").out.splitlines()
    assert lines[0].split() == ["JOB", "MODEL", "STATE", "REQUESTED", "TOOK", "VERSION", "WHY"]
    assert "gate failed" in lines[1]
    assert lines[1].endswith("because; accuracy 0.6 is below 0.85")


def test_a_job_that_a_person_asked_for_names_the_person(project):
    with project.ledger.write("user:ann") as transaction:
        jobs.request(transaction, "delays", reason="new schedule")
    assert project("jobs").out.splitlines()[1].endswith("user:ann: new schedule")


def test_jobs_of_an_unknown_model_are_a_wrong_call_with_the_nearest_name(project):
    answer = project("jobs", "delay")
    assert answer.code == 2
    assert answer.err == (
        "retraind: there is no model 'delay' in the configuration (did you mean 'delays'?); it has: delays, fraud\n"
    )


def test_a_limit_below_one_is_a_wrong_call(project):
    assert project("jobs", "--limit", "0").code == 2


def test_show_tells_the_whole_story(project):
    verdict = Verdict(Outcome.FIRED, "Accuracy fell to 0.8.", {"accuracy": 0.8})
    job = project.job(reason="Accuracy fell to 0.8.")
    with project.ledger.write("daemon") as transaction:
        looks.fire(transaction, "delays", "decay", verdict, role="cause", job=job)
    held = project.claim(job)
    project.run(held, Stage.INGEST, result={"rows": 1234, "hash": "abc"})
    with project.ledger.write(held.owner) as transaction:
        work.begin_stage(transaction, held, Stage.VALIDATE)
    with project.ledger.write(held.owner) as transaction:
        work.fail(transaction, held, Stage.VALIDATE, "the target is constant", FailureKind.DATA, None)
        data = {"gate": "accuracy at least 0.85", "challenger": 0.912, "champion": None}
        transaction.event("gate.passed", model="delays", job=job, data=data)
        found = jobs.get(transaction.connection, job)
        jobs.close(transaction, found, JobState.FAILED, Breaker(), error="the target is constant")
    logs = project.folder / "state" / "jobs" / job / "logs"
    logs.mkdir(parents=True)
    (logs / "train.log").write_text("epoch 1\nepoch 2\n")

    out = project("show", job).out
    assert out.startswith(f"{job}: delays, failed\n")
    for piece in (
        "because      Accuracy fell to 0.8.",
        "decay    cause",
        "ingest    succeeded",
        "rows 1234, hash abc",
        "validate  failed",
        "the target is constant",
        "passed  accuracy at least 0.85: challenger 0.912",
        "logs/train.log",
        "  epoch 2",
        "validate failed (data): the target is constant",
        "the job ended as failed: the target is constant",
    ):
        assert piece in out

    report = project("show", job, "--json").json
    assert report["job"]["error"] == "the target is constant"
    assert report["causes"][0]["numbers"] == {"accuracy": 0.8}
    assert [stage["state"] for stage in report["stages"]] == ["succeeded", "failed"]
    assert report["gates"] == [
        {
            "gate": "accuracy at least 0.85",
            "passed": True,
            "sentence": None,
            "challenger": 0.912,
            "champion": None,
        }
    ]
    assert report["log"]["tail"] == ["epoch 1", "epoch 2"]
    assert [event["seq"] for event in report["events"]] == sorted(event["seq"] for event in report["events"])


def test_show_tells_what_the_challenger_leans_on_or_why_it_is_not_known(project):
    job = project.job()
    increases = {"distance": 0.02, "dep_delay": 0.31, "carrier": -0.001, "gate": 0.0}
    features = {name: {"increase": value, "error": 0.001} for name, value in increases.items()}
    known = {"loss": "Brier score", "rows": 400, "repeats": 5, "features": features}
    project.run(project.claim(job), Stage.EVALUATE, result={"importance": known})
    out = project("show", job).out
    assert "leans on     dep_delay 0.310 and distance 0.020 (Brier score when shuffled)" in out
    other = project.job("other")
    project.run(project.claim(other), Stage.EVALUATE, result={"importance": {"unknown": "the model raised."}})
    assert "leans on     not known: the model raised." in project("show", other).out


def test_an_open_job_shows_the_stages_to_come(project):
    job = project.job()
    states = [stage["state"] for stage in project("show", job, "--json").json["stages"]]
    assert states == ["waiting"] * 6


def test_show_log_writes_the_whole_log_and_nothing_else(project):
    job = project.job()
    assert project("show", job, "--log").out == f"job {job} has no training log yet\n"
    logs = project.folder / "state" / "jobs" / job / "logs"
    logs.mkdir(parents=True)
    (logs / "train.log").write_bytes(b"".join(b"line %d\n" % n for n in range(500)) + b"broken \xff\n")
    lines = project("show", job, "--log").out.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (501, "line 0", "broken �")
    assert len(project("show", job, "--json").json["log"]["tail"]) == 20


def test_the_end_of_an_id_is_enough_where_it_is_unique(project):
    job = project.job()
    assert project("show", job[-6:], "--json").json["job"]["id"] == job


def test_the_end_of_several_ids_is_a_wrong_call(project):
    jobs_made = [project.closed(JobState.FAILED) for _ in range(17)]  # one more than there are digits
    digit = next(d for d in "0123456789abcdef" if sum(job.endswith(d) for job in jobs_made) > 1)
    answer = project("show", digit)
    assert answer.code == 2
    assert "write more of the id" in answer.err


def test_an_unknown_job_is_a_wrong_call(project):
    answer = project("show", "251231-000000-ffffff")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "retraind: there is no job '251231-000000-ffffff'; `retraind jobs` lists them\n"


def test_a_model_in_place_of_a_job_is_told_apart(project):
    assert project("show", "delays").err == (
        "retraind: 'delays' is a model, not a job; `retraind jobs delays` lists its jobs\n"
    )


def test_the_window_and_hashes_are_shown(project):
    held = project.claim(project.job())
    with project.ledger.write(held.owner) as transaction:
        now = transaction.now
        work.hold(
            transaction,
            held,
            window_start=now - timedelta(days=30),
            window_end=now,
            data_hash="d" * 64,
            recipe_hash="r",
        )
    out = project("show", held.job.id).out
    assert f"hash {'d' * 12}" in out
    assert project("show", held.job.id, "--json").json["data"]["data_hash"] == "d" * 64
