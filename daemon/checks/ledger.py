"""Does the ledger open?"""

from collections.abc import Iterator
from pathlib import Path

from daemon.checks.directories import unwritable
from daemon.checks.finding import Finding, either, ok
from retraind.config.settings import Settings
from retraind.ledger import Ledger, trail
from retraind.redaction import redact

_SQLITE = "sqlite:///"


def check(settings: Settings) -> Iterator[Finding]:
    """Opens it. A SQLite ledger that is not there yet is left to whoever will own it. Raises LedgerError."""
    url = settings.ledger_url
    if url.startswith(_SQLITE):
        path = Path(url.removeprefix(_SQLITE).partition("?")[0])
        if not path.exists():
            sentence = f"{path} does not exist yet and is made at the first start"
            yield from either(unwritable("ledger", path.parent), "ledger", sentence)
            return
    ledger = Ledger.open(url)
    try:
        with ledger.read() as connection:
            head = trail.head(connection)
    finally:
        ledger.close()
    yield ok("ledger", f"{redact(url)} answers, with {head} events")
