"""How far a replay is, on standard error: a bar on a terminal, elsewhere a line for each policy."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from daemon.cli.output import tell_aside


class Progress:
    """Told by `daemon.backtest`."""

    @contextmanager
    def policy(self, name: str) -> Iterator[Callable[[datetime], None]]:
        """Entered while a policy is replayed; what it gives is told the instant that it has come to."""
        if not sys.stderr.isatty():
            tell_aside(f"replaying {name} ...")
            yield lambda _now: None
            return
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status(f"replaying {escape(name)} ...") as status:
            yield lambda now: status.update(f"replaying {escape(name)}: {now:%Y-%m-%d}")
