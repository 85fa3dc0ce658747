"""A system that is ended after the test, whatever happened in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system import System, configuration


@pytest.fixture
def make_system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    made: list[System] = []

    def make(**changes: Any) -> System:
        system = System(tmp_path / "project", configuration(**changes))
        system.write()
        made.append(system)
        return system

    yield make
    for system in made:
        system.kill()
