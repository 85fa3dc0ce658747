"""Reading the file: YAML as people mean it, places, duplicates and variables."""

import math
from pathlib import Path
from typing import Any

import pytest

from retraind.config.document import Document, Mark, SyntaxProblem, parse


def read(text: str, environ: dict[str, str] | None = None, directory: Path = Path("/nowhere")) -> Document:
    return parse(text, environ or {}, directory)


def value_of(text: str) -> Any:
    document = read(text)
    assert document.problems == []
    return document.value


def messages(document: Document) -> list[str]:
    return [problem.message for problem in document.problems]


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "y", "n", "On", "NO", "22:00", "1:30:15", "2024-01-31"])
def test_words_and_times_that_yaml_1_1_turns_into_something_else_stay_text(word: str) -> None:
    assert value_of(f"key: {word}") == {"key": word}


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "22:00"])
def test_such_words_stay_text_as_keys_too(word: str) -> None:
    assert value_of(f"{word}: 1") == {word: 1}


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".inf", math.inf),
        ("1_000", "1_000"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
    ],
)
def test_scalars_are_read_by_the_core_schema(written: str, read_as: object) -> None:
    assert value_of(f"key: {written}") == {"key": read_as}


def test_each_key_and_value_knows_its_line_and_column() -> None:
    document = read("models:\n  delays:\n    alerts:\n      - first\n      -   second\n")
    assert document.keys["models", "delays"] == Mark(2, 3)
    assert document.values["models", "delays", "alerts", 1] == Mark(5, 11)
    assert document.mark_of(("models", "delays", "alerts", 1)) == Mark(5, 11)


def test_a_place_that_is_not_in_the_file_stands_where_its_section_begins() -> None:
    document = read("a: 1\nmodels:\n  delays:\n    x: 1\n")
    assert document.mark_of(("models", "delays", "training", "trainer")) == Mark(3, 3)
    assert document.mark_of(("nothing",)) == Mark(1, 1)


def test_a_key_written_twice_is_a_problem_that_names_both_lines() -> None:
    document = read("a: 1\nb:\n  url: x\n  table: t\n  url: y\n")
    assert messages(document) == ["the key 'url' is written twice, on lines 3 and 5; keep one of them"]
    assert document.problems[0].location == ("b", "url")
    assert document.problems[0].mark == Mark(5, 3)


def test_an_alias_repeats_a_section_and_a_merge_takes_one_in_under_what_is_written() -> None:
    text = "base: &base {url: x, table: t}\nsame: *base\nother:\n  <<: *base\n  table: u\n"
    assert value_of(text) == {
        "base": {"url": "x", "table": "t"},
        "same": {"url": "x", "table": "t"},
        "other": {"url": "x", "table": "u"},
    }


def test_a_merge_takes_in_several_sections_the_first_of_them_first() -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\nd: &d {<<: *b, z: 3}\ne: {<<: *d}\n"
    value = value_of(text)
    assert value["c"] == {"x": 1, "y": 2}
    assert value["e"] == {"x": 2, "y": 2, "z": 3}


def test_a_merge_of_something_else_than_a_section_is_a_problem() -> None:
    document = read("a: &a [1]\nb: {<<: *a}\nc: {<<: 5}\n")
    assert messages(document) == ["<< takes in another section; write <<: *NAME of an anchor &NAME"] * 2


def test_keys_of_parameters_keep_their_type_and_others_are_text() -> None:
    text = "1: {2: x}\nparams: {class_weight: {0: 1.0, no: 5.0, null: 3}}\n"
    assert value_of(text) == {"1": {"2": "x"}, "params": {"class_weight": {0: 1.0, "no": 5.0, None: 3}}}


def test_a_number_key_of_parameters_can_be_given_once_only() -> None:
    assert messages(read("params: {w: {0: 1, 0: 2}}")) == [
        "the key 0 is written twice, on lines 1 and 1; keep one of them"
    ]


@pytest.mark.parametrize(
    ("text", "line", "column", "sentence"),
    [
        ("a:\n\tb: 1\n", 2, 1, "a tab stands where YAML wants spaces; indent with spaces only"),
        ("a: b: c\n", 1, 5, "a second colon stands here; put the value in quotes, or mend the indentation"),
        ("a: 1\nb\nc: 2\n", 2, 1, "a key stands without its colon; write KEY: VALUE"),
        ("a:\n    b: 1\n  c: 2\n", 3, 3, "the line fits no section above it; indent it as far as its neighbours"),
        (
            "a: {b: 1\nc: 2\n",
            2,
            2,
            "a bracket opened on line 1 is not closed, or a comma is missing before this",
        ),
        (
            "alerts:\n  - {url: ${SLACK_URL}, on: [failed]}\n",
            2,
            12,
            "a bracket opened on line 2 is not closed, or a comma is missing before this; "
            'inside { } and [ ] a variable needs quotes: "${NAME}"',
        ),
        ("a: 'b\n", 2, 1, "a quoted text opened on line 1 does not end; close the quotes"),
        ("a: *b\n", 1, 4, "the alias has no anchor above it; write &NAME before the section that *NAME repeats"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document begins; write one, without --- lines"),
        ("a: @b\n", 1, 4, "a value cannot begin with this character; put the value in quotes"),
        ("a: %b\n", 1, 4, "a value cannot begin with this character; put the value in quotes"),
        ('a: "\\q"\n', 1, 6, "the escape is unknown; double the backslash, or use single quotes"),
        ("a: b\x07\n", 1, 5, "a character that no text holds stands here; remove it"),
        ("? {a: b}\n: c\n", 1, 3, "a key is one word or text; put quotes around a value that begins with { or ["),
        ("a: &a [*a]\n", 1, 4, "an alias contains itself; write the section out where it is needed"),
        ("[" * 3000, 1, 1, "brackets are nested too deeply; a configuration needs ten levels"),
    ],
)
def test_text_that_is_no_yaml_gets_one_sentence_with_its_place(
    text: str, line: int, column: int, sentence: str
) -> None:
    with pytest.raises(SyntaxProblem) as refused:
        read(text)
    assert (refused.value.mark, str(refused.value)) == (Mark(line, column), sentence)


def test_aliases_of_aliases_cannot_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(SyntaxProblem, match="aliases make more than 100000 values"):
        read("\n".join(lines))


@pytest.mark.timeout(30)
def test_merges_of_merges_and_many_faults_cannot_take_the_day() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 20)]
    with pytest.raises(SyntaxProblem, match="aliases make more than 100000 values"):
        read("\n".join(lines))
    assert len(messages(read(f"key: [{'!x a, ' * 5000}]"))) == 5000


@pytest.mark.parametrize("digits", ["9" * 1001, "0x" + "f" * 5000])
def test_a_whole_number_has_no_more_digits_than_can_be_printed(digits: str) -> None:
    document = read(f"params:\n  C: {digits}\n  ? {digits}\n  : 1\n")
    assert document.value == {"params": {"C": None, None: 1}}
    assert messages(document) == [f"{digits[:40]!r} has more than 1000 digits; mend or quote it"] * 2


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [x]", "!env HOME", "!!binary aGk=", "!!timestamp x"])
def test_a_tag_makes_nothing(tag: str) -> None:
    document = read(f"key: {tag}")
    assert all("has no meaning here; remove it" in message for message in messages(document))
    assert document.value in ({"key": ["x"]}, {"key": "HOME"}, {"key": "aGk="}, {"key": "x"})


def test_a_value_that_is_not_what_its_tag_says_is_a_problem() -> None:
    assert messages(read("key: !!int many")) == ["'many' is not the int that it is marked as; mend or quote it"]


@pytest.mark.parametrize("written", [r'"a\0b"', r'"\ud800"'])
def test_characters_that_no_path_or_message_could_carry_are_refused(written: str) -> None:
    assert messages(read(f"key: {written}")) == [
        "the text holds a character that is none (NUL or half a pair); remove it"
    ]


def test_variables_are_expanded_in_values_and_not_in_keys() -> None:
    document = read("${A}: x${A}y ${A}\nlist: ['${A}', $A, \"${B:-b:c}\"]\n# ${MISSING}\n", {"A": "1"})
    assert document.value == {"${A}": "x1y 1", "list": ["1", "$A", "b:c"]}
    assert document.problems == []


def test_a_default_stands_in_for_a_variable_that_is_unset_or_empty() -> None:
    assert read('a: "${A:-x}"\nb: "${B:-}"\nc: "${C}"', {"A": "", "C": ""}).value == {"a": "x", "b": "", "c": ""}


def test_two_dollars_are_one_and_what_a_variable_holds_is_not_expanded_again() -> None:
    document = read("a: $${A} $$\nb: ${B}\n", {"A": "1", "B": "${A}$$"})
    assert document.value == {"a": "${A} $", "b": "${A}$$"}


def test_a_missing_variable_is_a_problem_at_its_line() -> None:
    document = read("a: 1\nurl: x${SLACK_URL}\n")
    assert messages(document) == [
        "the environment variable SLACK_URL is not set; set SLACK_URL, or SLACK_URL_FILE to a file that holds it, "
        "or write ${SLACK_URL:-default} (a dollar sign meant as such is written $$)"
    ]
    assert (document.problems[0].location, document.problems[0].mark.line) == (("url",), 2)


@pytest.mark.parametrize("written", ["${}", "${A B}", "${1A}", "${A", "${A-b}"])
def test_what_is_no_variable_is_a_problem(written: str) -> None:
    assert messages(read(f"a: '{written}'", {"A": "1"})) == [
        f"{written!r} is not a variable; write ${{NAME}} or ${{NAME:-default}}, or $$ for a plain dollar sign"
    ]


def test_a_missing_variable_in_a_repeated_section_is_told_once() -> None:
    assert len(messages(read("a: &a {url: '${X}'}\nb: *a\nc: {<<: *a}\n"))) == 1


def test_a_secret_comes_from_the_file_that_name_file_names(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("  s3cret\n\n")
    document = read("a: ${PASSWORD}", {"PASSWORD": "other", "PASSWORD_FILE": str(tmp_path / "password")})
    assert document.value == {"a": "s3cret"}
    assert [(location, variable.from_file) for location, variable in document.variables] == [(("a",), True)]


def test_a_relative_secret_file_starts_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    assert read("a: ${PASSWORD}", {"PASSWORD_FILE": "password"}, tmp_path).value == {"a": "s3cret"}


def test_a_secret_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    document = read(
        "a: ${A}\nb: ${B}\nc: ${C}\n", {"A_FILE": "/nowhere/a", "B_FILE": "binary", "C_FILE": "."}, tmp_path
    )
    assert messages(document) == [
        "the file '/nowhere/a' that A_FILE names cannot be read (No such file or directory); "
        "mend its path or its permissions, or unset A_FILE",
        "the file 'binary' that B_FILE names is not UTF-8 text; write the secret as text",
        "the file '.' that C_FILE names cannot be read (Is a directory); "
        "mend its path or its permissions, or unset C_FILE",
    ]
