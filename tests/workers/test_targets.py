"""Deploy targets: shown in one step, asked as often as you like, and nobody else's files touched."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from retraind.config.deploy import CommandTarget, DirectoryTarget, MlflowTarget, PluginTarget
from retraind.errors import BudgetExceeded, TransientFailure, UnknownFailure
from workers.registry import Registry
from workers.targets import DeployableVersion, Means, describe, open_target
from workers.targets.directory import VersionedDirectory
from workers.temporaries import beside


@pytest.fixture
def means(tmp_path: Path) -> Means:
    """The registry is spoken to by the alias alone, which is tested with it."""
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts", tmp_path / "mlflow.lock")
    return Means("delays", registry, tmp_path, tmp_path / "records")


def version(folder: Path, number: str, *, previous: str | None = None, job: str | None = None) -> DeployableVersion:
    """A version whose one file holds its number."""
    directory = folder / f"model-{job or number}"
    (directory / "data").mkdir(parents=True, exist_ok=True)
    (directory / "MLmodel").write_text("flavors: {}")
    (directory / "data" / "weights").write_text(number)
    uri = f"models:/delays/{number}"
    return DeployableVersion("delays", "delays", number, previous, job or f"job{number}", directory, uri)


# --- a directory


def an_hour_ago(root: Path) -> None:
    """As if all that was shown there had been shown an hour earlier."""
    for label in (root / "versions").glob("*/VERSION.json"):
        at = label.stat().st_mtime_ns - 3600 * 10**9
        os.utime(label, ns=(at, at))


def test_a_directory_shows_a_version_behind_its_link(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    target = open_target(DirectoryTarget(directory=str(root)), means)
    assert target.shown() is None
    target.show(version(tmp_path, "1"))
    assert (root / "current" / "data" / "weights").read_text() == "1"
    assert (root / "current").readlink() == Path("versions/1")
    assert json.loads((root / "current" / "VERSION.json").read_text()) == {
        "retraind": 1,
        "model": "delays",
        "version": "1",
        "job": "job1",
        "uri": "models:/delays/1",
    }
    target.show(version(tmp_path, "2", previous="1"))
    assert target.shown() == "2"
    assert (root / "versions" / "1" / "data" / "weights").read_text() == "1"


def test_showing_a_version_again_changes_nothing_on_disk(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    target = open_target(DirectoryTarget(directory=str(root)), means)
    target.show(version(tmp_path, "1"))
    before = [(path, path.lstat().st_mtime_ns, path.lstat().st_ino) for path in sorted(root.rglob("*"))]
    target.show(version(tmp_path, "1"))
    assert [(path, path.lstat().st_mtime_ns, path.lstat().st_ino) for path in sorted(root.rglob("*"))] == before


def test_a_copy_that_a_killed_worker_left_is_made_again_and_swept_up(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    (root / "versions").mkdir(parents=True)
    left = subprocess.run(
        [sys.executable, "-c", LEAVES, str(root / "versions" / "1"), str(root / "current")],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    ours = beside(root / "versions" / "2")
    ours.mkdir()
    target = open_target(DirectoryTarget(directory=str(root)), means)
    target.show(version(tmp_path, "1"))
    assert target.shown() == "1"
    assert [name for name in left if os.path.lexists(name)] == []
    assert ours.exists()  # whoever makes it is alive


LEAVES = """
import sys
from pathlib import Path
from workers.temporaries import beside
copy, link = (beside(Path(name)) for name in sys.argv[1:])
copy.mkdir()
(copy / "MLmodel").write_text("half")
link.symlink_to("versions/1")
print(copy, link)
"""


def test_the_versions_shown_last_stay_and_a_rollback_brings_an_old_one_back(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    target = open_target(DirectoryTarget(directory=str(root), keep=2), means)
    for number in ("1", "2", "3"):
        target.show(version(tmp_path, number))
        an_hour_ago(root)
    assert sorted(path.name for path in (root / "versions").iterdir()) == ["2", "3"]
    target.show(version(tmp_path, "2"))
    an_hour_ago(root)
    target.show(version(tmp_path, "4"))
    assert sorted(path.name for path in (root / "versions").iterdir()) == ["2", "4"]
    target.show(version(tmp_path, "1"))
    assert target.shown() == "1"


def test_what_the_link_led_to_a_moment_ago_stays_for_those_who_are_reading_it(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    target = open_target(DirectoryTarget(directory=str(root), keep=2), means)
    for number in ("1", "2", "3", "4"):
        target.show(version(tmp_path, number))
    assert sorted(path.name for path in (root / "versions").iterdir()) == ["1", "2", "3", "4"]


def test_a_late_worker_prunes_nothing_that_the_link_leads_to(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    target = VersionedDirectory(DirectoryTarget(directory=str(root), keep=2), means)
    for number in ("1", "2", "3"):
        target.show(version(tmp_path, number))
    an_hour_ago(root)
    os.utime(root / "versions" / "3" / "VERSION.json", (0, 0))
    target._prune(root / "versions")
    assert (root / "current" / "MLmodel").is_file()


@pytest.mark.parametrize("harm", ["gone", "dangling", "elsewhere", "hollow", "relabelled"])
def test_a_link_that_does_not_lead_to_a_whole_version_is_mended(means: Means, tmp_path: Path, harm: str) -> None:
    root = tmp_path / "production"
    target = open_target(DirectoryTarget(directory=str(root)), means)
    for number in ("1", "2"):
        target.show(version(tmp_path, number))
    before = target.mark()  # type: ignore[attr-defined]
    link = root / "current"
    match harm:
        case "gone":
            link.unlink()
        case "dangling" | "elsewhere":
            link.unlink()
            link.symlink_to("versions/9" if harm == "dangling" else "versions/1")
        case "hollow":
            (link / "MLmodel").unlink()
        case "relabelled":
            label = link / "VERSION.json"
            label.write_text(label.read_text().replace('"version": "2"', '"version": "22"'))
    assert target.shown() != "2"
    assert target.mark() != before  # type: ignore[attr-defined]
    target.show(version(tmp_path, "2"))
    assert target.shown() == "2"
    assert (root / "current" / "data" / "weights").read_text() == "2"


def test_what_others_keep_there_is_not_touched(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    (root / "versions" / "by-hand").mkdir(parents=True)
    (root / "versions" / "notes.txt").write_text("mine")
    (root / "README").write_text("mine")
    other = open_target(DirectoryTarget(directory=str(root), keep=2), replace(means, model="other"))
    other.show(replace(version(tmp_path, "77"), model="other"))
    target = open_target(DirectoryTarget(directory=str(root), keep=2), means)
    assert target.shown() is None  # it shows another model's version
    for number in ("1", "2", "3", "4"):
        target.show(version(tmp_path, number))
        an_hour_ago(root)
    assert sorted(path.name for path in (root / "versions").iterdir()) == ["3", "4", "77", "by-hand", "notes.txt"]
    assert (root / "README").read_text() == "mine"


def test_a_number_that_a_registry_begun_anew_gives_again_gets_a_place_of_its_own(means: Means, tmp_path: Path) -> None:
    root = tmp_path / "production"
    target = open_target(DirectoryTarget(directory=str(root)), means)
    target.show(version(tmp_path, "1", job="old"))
    target.show(version(tmp_path, "1", job="new"))
    assert (root / "current").readlink() == Path("versions/1-new")
    assert target.shown() == "1"


def test_a_real_directory_called_current_is_refused_with_the_mend(means: Means, tmp_path: Path) -> None:
    (tmp_path / "production" / "current").mkdir(parents=True)
    target = open_target(DirectoryTarget(directory=str(tmp_path / "production")), means)
    with pytest.raises(UnknownFailure, match=r"production/current is not a link.*move it away"):
        target.show(version(tmp_path, "1"))


def test_a_directory_that_cannot_be_written_may_be_retried(means: Means, tmp_path: Path) -> None:
    (tmp_path / "production").write_text("a file")
    target = open_target(DirectoryTarget(directory=str(tmp_path / "production")), means)
    with pytest.raises(TransientFailure, match=r"Version 1 of delays cannot be put into .*production"):
        target.show(version(tmp_path, "1"))


# --- a command

TELL = """
import os, sys
names = ("MODEL", "VERSION", "PREVIOUS_VERSION", "JOB", "MODEL_URI")
with open("told", "a") as file:
    print(*(os.environ["RETRAIND_" + name] for name in names), file=file)
assert os.path.exists(os.path.join(os.environ["RETRAIND_MODEL_DIR"], "MLmodel"))
"""


def test_a_command_is_told_all_about_the_version(means: Means, tmp_path: Path) -> None:
    target = open_target(CommandTarget(command=(sys.executable, "-c", TELL)), means)
    assert target.shown() is None
    target.show(version(tmp_path, "2", previous="1"))
    assert (tmp_path / "told").read_text() == "delays 2 1 job2 models:/delays/2\n"
    assert target.shown() == "2"


@pytest.mark.parametrize(
    ("program", "kind", "sentence"),
    [
        (
            "raise OSError('no such host')",
            UnknownFailure,
            r"of version 1 of delays ended with exit code 1; .*such host",
        ),
        ("import sys; sys.exit(75)", TransientFailure, r"ended with exit code 75; it printed nothing"),
        ("import time; time.sleep(60)", BudgetExceeded, r"took longer than its time budget of 500ms|0\.5s"),
    ],
)
def test_a_command_that_fails_shows_nothing_new(
    means: Means, tmp_path: Path, program: str, kind: type[Exception], sentence: str
) -> None:
    target = open_target(CommandTarget(command=(sys.executable, "-c", program), timeout="500ms"), means)
    with pytest.raises(kind, match=sentence):
        target.show(version(tmp_path, "1"))
    assert target.shown() is None


# --- a plugin

PLUGIN = """
shown = {}


class Shelf:
    def __init__(self, name):
        self.name = name

    def show(self, version):
        shown[self.name] = version.version

    def shown(self):
        return shown.get(self.name)
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site"
    (package / "shelf-1.0.dist-info").mkdir(parents=True)
    (package / "shelf-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
    (package / "shelf-1.0.dist-info" / "entry_points.txt").write_text(
        "[retraind.targets]\nshelf = shelf_target:Shelf\n"
    )
    (package / "shelf_target.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(package)


def test_a_plugin_is_opened_with_its_params(means: Means, tmp_path: Path, shelf: None) -> None:
    target = open_target(PluginTarget(plugin="shelf", params={"name": "top"}), means)
    target.show(version(tmp_path, "3"))
    assert target.shown() == "3"


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("shelve", {}, r"no installed package brings a target 'shelve' \(did you mean 'shelf'\?\)"),
        ("shelf", {"nam": 1}, r"the target 'shelf' cannot be opened: .*unexpected keyword argument 'nam'"),
    ],
)
def test_a_plugin_that_cannot_be_opened_is_named(
    means: Means, shelf: None, name: str, params: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UnknownFailure, match=sentence):
        open_target(PluginTarget(plugin=name, params=params), means)


def test_every_target_has_a_description() -> None:
    assert describe(MlflowTarget(mlflow="delays")) == "mlflow delays@champion"
    assert describe(DirectoryTarget(directory="/srv/models")) == "directory /srv/models"
    assert describe(CommandTarget(command=("ship", "it"))) == "command ship it"
    assert describe(PluginTarget(plugin="shelf")) == "plugin shelf"
