"""The registry's mark: a short text that changes when an alias or a version of a registered model does.

Asked every half minute by every worker, so that a look at it costs next to nothing: MLflow itself, which
takes seconds and a hundred megabytes to import, is only started where a mark has changed.
"""

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from retraind.errors import RetraindError

ANSWER_SECONDS = 5.0
_SQLITE = "sqlite:///"
_CHANGE_COUNTER = slice(24, 28)  # of a SQLite file's header


def mark(url: str, name: str, aliases: Iterable[str]) -> str | None:
    """The mark of the registered model `name` with those `aliases` at the tracking store `url`. None: it cannot be had
    this cheaply, or does not answer just now."""
    try:
        if url.startswith(_SQLITE):
            return _of_file(Path(url.removeprefix(_SQLITE).partition("?")[0]))
        if url.startswith(("http://", "https://")):
            return _of_server(url, name, aliases)
        return _of_database(url, name)
    except (OSError, ValueError):
        return None


def _of_file(database: Path) -> str:
    """Of a whole SQLite store, whatever changes in it. Times of files tick too coarsely to stand alone."""
    parts = []
    for file in (database, Path(f"{database}-wal")):
        try:
            facts = file.stat()
            with file.open("rb") as opened:
                head = opened.read(_CHANGE_COUNTER.stop)[_CHANGE_COUNTER].hex()
        except FileNotFoundError:
            parts.append("-")
        else:
            parts.append(f"{facts.st_ino}.{facts.st_size}.{facts.st_mtime_ns}.{head}")
    return " ".join(parts)


def _of_server(url: str, name: str, aliases: Iterable[str]) -> str:
    """Of one model: where its aliases point, and its newest version. Raises OSError or ValueError for an answer that is
    not clear."""
    aliased = [_version(_ask(url, "registered-models/alias", {"name": name, "alias": alias})) for alias in aliases]
    query = {"filter": f"name='{name}'", "order_by": "version_number DESC", "max_results": "1"}
    newest = [found["version"] for found in _ask(url, "model-versions/search", query).get("model_versions", [])]
    return json.dumps([aliased, newest])


def _version(answer: dict[str, Any]) -> str | None:
    return str(answer["model_version"]["version"]) if "model_version" in answer else None


def _ask(url: str, what: str, query: dict[str, str]) -> dict[str, Any]:
    """The server's answer; empty where it says that there is no such thing."""
    request = Request(f"{url.rstrip('/')}/api/2.0/mlflow/{what}?{urlencode(query, quote_via=quote)}")  # noqa: S310 - http(s) only
    for header, value in _credentials().items():
        request.add_header(header, value)
    try:
        with urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
    except HTTPError as error:
        with error:
            if error.code == 404 and json.load(error).get("error_code") == "RESOURCE_DOES_NOT_EXIST":
                return {}
        raise
    if not isinstance(found, dict):
        raise ValueError(f"MLflow answers {what} with {type(found).__name__}")  # noqa: TRY004 - of what the server says
    return found


def _credentials() -> dict[str, str]:
    """As MLflow's own client takes them from the environment."""
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _of_database(url: str, name: str) -> str | None:
    """Of one model in PostgreSQL, from the tables that MLflow keeps aliases and versions in. None for any other."""
    from retraind.ledger.engine import open_engine

    try:
        engine = open_engine(url)
    except RetraindError:
        return None
    try:
        with engine.connect() as connection:
            asked = {"name": name}
            aliases = connection.exec_driver_sql(
                "SELECT alias, version FROM registered_model_aliases WHERE name = %(name)s ORDER BY alias", asked
            )
            versions = connection.exec_driver_sql(
                "SELECT count(*), max(version) FROM model_versions WHERE name = %(name)s", asked
            )
            return json.dumps([[list(row) for row in rows] for rows in (aliases.all(), versions.all())])
    except Exception:  # noqa: BLE001 - whatever the driver raises, MLflow itself is asked then
        return None
    finally:
        engine.dispose()
