"""What came of a person's request, as plain data: the `--json` answers of the verbs that act."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RequestReport:
    """`retraind trigger`. `requested` is False when the model had an open job, which `job` then names.

    `announced` is False while the broker does not answer; the daemon announces the job later.
    `state` is the job's, at the end of the wait where one was asked for.
    """

    model: str
    job: str
    requested: bool
    announced: bool
    state: str


@dataclass(frozen=True)
class DecisionReport:
    """`retraind approve`, `reject` and `cancel`. `changed` is False when it had been decided so before.

    `ended` is False while a worker still has to carry it out.
    """

    job: str
    model: str
    state: str
    changed: bool
    ended: bool
    announced: bool


@dataclass(frozen=True)
class RollbackReport:
    """`retraind rollback`. `shown` tells whether every target shows `to_version` already; None: nobody waited."""

    model: str
    from_version: str
    to_version: str
    announced: bool
    shown: bool | None


@dataclass(frozen=True)
class PausedReport:
    """`retraind pause` and `resume`. `changed` is False when it stood so before."""

    model: str
    paused: bool
    changed: bool


@dataclass(frozen=True)
class ClearedReport:
    """`retraind clear`. `incidents` are those that hold the model no more; `changed` is False where none did."""

    model: str
    incidents: list[str]
    changed: bool


@dataclass(frozen=True)
class CopyReport:
    """`retraind ledger copy`. `rows` counts those of every table."""

    url: str
    jobs: int
    events: int
    rows: int
