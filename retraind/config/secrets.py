"""Which of the values that came from the environment are secrets, never to be printed.

Called by `retraind.config.loading`. What a secret's file held always is one. A variable is one by its
name, or by the setting it went into: addresses, commands and parameters. The name of a table or a
number of rows stays readable, and so does a database's address but for its password.
"""

import re
from collections.abc import Iterable, Iterator

from retraind.config.document import Location
from retraind.config.environment import Variable
from retraind.redaction import passwords_in

_SECRET_NAME = re.compile(r"PASS|PWD|SECRET|TOKEN|KEY|CRED|AUTH|WEBHOOK|PRIVATE", re.IGNORECASE)
_SECRET_SETTINGS = frozenset({"url", "ledger", "broker", "command", "predict", "params"})
_READABLE = re.compile(
    r"(?:[~.]{0,2}/|sqlite:)\S*"  # a path
    r"|[-+\d.eE]+(?:ms|[smhdw]|[KMGT]?i?B)?"  # a number or a quantity
    r"|[a-z_]{1,12}|true|false"  # a plain word
    r"|[a-z][\w.-]*(?::\d+)?"  # a host
)
_SERVER = re.compile(r"(?:postgresql|mysql|mssql|redis|rediss|sentinel)[+\w]*://")


def secret_values(variables: Iterable[tuple[Location, Variable]]) -> tuple[str, ...]:
    """The texts to hide, each once."""
    return tuple(dict.fromkeys(text for location, variable in variables for text in _secrets_of(location, variable)))


def _secrets_of(location: Location, variable: Variable) -> Iterator[str]:
    value = variable.value
    if not value:
        return
    if _SERVER.match(value):
        yield from passwords_in(value)
        return
    named_so = variable.from_file or _SECRET_NAME.search(variable.name)
    if named_so or (_SECRET_SETTINGS.intersection(location) and not _READABLE.fullmatch(value)):
        yield value
