"""`retraind audit`: the tail as it grows, and the proof."""

import json

from retraind.opening import open_ledger
from retraind.states import JobState


def written(project):
    """The audit log, brought up to the ledger."""
    from retraind.config.loading import load

    settings = load(project.folder / "retraind.yaml", {})
    _, audit = open_ledger(settings)
    audit.project()
    return settings.audit.path


def test_the_tail_shows_the_newest_events_oldest_first(project):
    for _ in range(3):
        project.closed(JobState.FAILED)
    lines = project("audit", "tail", "-n", "4").out.splitlines()
    assert len(lines) == 4
    assert "job.closed" in lines[2]
    assert "delays" in lines[2]
    assert lines[2].endswith("the job ended as failed: it went wrong")
    assert "breaker.opened" in lines[3]


def test_the_tail_of_one_model(project):
    project.job("delays")
    project.job("fraud")
    lines = project("audit", "tail", "--model", "fraud").out.splitlines()
    assert len(lines) == 1
    assert " fraud " in lines[0]


def test_the_tail_of_an_unknown_model_is_a_wrong_call(project):
    assert project("audit", "tail", "--model", "frod").code == 2


def test_as_json_the_tail_is_the_audit_log_itself(project):
    project.closed(JobState.FAILED)
    path = written(project)
    assert project("audit", "tail", "--json").out == path.read_text()


def test_following_shows_what_comes(project):
    project.closed(JobState.FAILED, "fraud")
    process = project.start("audit", "tail", "--follow", "--json", "--model", "fraud", "-n", "1")
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["event"] == "breaker.opened"
        project.closed(JobState.FAILED, "delays")
        project.job("fraud", reason="again")
        assert json.loads(process.stdout.readline())["data"]["reason"] == "again"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_an_untouched_log_holds(project):
    project.closed(JobState.FAILED)
    written(project)
    answer = project("audit", "verify")
    assert answer.code == 0
    assert answer.out.startswith("the audit log holds: 4 events in 1 file")
    report = project("audit", "verify", "--json").json
    assert (report["holds"], report["lines"], report["problems"]) == (True, 4, [])


def test_a_changed_line_does_not_hold(project):
    project.closed(JobState.FAILED)
    path = written(project)
    path.write_text(path.read_text().replace("it went wrong", "all went well"))
    answer = project("audit", "verify")
    assert answer.code == 1
    assert "problem: audit.jsonl:" in answer.out
    assert "the audit log does not hold" in answer.out
    assert project("audit", "verify", "--json").json["holds"] is False


def test_audit_alone_shows_its_verbs(project):
    answer = project("audit")
    assert answer.code == 2
    assert "tail" in answer.out + answer.err
    assert "verify" in answer.out + answer.err
