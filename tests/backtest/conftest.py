"""A project with a past, made once and copied."""

import shutil
from pathlib import Path

import past
import pytest


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("past")
    past.make_project(folder)
    return folder


@pytest.fixture
def folder(_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `past.db`, `train.py` and `retraind.yaml`, and the working directory."""
    project = tmp_path / "project"
    shutil.copytree(_made, project)
    monkeypatch.chdir(project)
    monkeypatch.delenv("RETRAIND_CONFIG", raising=False)
    return project
