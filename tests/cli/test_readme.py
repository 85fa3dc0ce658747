"""What the README and the documents say can be typed, opened and loaded."""

import re
from pathlib import Path

import pytest

from daemon.cli.app import app
from retraind.config.loading import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
VERBS = {command.name or command.callback.__name__ for command in app.registered_commands} | {
    group.name for group in app.registered_groups
}


def blocks(page: Path, kind: str = "") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_readmes_screen_of_configuration_loads(tmp_path):
    (example,) = blocks(ROOT / "README.md", "yaml")
    (tmp_path / "retraind.yaml").write_text(example)
    settings = load(tmp_path / "retraind.yaml", {"SLACK_URL": "slack://a/b/c"})
    assert set(settings.models["delays"].triggers) == {"weekly", "stale", "drift", "decay", "volume", "landing"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_that_a_page_types_exists(page):
    typed = [line for block in blocks(page) for line in block.splitlines()]
    verbs = {match[1] for line in typed if (match := re.match(r"\s*retraind ([a-z]+)\b", line))}
    assert verbs <= VERBS


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert targets >= {"demo", "test", "check", "bench"}
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
