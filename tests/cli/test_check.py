"""`retraind check`: everything that the file names is tried, and each finding says what to mend."""

import sqlite3
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import redis

BASE = """
models:
  delays:
    predictions: {{url: "sqlite:///monitoring.db", columns: {{features: [distance]}}}}
    triggers:
      stale: {{type: interval, every: 7d}}
    training: {{trainer: {trainer}}}
{more}
"""
LOGISTIC = "{sklearn: sklearn.linear_model.LogisticRegression}"
PROGRAM = f"{{command: [{sys.executable}]}}"  # found in no time, where an import of scikit-learn takes seconds

ESTIMATORS = """
class Linear:
    def __init__(self, slope=1):
        self.slope = slope
    def fit(self, rows, target): ...
    def predict(self, rows): ...
def score(): ...
"""


def configure(project, trainer=PROGRAM, more="", **replaced):
    text = BASE.format(trainer=trainer, more=more)
    for old, new in replaced.get("swap", {}).items():
        assert old in text
        text = text.replace(old, new)
    project.configure(text=text)


def findings(project, what):
    """(level, sentence, mend) of each finding about `what`."""
    report = project("check", "--json").json
    return [(f["level"], f["sentence"], f["mend"]) for f in report["findings"] if f["setting"] == what]


@contextmanager
def http_server(status):
    """A server that answers every GET with `status`; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_sound_configuration_is_told_line_by_line_and_exits_0(project):
    configure(project, LOGISTIC)
    answer = project("check")
    assert answer.code == 0, answer.out
    assert "everything it names is there" in answer.out
    assert "monitoring.db: 50 rows, 50 with an actual" in answer.out
    assert "sklearn.linear_model.LogisticRegression can be imported in" in answer.out
    report = project("check", "--json").json
    assert report["sound"] is True
    assert {finding["level"] for finding in report["findings"]} == {"ok"}


def test_a_wrong_file_exits_2(project):
    configure(project, swap={"every: 7d": "every: sometimes"})
    answer = project("check")
    assert (answer.code, answer.out) == (2, "")
    assert "retraind.yaml:6: models.delays.triggers.stale.every:" in answer.err


def test_checking_changes_nothing(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    configure(project, more="state: elsewhere/state\n")
    assert project("check").code == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_missing_store_a_missing_table_and_a_misspelt_column_are_problems(project):
    configure(project, swap={"monitoring.db": "missing.db"})
    assert project("check").code == 1
    assert findings(project, "models.delays.predictions")[0][0] == "problem"
    configure(project, swap={"columns: {features: [distance]}": "table: prediction"})
    ((level, sentence, _),) = findings(project, "models.delays.predictions")
    assert level == "problem"
    assert "predictions" in sentence
    configure(project, swap={"[distance]": "[distanse]"})
    assert "'distance'" in str(findings(project, "models.delays.predictions"))


def test_an_empty_store_is_a_warning(project):
    with sqlite3.connect(project.folder / "monitoring.db") as store:
        store.execute("DELETE FROM predictions")
    store.close()
    configure(project)
    answer = project("check")
    assert answer.code == 0
    assert "has no rows yet" in answer.out
    assert "1 warning" in answer.out


def test_a_store_password_is_never_shown(project):
    url = "postgresql+psycopg://me:hunter2hunter@127.0.0.1:1/none"
    configure(project, swap={"sqlite:///monitoring.db": url})
    answer = project("check")
    assert answer.code == 1
    assert "hunter2hunter" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        ("{sklearn: estimators.Linea}", "'estimators' has no 'Linea' (did you mean 'Linear'?)"),
        ("{sklearn: estimatrs.Linear}", "'estimatrs' cannot be imported"),
        ("{sklearn: estimators.score}", "is not an estimator, as it has no fit and predict"),
        ("{sklearn: estimators.Linear, params: {slopes: 5}}", "(did you mean 'slope'?)"),
        ("{function: 'train.py:train'}", "train.py cannot be imported"),
        ("{function: 'mine.py:trane'}", "mine.py has no function 'trane' (did you mean 'train'?)"),
        ("{function: 'mine.py:train', params: {epoch: 3}}", "does not take that (got an unexpected keyword"),
        ("{function: 'broken.py:train'}", "ZeroDivisionError: division by zero"),
        ("{function: 'exits.py:train'}", "ended with exit code 137: it printed nothing"),
        ("{function: 'mine.py:train', python: bin/nothing}", "there is no interpreter"),
        ("{command: [no-such-program, x]}", "there is no program 'no-such-program' on the PATH"),
        ("{command: [./no-such-program]}", "there is no program './no-such-program' in"),
        (f"{{command: [{sys.executable}, missing.py]}}", "there is no file 'missing.py'"),
        ("{plugin: nothing}", "no installed package brings 'nothing' in retraind.trainers"),
    ],
)
def test_a_trainer_that_cannot_train_is_a_problem(project, trainer, sentence):
    (project.folder / "mine.py").write_text("def train(data, target, epochs=3):\n    pass\n")
    (project.folder / "estimators.py").write_text(ESTIMATORS)
    (project.folder / "broken.py").write_text("1 / 0\n")
    (project.folder / "exits.py").write_text("import os\nos._exit(137)\n")
    configure(project, trainer)
    answer = project("check")
    assert answer.code == 1
    assert sentence in answer.out
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize(
    "trainer",
    [
        "{function: 'mine.py:train', params: {epochs: 3}}",
        "{function: 'mine:train'}",
        f"{{command: [{sys.executable}, mine.py]}}",
        f"{{function: 'mine.py:train', python: {sys.executable}}}",
    ],
)
def test_a_trainer_that_can_is_ok(project, trainer):
    (project.folder / "mine.py").write_text("print('{')\ndef train(data, target, epochs=3):\n    pass\n")
    configure(project, trainer)
    answer = project("check")
    assert answer.code == 0, answer.out


def test_an_interpreter_without_what_training_needs_is_told_what_to_install(project, tmp_path):
    (project.folder / "mine.py").write_text("def train(data, target):\n    pass\n")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    configure(project, "{function: 'mine.py:train', python: ./python}")
    answer = project("check")
    assert answer.code == 1
    assert "has no pandas and no pyarrow and no mlflow and no cloudpickle, which training needs" in answer.out
    assert "-m pip install pandas pyarrow mlflow-skinny cloudpickle" in answer.out


def test_weighted_rows_need_a_trainer_that_takes_weights(project):
    more = "      data: {window: {rolling: 30d, half_life: 7d}}"
    (project.folder / "mine.py").write_text("def train(data, target):\n    pass\n")
    text = BASE.format(trainer="x", more="").replace(
        "training: {trainer: x}", f"training:\n{more}\n      trainer: {{function: 'mine.py:train'}}"
    )
    project.configure(text=text)
    assert "sample_weight" in project("check").out


def test_missing_files_of_data_and_holdout_are_problems(project):
    (project.folder / "holdout.csv").write_text("distanse,actual\n1,0\n")
    text = BASE.format(trainer="x", more="").replace(
        "training: {trainer: x}",
        f"training:\n      data: {{source: {{csv: data/*.csv}}}}\n"
        f"      holdout: {{file: holdout.csv}}\n      trainer: {PROGRAM}",
    )
    project.configure(text=text)
    assert findings(project, "models.delays.training.data.source")[0][1].startswith("no file matches")
    ((level, sentence, _),) = findings(project, "models.delays.training.holdout.file")
    assert level == "problem"
    assert "has no column 'distance' (did you mean 'distanse'?); it has distanse, actual" in sentence


def test_a_reference_file_without_the_features_is_a_problem(project):
    (project.folder / "reference.csv").write_text("age,prediction\n1,0\n")
    drift = "drift: {type: drift, window: 7d, reference: {file: reference.csv}}"
    configure(project, swap={"stale: {type: interval, every: 7d}": drift})
    answer = project("check")
    assert answer.code == 1
    assert "reference.csv has no column 'distance'" in answer.out


def test_a_watched_directory_that_is_not_there_yet_is_a_warning(project):
    configure(project, swap={"stale: {type: interval, every: 7d}": "landing: {type: file, path: landing/*.csv}"})
    ((level, sentence, mend),) = findings(project, "models.delays.triggers.landing")
    assert (level, sentence) == ("warning", f"there is no directory {project.folder}/landing yet")
    assert mend
    (project.folder / "landing").mkdir()
    assert findings(project, "models.delays.triggers.landing")[0][0] == "ok"


def test_a_model_without_triggers_is_a_warning(project):
    configure(project, swap={"    triggers:\n      stale: {type: interval, every: 7d}\n": ""})
    assert findings(project, "models.delays.triggers")[0][0] == "warning"


def test_a_file_in_place_of_a_directory_is_a_problem(project):
    (project.folder / "models").write_text("")
    deploy = "    deploy: [{directory: models/production}]"
    configure(project, more=f"{deploy}\nstate: monitoring.db\n")
    assert "cannot be made, because" in findings(project, "state")[0][1]
    assert findings(project, "models.delays.deploy[0]")[0][0] == "problem"
    assert project("check").code == 1


def test_a_deploy_command_and_a_plugin_are_looked_for(project):
    configure(project, more="    deploy: [{command: [no-such-program]}, {plugin: nothing}]")
    report = project("check", "--json").json
    problems = [finding["setting"] for finding in report["findings"] if finding["level"] == "problem"]
    assert problems == ["models.delays.deploy[0]", "models.delays.deploy[1]"]


def test_a_broker_that_does_not_answer_is_a_problem_and_its_password_hidden(project):
    configure(project, more="broker: redis://:hunter2hunter@127.0.0.1:1/0\n")
    answer = project("check")
    assert answer.code == 1
    ((level, sentence, mend),) = findings(project, "broker")
    assert level == "problem"
    assert "does not answer" in sentence
    assert mend == "start it, or correct `broker`"
    assert "hunter2hunter" not in answer.out + answer.err


def test_a_broker_that_would_lose_messages_is_a_warning(project, valkey_url):
    configure(project, more=f"broker: {valkey_url}\n")
    with redis.Redis.from_url(valkey_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = findings(project, "broker")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert {level for level, _, _ in found} == {"warning"}
    assert any("evicts keys" in sentence for _, sentence, _ in found)
    assert any("appendonly" in (mend or "") for _, _, mend in found)


@pytest.mark.parametrize(("status", "level"), [(200, "ok"), (404, "warning"), (401, "problem")])
def test_an_mlflow_server_is_asked_for_its_health(project, status, level):
    with http_server(status) as address:
        configure(project, more=f"mlflow: {{url: {address}}}\n")
        ((found, _, _),) = findings(project, "mlflow.url")
    assert found == level


def test_an_mlflow_server_that_does_not_answer_is_a_problem(project):
    configure(project, more="mlflow: {url: 'http://127.0.0.1:1'}\n")
    ((level, sentence, _),) = findings(project, "mlflow.url")
    assert (level, "does not answer" in sentence) == ("problem", True)


def test_an_mlflow_database_is_connected_to(project, postgres_url):
    configure(project, more=f"mlflow: {{url: '{postgres_url}'}}\n")
    assert findings(project, "mlflow.url")[0][0] == "ok"
    configure(project, more="mlflow: {url: 'postgresql://me@127.0.0.1:1/none'}\n")
    assert findings(project, "mlflow.url")[0][0] == "problem"


def test_alerts_are_understood_or_not_and_their_secrets_hidden(project):
    alerts = (
        "alerts:\n  - {url: 'json://localhost:9/hook', on: [failed]}\n"
        "  - {url: 'slack://hunter2hunter', on: [deployed]}\n"
    )
    configure(project, more=alerts)
    answer = project("check")
    assert answer.code == 1
    assert "json:// is understood, for failed" in answer.out
    assert "Apprise does not understand this slack:// URL" in answer.out
    assert "hunter2hunter" not in answer.out + answer.err


def test_what_one_check_raises_keeps_no_other_from_answering(project, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("by zero")
        yield

    configure(project)
    monkeypatch.setattr("daemon.checks.ledger.check", broken)
    answer = project("check")
    assert answer.code == 1
    assert "it could not be tried: ZeroDivisionError: by zero" in answer.out
    assert f"{sys.executable} is there" in answer.out
