"""Does the broker answer, and does it keep what it is given?"""

from collections.abc import Iterator

from daemon.checks.finding import Finding, Level, either, ok, split
from retraind.broker import EMBEDDED, broker_url, probe
from retraind.config.settings import Settings
from retraind.errors import BrokerUnreachable
from retraind.queue import queues
from retraind.redaction import redact


def check(settings: Settings) -> Iterator[Finding]:
    """Asks it. An embedded broker that does not run is no problem: `retraind up` starts it."""
    url = broker_url(settings)
    try:
        found = probe(url, queues(settings))
    except BrokerUnreachable as error:
        if settings.broker == EMBEDDED:
            yield ok("broker", "embedded; it does not run now: `retraind up` starts it, and stops it at its end")
        else:
            yield split("broker", Level.PROBLEM, str(error))
        return
    sentences = (split("broker", Level.WARNING, sentence) for sentence in found)
    yield from either(sentences, "broker", f"{redact(url)} answers")
