"""docs/commands.md names every command and option, docs/json.md every field of every `--json` answer."""

import dataclasses
import re
import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from typer.main import get_command

from daemon.backtest import report as replayed
from daemon.checks import finding
from daemon.cli.app import app
from daemon.reports import actions, jobs, proof, status, verdicts
from daemon.reports import looks as looks_told
from retraind.ledger import looks
from triggers.verdict import Outcome, Verdict

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = (DOCS / "commands.md").read_text()
JSON = (DOCS / "json.md").read_text()
EVERYWHERE = {"--config", "-c", "--debug", "--help", "-h", "--json"}


def verbs() -> Iterator[tuple[str, Any]]:
    for name, command in get_command(app).commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section '## {title}'"
    return found[1]


def reports() -> Iterator[tuple[str, type]]:
    for module in (status, jobs, looks_told, verdicts, actions, proof, finding, replayed):
        for name, kind in vars(module).items():
            if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__:
                yield name.removesuffix("Report"), kind


def written(kind: Any) -> str:
    """A type as docs/json.md writes it."""
    if isinstance(kind, types.UnionType):
        return " or ".join(map(written, get_args(kind)))
    if get_origin(kind) is list:
        return f"list of {written(get_args(kind)[0])}"
    if get_origin(kind) is Mapping:
        return "object"
    if dataclasses.is_dataclass(kind):
        return kind.__name__.removesuffix("Report")
    if issubclass(kind, str):
        return "text"
    return {type(None): "null", int: "integer", float: "number", bool: "boolean", datetime: "time"}[kind]


@pytest.mark.parametrize(("name", "command"), list(verbs()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_and_each_of_its_options_is_documented(name, command):
    told = section(COMMANDS, name)
    assert f"    retraind {name}" in told
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    for option in options - EVERYWHERE:
        assert f"`{option}" in told, f"{name} {option}"
    if "--json" in options:
        assert "--json" in told
    usage = told.strip().splitlines()[0]
    for parameter in command.params:
        if not parameter.opts[0].startswith("-"):
            assert parameter.metavar in usage


def test_no_option_is_documented_that_does_not_exist():
    known = {option for _, command in verbs() for parameter in command.params for option in parameter.opts}
    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", COMMANDS))
    assert documented <= known | {"--help", "--version"}


def test_the_options_of_the_command_itself_are_documented():
    for option in (*EVERYWHERE, "--version"):
        assert f"`{option}" in COMMANDS or option == "--json"
    for code in ("| 0 |", "| 1 |", "| 2 |", "| 130 |"):
        assert code in COMMANDS


def test_every_command_is_listed_at_the_top():
    for name, _ in verbs():
        assert f"[{name}](#{name.replace(' ', '-')})" in COMMANDS


@pytest.mark.parametrize(("name", "kind"), list(reports()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_field_of_every_answer_is_documented_with_its_type(name, kind):
    hints = get_type_hints(kind)
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (\S[^|]*) \|$", section(JSON, name), re.MULTILINE)
    documented = [(field, kind) for field, kind, _ in rows]
    assert documented == [(field.name, written(hints[field.name])) for field in dataclasses.fields(kind)]


def test_no_answer_is_documented_that_does_not_exist():
    assert set(re.findall(r"^## (\w+)$", JSON, re.MULTILINE)) == {name for name, _ in reports()}


def test_every_command_with_json_says_which_answer_it_gives():
    for name, command in verbs():
        if any("--json" in parameter.opts for parameter in command.params):
            assert f"`{name}`" in JSON


def fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is what the documented type says."""
    if isinstance(kind, types.UnionType):
        return any(fits(value, each) for each in get_args(kind))
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(item, get_args(kind)[0]) for item in value)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return (
            isinstance(value, dict)
            and list(value) == list(hints)
            and all(fits(value[name], hints[name]) for name in hints)
        )
    return fits_plainly(value, dict if get_origin(kind) is Mapping else kind)


def fits_plainly(value: Any, kind: type) -> bool:
    if kind is datetime:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(value)))
    if kind in {int, float}:
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, str if issubclass(kind, str) else kind)


def test_real_answers_are_what_the_contract_says(project):
    with project.ledger.write("daemon") as transaction:
        verdict = Verdict(Outcome.FIRED, "Rows came.", {"rows": 50, "share": float("nan")})
        looks.keep(transaction, "delays", "volume", verdict, "because", None)
        looks.save(transaction, "delays", "volume", {"last_look_at": transaction.now, "outcome": "fired"})
        measured = {"metric": "accuracy", "value": 0.8, "low": 0.7, "high": 0.9, "bar": 0.85}
        looks.keep(transaction, "delays", "decay", Verdict(Outcome.QUIET, "0.8.", measured), "because", None)
    project.closed("failed")
    done = project.deployed()
    project.deployed()
    waiting = project.awaiting("fraud")
    answers = [
        (["status"], status.StatusReport),
        (["jobs"], list[jobs.JobReport]),
        (["show", done], jobs.JobInFullReport),
        (["show", waiting], jobs.JobInFullReport),
        (["looks", "delays"], list[looks_told.LookReport]),
        (["report", "delays", "decay"], list[looks_told.PictureReport]),
        (["evaluate", "delays"], list[verdicts.VerdictReport]),
        (["check"], finding.CheckReport),
        (["audit", "verify"], proof.ProofReport),
        (["trigger", "delays"], actions.RequestReport),
        (["reject", waiting, "--reason", "no"], actions.DecisionReport),
        (["cancel", project.job("gone")], actions.DecisionReport),
        (["pause", "delays"], actions.PausedReport),
        (["resume", "delays"], actions.PausedReport),
        (["clear", "delays"], actions.ClearedReport),
        (["rollback", "delays"], actions.RollbackReport),
        (["ledger", "copy", f"sqlite:///{project.folder}/copy.db"], actions.CopyReport),
    ]
    for call, kind in answers:
        answer = project(*call, "--json")
        assert fits(answer.json, kind), (call, answer.out)
