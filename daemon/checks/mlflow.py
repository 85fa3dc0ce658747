"""Does MLflow answer? Asked without importing MLflow, which takes seconds."""

import base64
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from daemon.checks.directories import unwritable
from daemon.checks.finding import Finding, either, ok, problem, warning
from retraind.config.settings import Settings
from retraind.redaction import redact

ANSWER_SECONDS = 5.0
_SQLITE = "sqlite:///"


def check(settings: Settings) -> Iterator[Finding]:
    """The tracking server or database."""
    url = settings.mlflow_url
    if url.startswith(_SQLITE):
        path = Path(url.removeprefix(_SQLITE).partition("?")[0])
        sentence = f"{path} is writable" if path.exists() else f"{path} is made at the first training"
        yield from either(unwritable("mlflow.url", path.parent), "mlflow.url", sentence)
    elif url.startswith(("http://", "https://")):
        yield _server(url)
    elif url.startswith("postgresql"):
        yield _postgres(url)
    else:
        kind = urlsplit(url).scheme or url
        yield warning("mlflow.url", f"a {kind} store is not tried from here", "see that the workers reach it")


def _server(url: str) -> Finding:
    """GET URL/health, with the credentials that MLflow itself would use."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    base = parts._replace(netloc=host).geturl().rstrip("/")
    request = urllib.request.Request(f"{base}/health", headers=_authorization(url))  # noqa: S310  # http or https, asked above
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            answer.read(100)
    except urllib.error.HTTPError as error:
        if error.code in {401, 403}:
            return problem(
                "mlflow.url",
                f"{redact(url)} refuses us (HTTP {error.code})",
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, for the workers",
            )
        return warning(
            "mlflow.url",
            f"{redact(url)} answers {error.code} to /health",
            "see that it is an MLflow server and not a proxy before it",
        )
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return problem("mlflow.url", f"{redact(url)} does not answer: {reason}", "start it, or correct mlflow.url")
    return ok("mlflow.url", f"{redact(url)} answers")


def _authorization(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    user = unquote(parts.username or "") or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = unquote(parts.password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    if user:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _postgres(url: str) -> Finding:
    import psycopg

    plain = "postgresql://" + url.partition("://")[2]
    try:
        psycopg.connect(plain, connect_timeout=int(ANSWER_SECONDS)).close()
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        return problem("mlflow.url", f"{redact(url)} does not answer: {said}", "start it, or correct mlflow.url")
    return ok("mlflow.url", f"{redact(url)} answers")
