"""Keeps this process from forking while a transaction is open in any of its threads.

A child inherits what SQLite notes of the locks that its process holds, and none of the connections that would
ever release them: to it the database is locked for good (https://sqlite.org/howtocorrupt.html, 2.6). Only
whoever forks without exec is concerned, as a worker's pool does.
"""

import os
import threading

LONGEST_SECONDS = 5.0  # that a fork waits; a transaction that takes longer waits for a lock itself, and holds none


class Unforked:
    """A context in which no other thread forks. A fork by the thread that is inside waits in vain, and goes on."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(before=self._wait, after_in_parent=self._release, after_in_child=self._reset)

    def __enter__(self) -> None:
        with self._changed:
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def _wait(self) -> None:
        """Takes the condition until after the fork: nobody enters in between."""
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._inside, LONGEST_SECONDS)

    def _release(self) -> None:
        self._changed.release()

    def _reset(self) -> None:
        self._changed, self._inside = threading.Condition(), 0


unforked = Unforked()
