"""Loading: what a good file gives, and that each wrong one is refused with its lines."""

import subprocess
import sys
from datetime import time, timedelta
from pathlib import Path

import pytest
from sample_files import DESIGN, LEAST, loaded, refused, write

from retraind.config.deploy import DirectoryTarget, MlflowTarget
from retraind.config.loading import find_configuration, load
from retraind.config.policy import Approval
from retraind.config.training import FileSource, FunctionTrainer, SqlSource
from retraind.errors import ConfigurationError


def test_the_example_of_the_design_loads(tmp_path: Path) -> None:
    settings = loaded(tmp_path, DESIGN, SLACK_URL="slack://a/b/c")
    model = settings.model("delays")
    assert list(model.triggers) == ["weekly", "stale", "drift", "decay", "volume", "landing"]
    assert model.policy.cooldown == timedelta(hours=6)
    assert model.policy.approval is Approval.MANUAL
    assert model.training.data.window.rolling == timedelta(days=30)
    assert model.training.budget.memory == 8 * 2**30
    assert settings.alerts[0].url == "slack://a/b/c"
    assert settings.alerts[0].on == ("failed", "gate_failed", "awaiting_approval", "deployed")


def test_the_least_file_gets_every_default(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST)
    assert settings.source_path == tmp_path / "retraind.yaml"
    assert settings.directory == tmp_path
    assert settings.state == tmp_path / "state"
    assert settings.jobs_directory == tmp_path / "state/jobs"
    assert settings.ledger_url == f"sqlite:///{tmp_path}/state/ledger.db"
    assert settings.mlflow_url == f"sqlite:///{tmp_path}/state/mlflow.db"
    assert settings.audit.path == tmp_path / "state/audit.jsonl"
    assert settings.broker == "embedded"
    assert settings.experiment("delays") == "delays"
    assert settings.model("delays").deploy == (MlflowTarget(mlflow="delays", alias="champion"),)
    assert settings.model("delays").predictions.columns.actual == "actual"


def test_what_follows_from_the_state_directory_moves_with_it(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST + "state: /srv/kept\naudit: {required: true}\n")
    assert settings.audit.path == Path("/srv/kept/audit.jsonl")
    assert settings.ledger_url == "sqlite:////srv/kept/ledger.db"
    assert settings.audit.required


def test_what_is_written_out_does_not_follow_the_state_directory(tmp_path: Path) -> None:
    text = (
        LEAST + "state: kept\naudit: {path: log/audit.jsonl}\nledger: sqlite:///l.db\nmlflow: {url: 'http://m:5000'}\n"
    )
    settings = loaded(tmp_path, text)
    assert settings.audit.path == tmp_path / "log/audit.jsonl"
    assert settings.ledger_url == f"sqlite:///{tmp_path}/l.db"
    assert settings.mlflow_url == "http://m:5000"


def test_a_shared_ledger_is_opened_with_the_driver_that_is_there(tmp_path: Path) -> None:
    assert loaded(tmp_path, LEAST + "ledger: postgresql://u@h/d\n").ledger_url == "postgresql+psycopg://u@h/d"


def test_every_path_in_the_file_starts_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """\
    models:
      delays:
        predictions: {url: "sqlite:///data/monitoring.db?timeout=5"}
        triggers:
          landing: {type: file, path: "in/**/*.csv"}
          drift: {type: drift, reference: {file: reference.csv}, current: {file: /srv/current.csv}}
        training:
          data: {source: {csv: "data/*.csv"}}
          trainer: {function: code/train.py:train, python: env/bin/python}
          holdout: {file: holdout.parquet}
        deploy: [{directory: models}]
      others:
        predictions: {url: sqlite:////srv/monitoring.db}
        training:
          data: {source: {sql: SELECT 1, url: sqlite:///other.db}}
          trainer: {function: package.module:train, python: python3.12}
        deploy: [{directory: ~/models}]
    """
    monkeypatch.setenv("HOME", "/home/someone")
    (tmp_path / "here").mkdir()
    path = write(tmp_path / "here", text)
    monkeypatch.chdir(tmp_path)
    settings = load(Path("here/retraind.yaml"), {})
    here = path.parent
    delays, others = settings.models.values()
    assert delays.predictions.url == f"sqlite:///{here}/data/monitoring.db?timeout=5"
    assert delays.triggers["landing"].model_dump()["path"] == f"{here}/in/**/*.csv"
    drift = delays.triggers["drift"].model_dump()
    assert (drift["reference"]["file"], drift["current"]["file"]) == (f"{here}/reference.csv", "/srv/current.csv")
    assert delays.training.data.source == FileSource(csv=f"{here}/data/*.csv")
    assert delays.training.holdout.file == f"{here}/holdout.parquet"
    assert delays.deploy == (DirectoryTarget(directory=f"{here}/models"),)
    assert isinstance(delays.training.trainer, FunctionTrainer)
    assert delays.training.trainer.function == f"{here}/code/train.py:train"
    assert delays.training.trainer.python == f"{here}/env/bin/python"
    assert others.predictions.url == "sqlite:////srv/monitoring.db"
    assert others.training.data.source == SqlSource(sql="SELECT 1", url=f"sqlite:///{here}/other.db")
    assert isinstance(others.training.trainer, FunctionTrainer)
    assert others.training.trainer.function == "package.module:train"
    assert others.training.trainer.python == "python3.12"
    assert others.deploy == (DirectoryTarget(directory="/home/someone/models"),)


def test_words_and_times_that_yaml_would_twist_are_read_as_they_stand(tmp_path: Path) -> None:
    text = LEAST + (
        "    policy: {quiet_hours: {from: 22:00, to: 06:30, timezone: Europe/Berlin}}\n"
        "alerts:\n  - url: json://localhost:8080/hook\n    on: [deployed]\n"
        "audit: {required: yes}\n"
    )
    settings = loaded(tmp_path, text)
    quiet = settings.model("delays").policy.quiet_hours
    assert quiet is not None
    assert (quiet.start, quiet.end) == (time(22), time(6, 30))
    assert settings.alerts[0].on == ("deployed",)
    assert settings.audit.required


def test_numbers_may_come_from_the_environment(tmp_path: Path) -> None:
    text = LEAST.replace("trainer:", "checks: {min_rows: '${ROWS}', max_null_share: '${SHARE:-0.5}'}\n      trainer:")
    checks = loaded(tmp_path, text, ROWS="250").model("delays").training.checks
    assert (checks.min_rows, checks.max_null_share) == (250, 0.5)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST)
    with pytest.raises(ValueError, match="frozen"):
        settings.broker = "redis://other"  # type: ignore[misc]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert load(write(tmp_path, b"\xef\xbb\xbf" + LEAST.encode()), {}).models


# --- files that cannot be read at all


def test_a_missing_file_is_named_in_full_with_the_way_to_a_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as error:
        load(Path("retraind.yaml"), {})
    assert str(error.value) == (
        f"there is no configuration file {tmp_path}/retraind.yaml; write one with `retraind init`, "
        "or name yours with --config or RETRAIND_CONFIG"
    )


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, {})
    assert str(error.value) == f"{tmp_path} is a directory; name the file in it, as {tmp_path}/retraind.yaml"


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, LEAST) / "retraind.yaml"
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Not a directory\); mend its path"):
        load(path, {})


BEGIN = "begin with models:, or write a first file with `retraind init`"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", f"FILE:1: the file is empty; {BEGIN}"),
        (b"# nothing\n---\n", f"FILE:1: the file is empty; {BEGIN}"),
        (b"- models\n", f"FILE:1: a list stands at the top of the file; {BEGIN}"),
        (b"models\n", f"FILE:1: 'models' stands at the top of the file; {BEGIN}"),
        (b"a: 1\nb: \xff\n", "FILE:2: the file is not UTF-8 text from here on; save it as UTF-8"),
        (LEAST.encode("utf-16"), "FILE:1: the file is not UTF-8 text from here on; save it as UTF-8"),
        (b"models:\n\ta: 1\n", "FILE:2:1: a tab stands where YAML wants spaces; indent with spaces only"),
        (
            b"models: {a: {url: ${URL}}}\n",
            "FILE:1:20: a bracket opened on line 1 is not closed, or a comma is missing before this; "
            'inside { } and [ ] a variable needs quotes: "${NAME}"',
        ),
    ],
)
def test_a_file_that_is_no_configuration_gets_one_plain_sentence(tmp_path: Path, content: bytes, line: str) -> None:
    assert refused(tmp_path, content) == [line]


# --- everything at once


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """\
models:
  delays:
    predictions: {url: "mysql://h/d", tabel: predictions}
    triggers:
      weekly: {type: cron, schedule: "0 99 * * 0"}
      stale: {type: intervall, every: 7d}
    training:
      trainer: {sklearn: LogisticRegression}
      trainer: {sklearn: sklearn.linear_model.LogisticRegression}
  "late arrivals": {}
broker: ${BROKER}
lease: {length: 5s}
"""
    assert refused(tmp_path, text) == [
        "FILE:3: models.delays.predictions.url: 'mysql://' is not a database that retraind opens; "
        "write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE",
        "FILE:3: models.delays.predictions.tabel: unknown key (did you mean 'table'?); "
        "the keys known here are url, table, columns, only, timestamps, label_delay, timeout",
        "FILE:5: models.delays.triggers.weekly.schedule: '0 99 * * 0' is not a cron schedule (look at its hour); "
        "write it as 0 2 * * 0",
        "FILE:6: models.delays.triggers.stale.type: 'intervall' is not a type of trigger; did you mean 'interval'? "
        "Otherwise choose one of cron, interval, volume, performance, estimated_performance, worth, drift, file, "
        "all, any",
        "FILE:8: models.delays.training.trainer.sklearn: 'LogisticRegression' is not an import path; "
        "write module and class, as sklearn.ensemble.HistGradientBoostingClassifier",
        "FILE:9: models.delays.training.trainer: the key 'trainer' is written twice, on lines 8 and 9; "
        "keep one of them",
        "FILE:10: models.late arrivals: 'late arrivals' is no name; "
        "use letters, digits, _ . and - (at most 100, neither . nor - first), as delays-2024",
        "FILE:10: models.late arrivals.predictions: this key is missing; add it (The table of predictions and actuals)",
        "FILE:10: models.late arrivals.training: this key is missing; add it (How a challenger is trained and judged)",
        "FILE:11: broker: the environment variable BROKER is not set; set BROKER, "
        "or BROKER_FILE to a file that holds it, or write ${BROKER:-default} "
        "(a dollar sign meant as such is written $$)",
        "FILE:12: lease: length (5s) must be at least twice heartbeat (5s), or a single late heartbeat loses the lease",
    ]


def test_the_line_is_that_of_the_inner_key(tmp_path: Path) -> None:
    text = LEAST + "    triggers:\n      stale:\n        type: interval\n\n        every: soon\n"
    assert [line.partition(": ")[0] for line in refused(tmp_path, text)] == ["FILE:10"]


def test_a_value_that_could_not_be_read_is_not_refused_twice(tmp_path: Path) -> None:
    lines = refused(tmp_path, LEAST.replace("sqlite:///monitoring.db", "'${URL}'"))
    assert len(lines) == 1
    assert "URL is not set" in lines[0]


def test_a_refusal_never_says_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file-\\-" + "x" * 100)
    text = LEAST.replace("sqlite:///monitoring.db", "'${URL}'") + (
        "broker: ${BROKER}\nledger: 'mysql://u:in-the-file@h/d'\n"
        "alerts: [{url: '${HOOK}', on: [x]}]\naudit: {required: '${SECRET}'}\n"
    )
    lines = refused(
        tmp_path,
        text,
        URL="mysql://user:p@ss/word@host/db",
        BROKER="not a broker but hunter2",
        HOOK="hooks.example/T0K3N",
        SECRET_FILE="secret",
    )
    assert len(lines) == 6
    told = "\n".join(lines)
    for secret in ("p@ss", "word@", "hunter2", "T0K3N", "in-the-file", "from-a-file"):
        assert secret not in told


# --- which file


def test_the_option_goes_before_the_variable_and_that_before_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"RETRAIND_CONFIG": "b.yaml"}
    assert find_configuration(Path("a.yaml"), environ) == tmp_path / "a.yaml"
    assert find_configuration(None, environ) == tmp_path / "b.yaml"
    assert find_configuration(None, {"RETRAIND_CONFIG": ""}) == tmp_path / "retraind.yaml"


def test_loading_imports_none_of_the_heavy_libraries(tmp_path: Path) -> None:
    path = write(tmp_path, DESIGN)
    program = (
        "import sys; from pathlib import Path; from retraind.config.loading import load; "
        f"load(Path({str(path)!r}), {{'SLACK_URL': 'json://h'}}); "
        "print(sorted({'numpy', 'pandas', 'scipy', 'sklearn', 'sqlalchemy', 'mlflow', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
