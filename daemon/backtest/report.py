"""What a backtest and a tuning tell, as `--json` has it (docs/json.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class AlarmReport:
    """A trigger's firing: the first look of several in a row that fired."""

    policy: str
    trigger: str
    at: datetime
    sentence: str
    decision: str
    retrained: bool
    followed: bool | None


@dataclass(frozen=True)
class TriggerReplayReport:
    """All of one trigger's looks under one policy."""

    policy: str
    trigger: str
    type: str
    looks: int
    alarms: int
    alarms_per_month: float
    followed: int | None
    false: int | None
    insufficient: int
    errors: int


@dataclass(frozen=True)
class LossReport:
    """A time in which performance was past the bar. `alarms` names the triggers that fired about it."""

    policy: str
    start: datetime
    end: datetime
    worst: float
    alarms: list[str]
    missed: bool


@dataclass(frozen=True)
class PeriodReport:
    """The metric on the rows of one span, with its 99 % interval."""

    start: datetime
    end: datetime
    rows: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RehearsedJobReport:
    """One retraining of a replay."""

    at: datetime
    triggers: list[str]
    outcome: str
    because: str | None
    rows: int
    seconds: float


@dataclass(frozen=True)
class PolicyReport:
    """What one policy came to, first version aside. `gain` is what it gained over `never`, as a share of weekly's."""

    name: str
    retrainings: int
    deployed: int
    seconds: float
    value: float | None
    low: float | None
    high: float | None
    gain: float | None
    jobs: list[RehearsedJobReport]
    periods: list[PeriodReport]


@dataclass(frozen=True)
class BacktestReport:
    """The answer of `retraind backtest`."""

    model: str
    store: str
    since: datetime
    until: datetime
    rows: int
    labelled: int
    trained: bool
    metric: str
    bar: float | None
    bar_because: str
    notes: list[str]
    policies: list[PolicyReport]
    triggers: list[TriggerReplayReport]
    alarms: list[AlarmReport]
    losses: list[LossReport]
    seconds: float


@dataclass(frozen=True)
class CandidateReport:
    """One setting that was tried for a trigger."""

    trigger: str
    settings: Mapping[str, Any]
    alarms: int
    false: int | None
    found: int | None
    missed: int | None
    within_budget: bool
    chosen: bool


@dataclass(frozen=True)
class TuningReport:
    """The answer of `retraind tune`."""

    model: str
    since: datetime
    until: datetime
    metric: str
    bar: float | None
    bar_because: str
    notes: list[str]
    candidates: list[CandidateReport]
    snippet: str | None
