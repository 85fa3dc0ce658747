"""Reads the configuration file, once, at the start of every process, and refuses all that is wrong with it at once."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from retraind.config.document import Document, Location, Problem, SyntaxProblem, parse
from retraind.config.outline import locate
from retraind.config.secrets import secret_values
from retraind.config.sentences import sentence_for, shown
from retraind.config.settings import Settings
from retraind.errors import ConfigurationError
from retraind.redaction import redact_values

DEFAULT_NAME = "retraind.yaml"
VARIABLE = "RETRAIND_CONFIG"


def find_configuration(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The file to load: `option` (`--config`), else what RETRAIND_CONFIG names, else `./retraind.yaml`; absolute."""
    return (option or Path(environ.get(VARIABLE) or DEFAULT_NAME)).absolute()


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings in `path`, validated, with `${NAME}` expanded from `environ` and every path absolute.

    Raises ConfigurationError with one line for each problem: `FILE:LINE: KEY.KEY: what was expected`.
    """
    source = path.absolute()
    text = _read(source)
    try:
        document = parse(text, environ, source.parent)
    except SyntaxProblem as problem:
        raise ConfigurationError(f"{path}:{problem.mark.line}:{problem.mark.column}: {problem}") from None
    secrets = secret_values(document.variables)
    problems = list(document.problems)
    settings = None
    if isinstance(document.value, dict):
        try:
            settings = Settings.model_validate(document.value, context={"directory": source.parent})
        except ValidationError as error:
            problems += _translated(error.errors(include_url=False), document, secrets)
    else:
        problems.append(_no_mapping(document))
    if problems or settings is None:
        lines = [_line(path, problem) for problem in sorted(problems, key=lambda problem: problem.mark.line)]
        raise ConfigurationError(redact_values("\n".join(dict.fromkeys(lines)), secrets))
    settings._source_path, settings._expanded = source, secrets
    return settings


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no configuration file {path}; write one with `retraind init`, "
            f"or name yours with --config or {VARIABLE}"
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a directory; name the file in it, as {path / DEFAULT_NAME}") from None
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {path} cannot be read ({error.strerror}); mend its path or its permissions"
        ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}:{line}: the file is not UTF-8 text from here on; save it as UTF-8") from None


def _no_mapping(document: Document) -> Problem:
    found = "the file is empty" if document.value is None else f"{shown(document.value)} stands at the top of the file"
    return Problem((), document.mark_of(()), f"{found}; begin with models:, or write a first file with `retraind init`")


def _translated(errors: list[ErrorDetails], document: Document, secrets: tuple[str, ...]) -> list[Problem]:
    """Each of pydantic's errors at its place in the file; none where the value itself could not be read."""
    told = {problem.location for problem in document.problems}
    problems = []
    for error in errors:
        spot = locate(error["loc"], document.value, Settings)
        if spot.location in told or _is_an_echo(error):
            continue
        if error["loc"] != spot.location:
            told.add(spot.location)  # a union that nothing tells apart is refused once for each of its members
        if isinstance(error["input"], str):  # before a sentence cuts it short, and with it the secret
            error["input"] = redact_values(error["input"], secrets)
        around = locate(error["loc"][:-1], document.value, Settings)
        sentence = sentence_for(error, spot, around)
        problems.append(Problem(spot.location, document.mark_of(spot.location), sentence))
    return problems


def _is_an_echo(error: ErrorDetails) -> bool:
    """Whether a list counts as too short only because its entries, which are refused themselves, do not count."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _line(path: Path, problem: Problem) -> str:
    place = _dotted(problem.location)
    where = f"{path}:{problem.mark.line}: "
    return f"{where}{place}: {problem.message}" if place else f"{where}{problem.message}"


def _dotted(location: Location) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{_in_one_line(step)}"
    return text.removeprefix(".")


def _in_one_line(key: str) -> str:
    return key if key.isprintable() else repr(key)[1:-1]
