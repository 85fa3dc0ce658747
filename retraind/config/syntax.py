"""Plain sentences for what the YAML reader refuses. Called by `retraind.config.document`."""

import re

import yaml
from yaml.reader import ReaderError

_SENTENCES: tuple[tuple[str, str], ...] = (
    (r"\\t|tab character", "a tab stands where YAML wants spaces; indent with spaces only"),
    (r"mapping values are not allowed", "a second colon stands here; put the value in quotes, or mend the indentation"),
    (r"could not find expected ':'", "a key stands without its colon; write KEY: VALUE"),
    (r"expected <block end>", "the line fits no section above it; indent it as far as its neighbours"),
    (r"expected ',' or '[}\]]'", "a bracket {opened} is not closed, or a comma is missing before this"),
    (r"unexpected end of stream", "a quoted text {opened} does not end; close the quotes"),
    (r"undefined alias", "the alias has no anchor above it; write &NAME before the section that *NAME repeats"),
    (r"duplicate anchor", "the anchor stands twice; give each & a name of its own"),
    (
        r"expected a single document|but found another document",
        "a second document begins; write one, without --- lines",
    ),
    (r"cannot start any token", "a value cannot begin with this character; put the value in quotes"),
    (r"unknown escape|escape sequence", "the escape is unknown; double the backslash, or use single quotes"),
    (r"undefined tag handle|could not determine a constructor|tag", "the tag has no meaning here; remove it"),
)


def sentence_of(error: yaml.YAMLError, text: str) -> tuple[int, int, str]:
    """Line and column, from 1, and one sentence that says what is wrong there and how to mend it."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return line, column, "a character that no text holds stands here; remove it"
    if not isinstance(error, yaml.MarkedYAMLError) or (mark := error.problem_mark or error.context_mark) is None:
        return 1, 1, "this is not YAML; mend it or begin anew with `retraind init`"
    opened_at = error.context_mark or mark
    problem = str(error.problem or "")
    if "expected ':'" in problem:
        mark = opened_at  # the key, not what follows it
    sentence = next((words for pattern, words in _SENTENCES if re.search(pattern, problem)), None)
    if sentence is None:
        sentence = f"this is not YAML ({problem}); mend it or put the value in quotes"
    if "{opened}" in sentence:
        sentence = sentence.replace("{opened}", f"opened on line {opened_at.line + 1}")
        if _has_bare_variable(text, opened_at.line, mark.line):
            sentence += '; inside { } and [ ] a variable needs quotes: "${NAME}"'
    return mark.line + 1, mark.column + 1, sentence


def _has_bare_variable(text: str, first: int, last: int) -> bool:
    """Whether a `${` stands outside quotes on the lines `first` to `last`, counted from 0."""
    lines = "\n".join(text.split("\n")[first : last + 1])
    return re.search(r"""(?<!["'\w/:@])\$\{""", lines) is not None
