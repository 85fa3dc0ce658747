"""What must never be printed, taken out of whatever is about to be: logs, errors, audit events, `--json`.

Passwords in URLs and in `password=` settings go whoever wrote them. With the settings at hand, every
secret that the configuration took from the environment or wrote into a URL goes too.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote, unquote

HIDDEN = "***"

# An error that says USER:PASSWORD@HOST explains how a URL is written, and stays as it is.
_URL_PASSWORD = re.compile(r"(?P<start>\b[A-Za-z][A-Za-z0-9+.-]{0,40}://[^\s:/@'\"]*:)(?!PASSWORD@)[^\s/'\"]*(?=@)")
_NAMED = re.compile(
    r"(?P<start>\b(?:[a-z_]*password|passwd|pwd|[a-z_]*token|[a-z_]*secret|api_?key|access_?key)=)[^\s&;,'\"]+",
    re.IGNORECASE,
)


class KeepsSecrets(Protocol):
    """Anything that knows its secrets: `retraind.config.settings.Settings` does."""

    @property
    def secrets(self) -> tuple[str, ...]: ...


def redact(text: str, settings: KeepsSecrets | None = None) -> str:
    """`text` with `***` for every password and every secret of `settings`. None: only what looks like a password."""
    return redact_values(text, settings.secrets if settings is not None else ())


def redact_values(text: str, secrets: Iterable[str]) -> str:
    """`text` with `***` for every password and each of `secrets`, also where it is percent-encoded or quoted."""
    return _redacted(text, _pattern(tuple(secrets)))


def redact_data(value: Any, settings: KeepsSecrets | None = None) -> Any:
    """A copy of `value` (what JSON can hold) with every text in it redacted, keys included."""
    return _redacted_data(value, _pattern(settings.secrets if settings is not None else ()))


def _redacted(text: str, pattern: re.Pattern[str] | None) -> str:
    if pattern is not None:
        text = pattern.sub(HIDDEN, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\g<start>{HIDDEN}", text)
    return _NAMED.sub(rf"\g<start>{HIDDEN}", text) if "=" in text else text


def _redacted_data(value: Any, pattern: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return _redacted(value, pattern)
    if isinstance(value, (dict, Mapping)):  # a dict is told at once, a Mapping is asked for
        return {_redacted_data(key, pattern): _redacted_data(inner, pattern) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted_data(inner, pattern) for inner in value]
    return value


def passwords_in(url: str) -> tuple[str, ...]:
    """The password of `url` as it is written and as it is sent; empty where it has none."""
    scheme, mark, rest = url.partition("://")
    credentials, at, _ = rest.rpartition("@")
    password = credentials.partition(":")[2]
    if not (scheme and mark and at and password):
        return ()
    return tuple(dict.fromkeys((password, unquote(password))))


@lru_cache(maxsize=16)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Matches any of `secrets`, the longest first. A short one counts as a whole word, or `a` would hide each a."""
    written = {
        form
        for secret in secrets
        if secret.strip()
        for form in (secret, quote(secret, safe="", errors="replace"), repr(secret)[1:-1])
    }
    if not written:
        return None
    parts = (
        re.escape(form) if len(form) >= 6 else rf"(?<!\w){re.escape(form)}(?!\w)"
        for form in sorted(written, key=len, reverse=True)
    )
    return re.compile("|".join(parts))
