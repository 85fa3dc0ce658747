"""A ledger on either database, with a clock that moves only when told."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clocks import SetClock
from templates import empty_ledger

from retraind.ledger import Ledger


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def ledger(ledger_url: str, tmp_path: Path, clock: SetClock) -> Iterator[Ledger]:
    if ledger_url.startswith("sqlite"):
        empty_ledger(tmp_path / "ledger.db")
    opened = Ledger.open(ledger_url, clock)
    yield opened
    opened.close()
