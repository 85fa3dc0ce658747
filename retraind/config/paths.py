"""Types for settings that name a file or a database: absolute after loading, wherever the process runs.

Relative ones start in the directory of the configuration file, which `retraind.config.loading`
hands over as the validation context `{"directory": Path}`. Without that context they stay as written.
"""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo

_SQLITE = "sqlite:///"
POSTGRES = ("postgresql+psycopg://", "postgresql://")


def absolute(path: str, directory: Path | None) -> str:
    """`path`, with a leading ~ replaced, made to start in `directory` if it is relative. A glob stays one.

    Raises ValueError for an empty path. None for `directory` leaves the path as it is.
    """
    if not path.strip():
        raise ValueError("the path is empty; write one, as data/latest.csv")
    if directory is None:
        return path
    try:
        return str(directory / Path(path).expanduser())
    except RuntimeError:
        raise ValueError(f"the home directory that {path!r} begins with is not known; write the whole path") from None


def _directory(info: ValidationInfo) -> Path | None:
    return info.context.get("directory") if isinstance(info.context, dict) else None


def _file_path(value: Path, info: ValidationInfo) -> Path:
    return Path(absolute(str(value), _directory(info)))


def _file_text(value: str, info: ValidationInfo) -> str:
    return absolute(value, _directory(info))


def _interpreter(value: str, info: ValidationInfo) -> str:
    """A bare name is looked up on the PATH; anything with a slash is a path."""
    return absolute(value, _directory(info)) if "/" in value or not value else value


def _function(value: str, info: ValidationInfo) -> str:
    """`module:function` as it is; the file of `path/to/file.py:function` absolute."""
    where, colon, name = value.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise ValueError(f"{value!r} names no function; write module:function or path/to/file.py:function")
    if where.endswith(".py"):
        return f"{absolute(where, _directory(info))}:{name}"
    if not all(part.isidentifier() for part in where.split(".")):
        raise ValueError(
            f"{where!r} is neither a module nor a file that ends in .py; write module:function or file.py:function"
        )
    return value


def _sqlite(url: str, directory: Path | None) -> str:
    path, question, query = url.removeprefix(_SQLITE).partition("?")
    if path in {"", ":memory:"} or path.startswith("file:"):
        raise ValueError(f"{url!r} names no file that several processes could share; write sqlite:///PATH")
    return f"{_SQLITE}{absolute(path, directory)}{question}{query}"


def _checked(url: str) -> str:
    """`url`, if its host and port can be read. Raises ValueError otherwise, without saying the password."""
    try:
        parts = urlsplit(url)
        readable = parts.port is None or bool(parts.hostname)
    except ValueError:
        readable = False
    if not readable:
        raise ValueError(
            "the host and port in this URL cannot be read; write SCHEME://USER:PASSWORD@HOST:PORT/NAME, "
            "with / : @ and % of a password written %2F %3A %40 and %25"
        )
    return url


def _scheme(url: str) -> str:
    return f"{url.split('://', 1)[0]}://" if "://" in url else url


def _database(url: str, info: ValidationInfo) -> str:
    if url.startswith(_SQLITE):
        return _sqlite(url, _directory(info))
    if url.startswith(POSTGRES):
        return _checked(url)
    raise ValueError(
        f"{_scheme(url)!r} is not a database that retraind opens; "
        "write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    )


def _tracking(url: str, info: ValidationInfo) -> str:
    if url.startswith(_SQLITE):
        return _sqlite(url, _directory(info))
    if url.startswith(("http://", "https://", "databricks", "mysql", "mssql", *POSTGRES)):
        return _checked(url)
    raise ValueError(f"{_scheme(url)!r} is not a tracking store MLflow keeps; write http://HOST:PORT or sqlite:///PATH")


def _broker(url: str) -> str:
    if url == "embedded" or url.startswith("redis+socket:///"):
        return url
    if url.startswith(("redis://", "rediss://", "sentinel://")):
        return _checked(url)
    raise ValueError(
        f"{_scheme(url)!r} is not a broker that retraind speaks to; write embedded, or redis://HOST:PORT/NUMBER"
    )


FilePath = Annotated[Path, AfterValidator(_file_path)]
FileText = Annotated[str, AfterValidator(_file_text)]
Interpreter = Annotated[str, AfterValidator(_interpreter)]
FunctionName = Annotated[str, AfterValidator(_function)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
TrackingUrl = Annotated[str, AfterValidator(_tracking)]
BrokerUrl = Annotated[str, AfterValidator(_broker)]


def with_absolute_paths(value: Any, directory: Path | None) -> Any:
    """`value` (a trigger's settings as written) with every text under a key `path` or `file` made absolute."""
    if isinstance(value, dict):
        return {
            key: absolute(inner, directory)
            if key in {"path", "file"} and isinstance(inner, str) and inner.strip()
            else with_absolute_paths(inner, directory)
            for key, inner in value.items()
        }
    return value
