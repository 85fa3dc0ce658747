"""Can the predictions store be read, with the table and the columns that the configuration names?"""

from collections.abc import Iterator

from daemon.checks.finding import Finding, Level, ok, split, warning
from retraind.config.settings import Model
from retraind.store import open_store
from retraind.telling import instant
from triggers.evidence import Window


def check(what: str, model: Model) -> Iterator[Finding]:
    """What the store says of itself, and how much there is in it. Raises StoreError."""
    with open_store(model.predictions) as store:
        found = store.probe()
        for said in found:
            yield split(what, Level.PROBLEM if said.fatal else Level.WARNING, said.sentence)
        if any(said.fatal for said in found):
            return
        span = store.span()
        if span is None:
            yield warning(what, f"{store.name} has no rows yet", "see that predictions are written to it")
            return
        counts = store.counts(Window(None, None))
        yield ok(
            what,
            f"{store.name}: {counts.rows:,} rows, {counts.labelled:,} with an actual, "
            f"from {instant(span[0])} to {instant(span[1])}",
        )
