"""One receiver of alerts, behind its Apprise URL. The one user of Apprise.

The URL is a secret all through (tokens stand anywhere in it), so nothing that leaves here names more of
it than its scheme.
"""

import logging
import re
from typing import Any

from retraind import faults
from retraind.alerts import Message, receiver_name
from retraind.errors import AlertUndelivered, ConfigurationError
from retraind.redaction import redact_values

_SECRET_PARTS = re.compile(r"[^/?&=@:+,;#]{3,}")


class Receiver:
    """Opened once; used by one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._service: Any = None
        self.name = receiver_name(url)

    def open(self) -> None:
        """Raises ConfigurationError for a URL that Apprise does not understand."""
        if self._service is None:
            self._service = _open(self._url)
        if self._service is None:
            raise ConfigurationError(
                f"alerts: the URL {self.name} is not one that Apprise understands; "
                "write it as https://appriseit.com/services/ has it, one URL per receiver"
            )

    def send(self, message: Message) -> None:
        """Hands over one message, within the service's own timeouts (4 s to connect and to answer, unless the URL
        sets `cto` and `rto`).

        Raises AlertUndelivered when it is refused or not answered, ConfigurationError as `open`.
        """
        self.open()
        with faults.around("alert"):
            result = self._service.notify(title=message.title, body=message.body, notify_type=str(message.tone))
        if not result:
            said = "; ".join(entry.message.strip().rstrip(".") for entry in result.logs())
            raise AlertUndelivered(
                f"the alert receiver {self.name} did not take a message: {self.redacted(said) or 'it gave no reason'}"
            )

    def redacted(self, text: str) -> str:
        """`text` without any part of the URL."""
        return redact_values(text, _SECRET_PARTS.findall(self._url.partition("://")[2]))


def _open(url: str) -> Any:
    """None for a URL that Apprise does not understand."""
    import apprise  # a sixth of a second, and only who has alerts needs it

    # What it has to say is taken from its results, where secrets can be removed from it.
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    # Without a time limit of its own it calls in our thread. With one it would use a pool that all receivers
    # share, and a few dead ones would hold up the others.
    asset = apprise.AppriseAsset(
        app_id="retraind",
        app_desc="keeps production models fresh",
        service_timeout=0,
        storage_mode="memory",
        allow_templates=False,
    )
    services = apprise.Apprise(asset=asset)
    return services if services.add(url) and len(services) == 1 else None
