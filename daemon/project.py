"""Writes a new project for `retraind init`: a configuration, sample data, and training code where it takes some.

A project appears whole or not at all: it is put together beside its place and moved there, and a file
that stands in the way is named before anything is written.
"""

import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from retraind.errors import ConfigurationError, RetraindError

_TEMPLATES = Path(__file__).with_name("templates")
_MARK = re.compile(r"@(\w+)@")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_OWN_INTERPRETER = frozenset({"pytorch", "keras", "tensorflow"})  # what they need, retraind's environment lacks


@dataclass(frozen=True)
class Project:
    """What was written. `rows` is how many rows of sample data there are; `next_steps` are commands to type."""

    model: str
    files: list[Path]
    rows: int
    next_steps: list[str]


def create(directory: Path, template: str, python: Path | None) -> Project:
    """Writes the project into `directory`, which is made if it is missing; it names the model.

    `python` is the interpreter to train in; None: retraind's own, or `.venv/bin/python` for the
    frameworks that retraind does not bring. Raises ConfigurationError where a file is in the way,
    RetraindError where the directory cannot be written.
    """
    model = model_name(directory)
    ours = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        names, rows = _move_in(directory, template, _words(model, template, python))
    except OSError as error:
        _leave_nothing(directory, ours=ours)
        raise RetraindError(
            f"the project cannot be written to {directory}: {error.strerror or error} ({error.filename}); "
            "name another directory, or mend its permissions"
        ) from error
    return Project(model, [directory / name for name in names], rows, _next_steps(directory, template, python))


def _move_in(directory: Path, template: str, words: Mapping[str, str]) -> tuple[list[str], int]:
    """Puts the project together beside its place and moves it there; the files' names and the sample's rows."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=".retraind-init-") as folder:
        staging = Path(folder)
        _write(staging, template, words)
        rows = _sample_data(staging)
        names = sorted(path.name for path in staging.iterdir())
        _refuse_to_overwrite(directory, names)
        for name in names:
            (staging / name).rename(directory / name)
    return names, rows


def _leave_nothing(directory: Path, *, ours: bool) -> None:
    """Takes away a directory that was made for the project, unless something stands in it."""
    if ours:
        with suppress(OSError):
            directory.rmdir()


def model_name(directory: Path) -> str:
    """The name that the directory gives its model: letters, digits, `_`, `.` and `-`, and not . or - first."""
    name = _NOT_IN_NAMES.sub("-", directory.resolve().name).strip("-.")[:100]
    return name or "model"


def _words(model: str, template: str, python: Path | None) -> Mapping[str, str]:
    """What stands for each @mark@ of the templates."""
    if python is not None:
        interpreter = str(python.absolute())
    else:
        interpreter = ".venv/bin/python" if template in _OWN_INTERPRETER else sys.executable
    words = {"model": model, "python": _yaml(interpreter), "setup": "", "training": ""}
    trainer = _filled((_TEMPLATES / template / "trainer.yaml").read_text(encoding="utf-8"), words)
    words["trainer"] = "\n".join(f"      {line}" for line in trainer.splitlines())
    if template in _OWN_INTERPRETER:
        install = "" if python is not None else f"\n    {_INSTALL}\n"
        words["setup"] = f"\nThe model is trained by `train.py`, in the interpreter {interpreter}.\n{install}"
    if (_TEMPLATES / template / "train.py").exists():
        words["training"] = "4. Change `train.py` to your own training code; its first lines say what it is given.\n"
    return words


def _yaml(path: str) -> str:
    """`path` as one YAML text, wherever it stands."""
    return path if re.fullmatch(r"[\w./+-]+", path) else json.dumps(path.replace("$", "$$"), ensure_ascii=False)


_INSTALL = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"


def _write(staging: Path, template: str, words: Mapping[str, str]) -> None:
    for source in _sources(template):
        target = staging / (".gitignore" if source.name == "gitignore" else source.name)
        if source.suffix == ".py":
            shutil.copyfile(source, target)
        else:
            target.write_text(_filled(source.read_text(encoding="utf-8"), words), encoding="utf-8")


def _sources(template: str) -> Iterator[Path]:
    for folder in (_TEMPLATES / "common", _TEMPLATES / template):
        yield from (path for path in sorted(folder.iterdir()) if path.is_file() and path.name != "trainer.yaml")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _MARK.sub(lambda mark: words[mark[1]], text)


def _sample_data(staging: Path) -> int:
    """Makes the sample database by the project's own script; returns its rows."""
    rows: int = _load(staging / "sample_data.py").create()
    return rows


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("retraind_sample_data", path)
    assert spec is not None  # noqa: S101  # a file that ends in .py always has one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no __pycache__ in the project
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = bytecode
    return module


def _refuse_to_overwrite(directory: Path, names: list[str]) -> None:
    there = [name for name in names if (directory / name).exists() or (directory / name).is_symlink()]
    if there:
        raise ConfigurationError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} in {directory.resolve()} already, and nothing is "
            "overwritten; name another directory, as `retraind init fraud`"
        )


def _next_steps(directory: Path, template: str, python: Path | None) -> list[str]:
    steps = []
    if directory.resolve() != Path.cwd():
        steps.append(f"cd {os.path.relpath(directory)}")
    if template in _OWN_INTERPRETER and python is None:
        steps.append(_INSTALL)
    return [*steps, "retraind check", "retraind up"]
