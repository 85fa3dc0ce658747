"""The Dockerfile: what it copies is there, nothing is installed unpinned, and nothing runs as root."""

import fnmatch
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    (line.split(None, 1)[0], line.split(None, 1)[1])
    for line in re.sub(r"\\\n\s*", "", TEXT).splitlines()
    if line and not line.startswith("#")
]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def test_everything_it_copies_stands_in_the_repository_and_reaches_the_builder() -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    for copy in arguments("COPY"):
        sources = [] if copy.startswith("--from") else copy.split()[:-1]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source.split("/")[0], pattern) for pattern in let_through), source


def test_what_it_installs_is_pinned_by_hash_or_made_here() -> None:
    installs = re.findall(r"pip (?:install|wheel) ([^&]*)", " && ".join(arguments("RUN")))
    assert installs
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)


def test_it_runs_as_an_ordinary_user_with_a_health_check_and_opens_no_port() -> None:
    assert arguments("USER") == ["retraind"]
    assert "EXPOSE" not in TEXT
    (check,) = arguments("HEALTHCHECK")
    assert json.loads(check[check.index("CMD") + 4 :])[:2] == ["retraind", "healthcheck"]


def test_signals_reach_the_program_because_no_shell_stands_before_it() -> None:
    assert json.loads(arguments("ENTRYPOINT")[0]) == ["retraind"]
    assert json.loads(arguments("CMD")[0])[0] == "run"


def test_base_images_have_a_release_and_match_the_tested_pythons() -> None:
    images = {base.split()[0] for base in arguments("FROM")}
    assert images == {"python:3.13-slim"}
