"""Does Apprise understand every alert's URL? Nothing is sent."""

import logging
from collections.abc import Iterator

from daemon.checks.finding import Finding, ok, problem
from retraind.config.settings import Settings


def check(settings: Settings) -> Iterator[Finding]:
    """Each URL; the message names its scheme only, because the rest is secret."""
    if not settings.alerts:
        return
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its complaint about a URL repeats the URL
    for number, alert in enumerate(settings.alerts):
        what, scheme = f"alerts[{number}].url", alert.url.partition("://")[0]
        if apprise.Apprise().add(alert.url):
            yield ok(what, f"{scheme}:// is understood, for {', '.join(alert.on)}")
        else:
            yield problem(
                what,
                f"Apprise does not understand this {scheme}:// URL",
                "compare it with the service's page in the Apprise documentation",
            )
