"""`python -m daemon.serving FILE run` (or `worker`): what `retraind up` keeps running.

The very work of the verbs `retraind run` and `retraind worker`, in a process that holds nothing of the command line:
5 MiB less in each, for as long as they run.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

from retraind import lean  # noqa: F401  # before whatever imports structlog

# isort: split

from retraind.config.loading import load
from retraind.errors import ConfigurationError, RetraindError
from retraind.privacy import keep_private
from retraind.redaction import redact


def main() -> int:
    """Runs until it is asked to end. Exits as the command does: 0 done, 1 failed, 2 the configuration is wrong."""
    configuration, verb = sys.argv[1:]
    settings = None
    try:
        keep_private()
        settings = load(Path(configuration), os.environ)
        # The floors keep daemon and workers apart: a worker is started by name alone.
        service = import_module("daemon.service" if verb == "run" else "workers.service")
        return int(service.run(settings))
    except Exception as error:  # noqa: BLE001  # the boundary: a sentence without secrets, and an end
        surprise = (
            "" if isinstance(error, RetraindError) else f"this should not have happened: {type(error).__name__}: "
        )
        sys.stderr.write(redact(f"retraind: {surprise}{error}\n", settings))
        return 2 if isinstance(error, ConfigurationError) else 1


if __name__ == "__main__":
    sys.exit(main())
