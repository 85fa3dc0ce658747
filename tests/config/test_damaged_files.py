"""However a file is damaged, the answer is settings or a refusal in lines, never a traceback."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_files import DESIGN, write

from retraind.config.loading import load
from retraind.errors import ConfigurationError

ENVIRON = {"SLACK_URL": "slack://a/b/c", "ODD": "\udcff\0x", "HUGE": "9" * 5000}
PIECES = [
    "", " ", "\t", "\n", ":", ": ", "- ", "{", "}", "[", "]", "'", '"', "#", "&a ", "*a", "<<: *a", "!!int ", "!x ",
    "|", ">", "%", "@", "`", "${ODD}", "${HUGE}", "${", "$$", "\0", "\ufeff", "\u2028", "\x85", "\\", "~", "null",
    "true", "-1", "1e999", ".nan", "9" * 5000, "9" * 400 + "d", "9" * 400 + "GiB", "9" * 400 + " per 1d",
    "0001-01-01T00:00:00+14:00", "sqlite:///~nobody-there/x", "http://[::1", "redis://h:99999999", "../../etc", "---\n",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 10**30, 1.5, float("inf"), float("nan"), "", "x", "7d", "1 per 90d", "22:00", "2 of 3",
    "sqlite:///x.db", "${ODD}", "a" * 10_000, [], ["x"], [[]], {}, {"x": 1}, {"type": "drift"}, {"path": 5},
    {"file": "~nobody-there/x"}, {"window": "28d", "before": "0001-01-01T00:00:00+14:00"}, {"csv": "\\0"},
    {"sklearn": 1}, {"function": "a.py:b"}, {"metric": "f1"}, {1: 2}, "9" * 400 + "w",
]  # fmt: skip
LINE = re.compile(r"(?P<file>.*retraind\.yaml)(:\d+)?(:\d+)?: \S.*")


def answers(directory: Path, content: bytes) -> None:
    path = write(directory, content)
    try:
        load(path, ENVIRON)
    except ConfigurationError as error:
        lines = str(error).split("\n")
        assert lines
        for line in lines:
            assert LINE.fullmatch(line), line
            assert line.isprintable(), line
            line.encode()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(DESIGN)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4
    )
)
def test_damaged_text_is_refused_in_lines(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    text = DESIGN
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    answers(tmp_path, text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("key", [r"a\nb", r"a\u2028b", r"\e[31mred", r"\u202e"])
def test_a_key_that_would_break_the_line_is_told_in_it(tmp_path: Path, key: str) -> None:
    answers(tmp_path, f'"{key}": 1\nmodels: {{"{key}": {{}}, delays: {{triggers: {{"{key}": 1}}}}}}\n'.encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(DESIGN)), junk=st.binary(min_size=1, max_size=6))
def test_damaged_bytes_are_refused_in_lines(tmp_path: Path, start: int, junk: bytes) -> None:
    content = DESIGN.encode()
    answers(tmp_path, content[:start] + junk + content[start:])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in `value` with each of its keys."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@pytest.mark.parametrize("seed", range(4))
def test_a_value_of_another_kind_anywhere_is_refused_in_lines(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    text = DESIGN + "    policy2: {}\n"
    total = len(places(yaml.safe_load(DESIGN)))
    for _ in range(80):
        good = yaml.safe_load(DESIGN.replace("on:", "'on':"))
        for container, key in chance.sample(places(good), k=min(chance.choice([1, 1, 2, 3]), total)):
            container[key] = chance.choice(VALUES)
        text = yaml.safe_dump(good)
        answers(tmp_path, text.encode("utf-8", "surrogatepass"))
