"""A model is loaded only from where it was registered, as it was registered, and never in the worker."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import BEFORE_REGISTER, MODEL, History, Project, history

from retraind.errors import UnknownFailure
from retraind.ledger import models
from retraind.ledger.rows import Version
from retraind.states import JobState, Stage
from workers.model_files import files_of, model_digest, must_be, remove_compiled

ROOT = Path(__file__).parents[2]
# Says which process it is loaded in, and by whom it was started.
TELLTALE = """
import os
from pathlib import Path

with Path({told!r}).open("a") as told:
    print(os.getpid(), os.getppid(), file=told)
"""


CLEARS = "import sys; from pathlib import Path; from workers.model_files import *; remove_compiled(Path(sys.argv[1]))"


@pytest.fixture(scope="module")
def past() -> History:
    return history()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.session.ledger.close()


def champion(project: Project) -> Version:
    with project.session.ledger.read() as connection:
        current = models.champions(connection, MODEL).current
    assert current is not None
    return current


def code_of(directory: Path) -> Path:
    (code,) = (directory / "code").glob("*.py")
    return code


def model_in(folder: Path) -> Path:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "threshold.py").write_text("BAR = 1\n")
    (folder / "MLmodel").write_text("flavors: {python_function: {loader_module: threshold, code: code}}\n")
    return folder


# --- the digest


@pytest.mark.parametrize(
    "change",
    [
        lambda model: (model / "code" / "threshold.py").write_text("BAR = 2\n"),
        lambda model: (model / "code" / "threshold.py").rename(model / "code" / "other.py"),
        lambda model: (model / "code" / "threshold.pyc").write_bytes(b"\0"),
        lambda model: (model / "more").write_text(""),
        lambda model: (model / "MLmodel").write_text("flavors: {python_function: {loader_module: os}}\n"),
        lambda model: (model / "MLmodel").write_text("no: flavours\n"),
        lambda model: (model / "MLmodel").unlink(),
    ],
)
def test_any_change_to_what_is_loaded_changes_the_digest(tmp_path: Path, change) -> None:
    model = model_in(tmp_path / "model")
    before = model_digest(model)
    change(model)
    assert model_digest(model) != before
    with pytest.raises(UnknownFailure, match="its files were changed since"):
        must_be(model, before, "the challenger")


def test_what_mlflow_and_python_leave_beside_a_model_does_not_change_the_digest(tmp_path: Path) -> None:
    model = model_in(tmp_path / "model")
    before = model_digest(model)
    (model / "code" / "__pycache__").mkdir()
    (model / "code" / "__pycache__" / "threshold.cpython-311.pyc").write_bytes(b"\0")
    (model / "VERSION.json").write_text("{}")
    (model / "MLmodel").write_text(
        "run_id: 7\nflavors:\n  python_function:\n    code: code\n    loader_module: threshold\n"
    )
    assert model_digest(model) == before


def test_a_name_cannot_pass_for_content(tmp_path: Path) -> None:
    one, other = model_in(tmp_path / "one"), model_in(tmp_path / "other")
    (one / "a").write_text("b")
    (other / "ab").write_text("")
    assert model_digest(one) != model_digest(other)


# --- in a job


def test_the_registry_gives_back_the_files_that_were_registered(past: History) -> None:
    project = past.at("second deployed")
    version = champion(project)
    assert version.digest is not None
    shutil.rmtree(version.directory)
    fetched = files_of(project.session, version, project.folder / "fetched")
    assert fetched == project.folder / "fetched"
    assert model_digest(fetched) == version.digest


def test_a_challenger_changed_after_its_training_is_never_loaded(project: Project) -> None:
    job = project.request()
    project.advance(job, Stage.INGEST, Stage.VALIDATE, Stage.TRAIN)
    code = code_of(project.directory(job).model)
    code.write_text(TELLTALE.format(told=str(project.folder / "loaded")) + code.read_text())
    found = project.advance(job, Stage.EVALUATE)
    assert found.state == JobState.FAILED
    assert "is not what was recorded of it: its files were changed since, and are not loaded" in str(found.error)
    assert not (project.folder / "loaded").exists()


def test_a_challenger_changed_after_it_was_judged_is_not_registered(past: History) -> None:
    project = past.at("first judged")
    code_of(project.directory(past.first).model).write_text("raise SystemExit")
    found = project.advance(past.first, Stage.REGISTER)
    assert found.state == JobState.FAILED
    assert "were changed since" in str(found.error)
    assert project.events("model.registered") == []


def test_a_champion_changed_on_the_disk_is_fetched_from_the_registry_to_be_compared_and_shown(past: History) -> None:
    project = past.at("first deployed")
    version = champion(project)
    code = code_of(Path(version.directory))
    code.write_text(TELLTALE.format(told=str(project.folder / "loaded")) + code.read_text())
    shutil.rmtree(project.folder / "live")
    project.converge()
    shown = project.folder / "live" / "current"
    assert model_digest(shown) == version.digest
    assert "loaded" not in code_of(shown).read_text()
    project.later(20)
    job = project.request()
    project.advance(job, *BEFORE_REGISTER)
    assert project.events("gate.passed", job)[-1]["champion"] is not None
    assert not (project.folder / "loaded").exists()


def test_compiled_code_that_somebody_put_beside_a_model_s_own_is_not_run(past: History) -> None:
    import importlib.util
    import py_compile

    project = past.at("first deployed")
    code = code_of(Path(champion(project).directory))
    bad = project.folder / "bad.py"
    bad.write_text(TELLTALE.format(told=str(project.folder / "loaded")) + code.read_text())
    cached = Path(importlib.util.cache_from_source(str(code)))
    cached.parent.mkdir(exist_ok=True)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH  # which no change of the source makes stale
    py_compile.compile(str(bad), cfile=str(cached), invalidation_mode=unchecked)
    project.later(20)
    project.advance(project.request(), *BEFORE_REGISTER)
    assert not (project.folder / "loaded").exists()


def test_a_deployed_version_that_was_changed_is_not_shown_again_by_a_rollback(past: History) -> None:
    project = past.at("second deployed")
    first = project.folder / "live" / "versions" / "1"
    code_of(first).write_text("raise SystemExit")
    with project.session.ledger.write("user:ann") as transaction:
        models.rollback(transaction, MODEL, "the second is worse")
    project.converge()
    shown = (project.folder / "live" / "current").resolve()
    assert model_digest(shown) == champion(project).digest


def test_a_model_is_loaded_in_a_child_s_child_and_never_in_the_worker(project: Project) -> None:
    project.give_registry()
    told = project.folder / "loaded"
    train = (project.folder / "train.py").read_text()
    code = TELLTALE.format(told=str(told))
    (project.folder / "train.py").write_text(train.replace("class Threshold", f"{code}\nclass Threshold"))
    assert project.run().state == JobState.DEPLOYED
    loaded = [tuple(map(int, line.split())) for line in told.read_text().splitlines()]
    assert loaded
    assert all(os.getpid() not in pids for pids in loaded)  # nor the worker itself, nor a fork of it: a guard's child


# --- links


def test_a_job_s_directory_that_is_a_link_is_neither_written_to_nor_read(project: Project) -> None:
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    job = project.request()
    project.session.settings.jobs_directory.mkdir(parents=True)
    (project.session.settings.jobs_directory / job).symlink_to(elsewhere)
    found = project.advance(job, Stage.INGEST)
    assert found.state == JobState.FAILED
    assert "is a link, and a job's directory never is" in str(found.error)
    assert list(elsewhere.iterdir()) == []


def test_a_version_that_is_a_link_to_elsewhere_is_not_taken_for_one_of_ours(past: History) -> None:
    project = past.at("first deployed")
    live = project.folder / "live"
    elsewhere = project.folder / "elsewhere"
    shutil.move(live / "versions" / "1", elsewhere)
    (live / "versions" / "1").symlink_to(elsewhere)
    project.converge()
    shown = (live / "current").resolve()
    assert shown.parent == live / "versions"
    assert json.loads((shown / "VERSION.json").read_text())["version"] == "1"
    assert elsewhere.is_dir()  # what the link leads to was let alone


@pytest.mark.parametrize(
    "target", ["../elsewhere", "../elsewhere/1", "versions/../../elsewhere", "/etc", "versions/..", "nowhere"]
)
def test_a_link_that_leads_out_of_the_target_is_set_right(past: History, target: str) -> None:
    project = past.at("first deployed")
    live = project.folder / "live"
    shutil.copytree(live / "versions" / "1", project.folder / "elsewhere")
    shutil.copytree(live / "versions" / "1", project.folder / "elsewhere" / "1")
    (live / "current").unlink()
    (live / "current").symlink_to(target)
    project.converge()
    assert (live / "current").readlink() == Path("versions/1")


@pytest.mark.parametrize(
    "label",
    [
        {"retraind": 1, "model": "another", "version": "1", "job": "1"},
        {"retraind": 1, "model": MODEL},
        {"retraind": 1, "model": MODEL, "version": ["1"], "job": {}},
        ["no", "label"],
    ],
)
def test_a_label_of_another_model_or_of_no_form_is_not_believed(past: History, label: object) -> None:
    project = past.at("first deployed")
    (project.folder / "live" / "versions" / "1" / "VERSION.json").write_text(json.dumps(label))
    project.converge()
    assert project.link() == "1"
    assert (project.folder / "live" / "current").resolve().name == f"1-{past.first}"


def test_a_directory_of_versions_that_is_a_link_is_refused(past: History) -> None:
    project = past.at("first judged")
    (project.folder / "live").mkdir()
    (project.folder / "elsewhere").mkdir()
    (project.folder / "live" / "versions").symlink_to(project.folder / "elsewhere")
    found = project.advance(past.first, Stage.REGISTER, Stage.DEPLOY)
    assert found.state == JobState.FAILED
    assert "is a link, which leads out of the directory" in str(found.error)
    assert list((project.folder / "elsewhere").iterdir()) == []


# --- modes


def test_a_deployed_model_is_as_open_as_the_user_s_umask_says(past: History) -> None:
    project = past.at("first deployed")
    live = project.folder / "live"
    shown = live / "current"
    modes = {path.stat().st_mode & 0o777 for path in (live, live / "versions", shown.resolve(), shown / "code")}
    assert modes == {0o755}
    assert (shown / "MLmodel").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("fault", ["kill", "full"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_whoever_fails_at_removing_compiled_code_leaves_the_model_as_it_was(
    tmp_path: Path, fault: str, side: str
) -> None:
    model, armed = tmp_path / "model", tmp_path / "faults" / "armed"
    compiled = model / "code" / "__pycache__"
    (compiled / "deeper").mkdir(parents=True)
    (compiled / "threshold.cpython-311.pyc").write_bytes(b"\0")
    (model / "code" / "threshold.py").write_text("bar = 15\n")
    (armed.parent / "struck").mkdir(parents=True)
    armed.mkdir()
    (armed / f"durable.clear.{side}").write_text(fault)
    before = model_digest(model)
    environment = os.environ | {"RETRAIND_FAULTS": str(armed.parent), "PYTHONPATH": str(ROOT)}
    died = subprocess.run([sys.executable, "-c", CLEARS, str(model)], env=environment, check=False, capture_output=True)
    assert died.returncode != 0
    assert len(list((armed.parent / "struck").iterdir())) == 1
    assert {entry.name for entry in (model / "code").iterdir()} - {"__pycache__"} == {"threshold.py"}
    assert model_digest(model) == before
    subprocess.run([sys.executable, "-c", CLEARS, str(model)], cwd=ROOT, check=True)
    assert [entry.name for entry in (model / "code").iterdir()] == ["threshold.py"]


def test_compiled_code_that_is_a_link_goes_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.txt").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__pycache__").symlink_to(tmp_path / "elsewhere")
    remove_compiled(tmp_path / "model")
    assert not any((tmp_path / "model").iterdir())
    assert (tmp_path / "elsewhere" / "kept.txt").exists()
