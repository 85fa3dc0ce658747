"""`retraind init`: a project that works at once, and never half a project."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from daemon.cli.beginning import Template
from daemon.project import model_name
from retraind.config.loading import load
from retraind.config.training import CommandTrainer, FunctionTrainer, SklearnTrainer

TEMPLATES = [str(template) for template in Template]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments):
    """The verb, in this process."""
    from typer.testing import CliRunner

    from daemon.cli.app import app

    return CliRunner().invoke(app, ["init", *arguments], prog_name="retraind")


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_writes_a_configuration_that_loads(folder, template):
    result = init("fraud", "--template", template)
    assert result.exit_code == 0, result.stderr
    settings = load(folder / "fraud" / "retraind.yaml", {})
    assert list(settings.models) == ["fraud"]
    trainer = settings.models["fraud"].training.trainer
    kind = {"sklearn": SklearnTrainer, "command": CommandTrainer}.get(template, FunctionTrainer)
    assert isinstance(trainer, kind)
    if isinstance(trainer, FunctionTrainer):
        assert trainer.python == str(folder / "fraud" / ".venv" / "bin" / "python")
        assert trainer.function == f"{folder}/fraud/train.py:train"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_file_that_is_written_is_told_and_nothing_else_is_left(folder, template):
    result = init("fraud", "-t", template)
    told = sorted(line.removeprefix("wrote fraud/") for line in result.stdout.splitlines() if line.startswith("wrote "))
    assert told == sorted(path.name for path in Path("fraud").iterdir())
    assert {".gitignore", "README.md", "retraind.yaml", "sample.db", "sample_data.py"} <= set(told)
    for path in (folder / "fraud").iterdir():
        if path.suffix != ".db":
            text = path.read_text()
            assert re.search(r"@\w+@", text) is None  # every mark of the template was filled in
        if path.suffix == ".py":
            compile(path.read_text(), path, "exec")


def test_the_next_steps_are_told(folder):
    steps = [line.strip() for line in init("fraud", "-t", "pytorch").stdout.splitlines() if line.startswith("  ")]
    assert steps == [
        "cd fraud",
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        "retraind check",
        "retraind up",
    ]


def test_the_directory_names_the_model(folder):
    (folder / "card fraud 2").mkdir()
    os.chdir(folder / "card fraud 2")
    result = init()
    assert result.exit_code == 0
    assert list(load(Path("retraind.yaml"), {}).models) == ["card-fraud-2"]
    assert "  cd" not in result.stdout


@pytest.mark.parametrize(
    ("directory", "name"), [("/x/fraud", "fraud"), ("/x/.hidden", "hidden"), ("/x/数据", "model"), ("/x/a  b", "a-b")]
)
def test_names_are_made_of_what_names_may_hold(directory, name):
    assert model_name(Path(directory)) == name


def test_another_interpreter_is_written_into_the_configuration(folder):
    assert init("fraud", "-t", "keras", "--python", "/opt/my env/bin/python").exit_code == 0
    assert load(folder / "fraud" / "retraind.yaml", {}).models["fraud"].training.trainer.python == (
        "/opt/my env/bin/python"
    )


def test_files_in_the_way_are_named_and_nothing_is_written(folder):
    (folder / "fraud").mkdir()
    (folder / "fraud" / "retraind.yaml").write_text("mine")
    (folder / "fraud" / "README.md").write_text("mine")
    result = init("fraud")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"retraind: README.md, retraind.yaml are in {folder}/fraud already, and nothing is overwritten; "
        "name another directory, as `retraind init fraud`\n"
    )
    assert sorted(path.name for path in Path("fraud").iterdir()) == ["README.md", "retraind.yaml"]
    assert (folder / "fraud" / "retraind.yaml").read_text() == "mine"


def test_other_files_of_the_directory_stay(folder):
    (folder / "notes.txt").write_text("mine")
    assert init().exit_code == 0
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_in_place_of_the_directory_is_a_sentence(folder):
    (folder / "fraud").write_text("")
    result = init("fraud")
    assert result.exit_code == 1
    assert result.stderr.startswith("retraind: the project cannot be written to fraud: File exists")


def test_an_unknown_template_is_a_wrong_call(folder):
    result = init("fraud", "--template", "xgboost")
    assert result.exit_code == 2
    assert not (folder / "fraud").exists()


def test_a_failure_half_way_leaves_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "sample.db")

    monkeypatch.setattr("daemon.project._sample_data", full)
    result = init("fraud")
    assert result.exit_code == 1
    assert "No space left on device (sample.db)" in result.stderr
    assert list(folder.iterdir()) == []


def rows(query):
    with sqlite3.connect("fraud/sample.db") as store:
        found = pd.read_sql(query, store)
    store.close()
    return found


def test_the_sample_is_90_days_up_to_now_and_its_model_decayed_half_way(folder):
    init("fraud")
    data = rows("SELECT * FROM predictions")
    instants = pd.to_datetime(data["timestamp"])
    age = pd.Timestamp.now(tz="UTC") - instants
    assert age.max() > pd.Timedelta(days=89)
    assert pd.Timedelta(0) < age.min() < pd.Timedelta(hours=1)
    right = (data["prediction"] == data["actual"])[data["actual"].notna()]
    assert right[age > pd.Timedelta(days=46)].mean() > 0.88
    assert right[age < pd.Timedelta(days=44)].mean() < 0.7
    assert data["actual"].isna().sum() == (age < pd.Timedelta(days=1)).sum()
    assert data["distance"].isna().mean() == pytest.approx(0.02, abs=0.01)


def test_the_shift_adds_an_hour_of_other_traffic(folder):
    init("fraud")
    before = rows("SELECT avg(amount) AS amount, count(*) AS n FROM predictions")
    done = subprocess.run(
        [sys.executable, "sample_data.py", "--shift"], cwd="fraud", capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("1500 rows written to ")
    added = rows("SELECT * FROM predictions ORDER BY id DESC LIMIT 1500")
    assert added["amount"].mean() > 2 * before["amount"][0]
    assert (pd.Timestamp.now(tz="UTC") - pd.to_datetime(added["timestamp"])).max() < pd.Timedelta(hours=2)
    assert set(added["version"]) == {"before retraind"}


def test_the_shifted_rows_carry_the_version_that_is_deployed(folder):
    init("fraud")
    versions = folder / "fraud" / "models" / "production" / "versions"
    (versions / "3").mkdir(parents=True)
    (versions.parent / "current").symlink_to("versions/3")
    subprocess.run([sys.executable, "sample_data.py", "--shift"], cwd="fraud", capture_output=True, check=True)
    assert set(rows("SELECT version FROM predictions ORDER BY id DESC LIMIT 1500")["version"]) == {"3"}


def test_the_command_template_trains_and_predicts(folder):
    init("fraud", "-t", "command")
    data = rows("SELECT amount, items, hour, distance, actual FROM predictions WHERE actual IS NOT NULL").tail(4000)
    data[:3000].to_parquet("train.parquet")
    data[3000:].drop(columns="actual").to_parquet("ask.parquet")
    (folder / "model").mkdir()
    features = ["amount", "items", "hour", "distance"]
    told = {
        **os.environ,
        "RETRAIND_DATA": "../train.parquet",
        "RETRAIND_MODEL_DIR": "../model",
        "RETRAIND_TARGET": "actual",
        "RETRAIND_FEATURES": json.dumps(features),
        "RETRAIND_PREDICTIONS": "../predictions.parquet",
    }
    trainer = load(folder / "fraud" / "retraind.yaml", {}).models["fraud"].training.trainer
    subprocess.run(trainer.command, cwd="fraud", env=told, check=True, capture_output=True)
    subprocess.run(
        trainer.predict, cwd="fraud", env={**told, "RETRAIND_DATA": "../ask.parquet"}, check=True, capture_output=True
    )
    answers = pd.read_parquet("predictions.parquet")
    assert list(answers.columns) == ["prediction", "score"]
    assert (answers["prediction"].to_numpy() == data["actual"][3000:].to_numpy()).mean() > 0.85


def test_a_fresh_project_passes_its_own_check(folder):
    from daemon.checks import check_all

    init("fraud", "-t", "command")
    report = check_all(load(folder / "fraud" / "retraind.yaml", {}))
    assert report.sound, report
    assert {str(finding.level) for finding in report.findings} == {"ok"}
