"""What `retraind audit verify` proved, as plain data."""

from dataclasses import dataclass
from pathlib import Path

from retraind.audit import verify
from retraind.ledger import Ledger


@dataclass(frozen=True)
class ProofReport:
    """`holds` is True when nothing was changed, cut, doubled or left out. `notes` are unusual and allowed.

    `proved_from` is the first event that is proved; `anchor_seq` the newest that was pruned from the ledger.
    """

    holds: bool
    path: str
    lines: int
    segments: list[str]
    first_seq: int | None
    last_seq: int
    ledger_seq: int
    anchor_seq: int
    proved_from: int | None
    problems: list[str]
    notes: list[str]


def proof(path: Path, ledger: Ledger) -> ProofReport:
    """Walks the log at `path` and the ledger's chain."""
    found = verify(path, ledger)
    return ProofReport(
        holds=found.holds,
        path=str(path),
        lines=found.lines,
        segments=found.segments,
        first_seq=found.first_seq,
        last_seq=found.last_seq,
        ledger_seq=found.ledger_seq,
        anchor_seq=found.anchor_seq,
        proved_from=found.proved_from,
        problems=found.problems,
        notes=found.notes,
    )
