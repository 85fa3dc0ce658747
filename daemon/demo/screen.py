"""Shows the story: on a terminal with a bar for the year that passes, elsewhere as plain lines."""

import sys
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from daemon.cli import output
from daemon.demo.pace import PLAY_BEGINS, YEAR_ENDS
from daemon.demo.story import Line, Tone

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STYLES = {
    Tone.FIRED: "yellow",
    Tone.JOB: "bold",
    Tone.STEP: "",
    Tone.GOOD: "green",
    Tone.BAD: "red",
    Tone.ASIDE: "dim",
}


class Screen(AbstractContextManager["Screen"]):
    """Entered while the year passes. Lines go above the bar; outside of it, `say` writes plain lines."""

    def __init__(self) -> None:
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> "Screen":
        if output.on_terminal():
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.fields[date]}"), BarColumn(30), TextColumn("{task.fields[note]}", style="dim"))
            bar = Progress(*columns, transient=True)
            whole = (YEAR_ENDS - PLAY_BEGINS).total_seconds()
            self._bar = bar, bar.add_task("", total=whole, date=f"{PLAY_BEGINS:%Y-%m-%d}", note="")
            bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def tell(self, line: Line) -> None:
        """One line of the story."""
        if self._bar is None:
            self.say(str(line))
            return
        from rich.text import Text

        text = Text.assemble((line.date, "dim"), "  ", (line.text, _STYLES[line.tone]))
        self._bar[0].console.print(text, highlight=False, soft_wrap=False)

    def say(self, text: str = "") -> None:
        """A line that is not dated."""
        output.say(text)
        sys.stdout.flush()

    def passed(self, date: datetime, note: str) -> None:
        """Moves the bar to the instant of 2013, with what stands at the moment."""
        if self._bar is not None:
            bar, task = self._bar
            done = min(date, YEAR_ENDS)
            bar.update(task, completed=(done - PLAY_BEGINS).total_seconds(), date=f"{done:%Y-%m-%d}", note=note)
