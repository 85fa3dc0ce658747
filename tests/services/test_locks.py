"""The pinned lists: complete, hash-checked, agreeing with pyproject.toml and with each other."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def pins(lock: str) -> dict[str, set[str]]:
    """Versions by package; a package may have one version per Python release."""
    found = dict[str, set[str]]()
    for line in (ROOT / "requirements" / lock).read_text().splitlines():
        if pin := re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==([^ ;\\]+)", line):
            found.setdefault(canonicalize_name(pin[1]), set()).add(pin[2])
    return found


def wanted(*, groups: bool) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = list(project["project"]["dependencies"])
    if groups:
        texts += [text for group in project["dependency-groups"].values() for text in group if isinstance(text, str)]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("lock", "groups"), [("run.lock", False), ("dev.lock", True)])
def test_every_dependency_is_pinned_at_a_version_that_pyproject_allows(lock: str, groups: bool) -> None:
    pinned = pins(lock)
    for requirement in wanted(groups=groups):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement} is not in {lock}; run make lock"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"{requirement}: {versions}; run make lock"
        )


@pytest.mark.parametrize("lock", ["run.lock", "build.lock"])
def test_the_smaller_lists_are_parts_of_the_whole(lock: str) -> None:
    whole = pins("dev.lock")
    assert {name: versions for name, versions in pins(lock).items() if whole.get(name) != versions} == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_hashes_and_names_no_host_and_no_path(lock: Path) -> None:
    text = lock.read_text()
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in requirement
    assert not re.search(r"://|--index|--find-links|file:|(^|\s)/\w", text)
