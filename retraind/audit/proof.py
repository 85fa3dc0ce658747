"""The ledger's side of a proof: the hash of each of its events, and the anchor below which it has none any more."""

from sqlalchemy import select

from retraind.ledger import Ledger, tables
from retraind.ledger.chain import digest, record_of

_PRUNED = "retention.pruned"


class LedgerChain:
    """Walks the ledger's chain once, from its anchor on, and can be asked to go on when more events have come."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.problems: list[str] = []
        self.hashes: dict[int, str] = {}
        self.head = self.anchor = 0
        self._last: tuple[int, str] | None = None
        self._told_pruned = 0
        self.read_on()
        if self.anchor:
            self.hashes[self.anchor] = self.anchor_hash
        if self.anchor and self._told_pruned != self.anchor:
            self._blame(f"its events up to {self.anchor} are gone, and none tells that they were pruned")

    def read_on(self) -> None:
        """Takes in the events committed since."""
        with self.ledger.read() as connection:
            chain = connection.execute(select(tables.chain)).one()
            if self._last is None:
                self.anchor, self.anchor_hash = chain.pruned_seq, chain.pruned_hash
                self._last = self.anchor, self.anchor_hash
            self.head = chain.seq
            query = select(tables.events).where(tables.events.c.seq > self._last[0], tables.events.c.seq <= chain.seq)
            rows = connection.execution_options(yield_per=1000).execute(query.order_by(tables.events.c.seq))
            for row in rows:
                self._check(dict(row._mapping))
        if (chain.seq, chain.hash) != self._last:
            self._blame(f"its head says event {chain.seq}, its last event is {self._last[0]}")

    def moved(self) -> bool:
        """True when events were pruned since the walk began, so that it may have missed some."""
        with self.ledger.read() as connection:
            return bool(connection.execute(select(tables.chain.c.pruned_seq)).scalar_one() != self.anchor)

    def _check(self, event: dict[str, object]) -> None:
        last, prev = self._last or (0, "")
        seq = int(str(event["seq"]))
        if seq != last + 1:
            self._blame(f"event {last + 1} is missing before {seq}")
        if event["prev"] != prev or digest(record_of(event)) != event["hash"]:
            self._blame(f"event {seq} ({event['event']}) was changed: its hash does not fit")
        data = event["data"]
        if event["event"] == _PRUNED and isinstance(data, dict) and data.get("through"):
            self._told_pruned = data["through"]
        self._last = seq, str(event["hash"])
        self.hashes[seq] = str(event["hash"])

    def _blame(self, sentence: str) -> None:
        self.problems.append(f"ledger: {sentence}")
