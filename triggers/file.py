"""Fires when files that match a glob are new, changed or replaced, once they have stopped changing.

What counts is content. Files small enough to be hashed are compared by digest, so a touch, a
rewrite of the same bytes, or a link that is swapped to an equal copy is no change; larger ones are
compared by size, modification time and inode. The files known last stand in the trigger's state, so
what happened while nothing looked is found at the next look. Deletion alone does not fire.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from triggers.base import Trigger
from triggers.evidence import Evidence, FileFact, FilesRequest, Manifest, ModelFacts, Request
from triggers.quantities import Duration, Size
from triggers.verdict import Outcome, Verdict
from triggers.wording import count, listing, span

_MOST_LISTED = 20


class FileTrigger(Trigger):
    """Fires on new data in files."""

    wakes_on_files: ClassVar[bool] = True

    type: Literal["file"] = Field(default="file", description="Which kind of trigger this is.")
    path: str = Field(min_length=1, description="A file, or a glob such as data/latest/*.csv or data/**/*.parquet.")
    settle: Duration = Field(
        default="2s", validate_default=True, description="How long a file must stay as it is before it counts."
    )
    wait_at_most: Duration = Field(
        default="10m",
        validate_default=True,
        description="After so long the files that have settled fire, though others still change.",
    )
    existing: bool = Field(
        default=False,
        description="Whether files found at the very first look fire; otherwise they are known from then.",
    )
    ignore: tuple[str, ...] = Field(
        default=(".*", "*.tmp", "*.part"),
        description="Names, of files or of directories on the way, that are passed over.",
    )
    hash_below: Size = Field(
        default="16MiB",
        validate_default=True,
        description="Files smaller than this are compared by their content, others by size, time and inode.",
    )

    @model_validator(mode="after")
    def _waits_for_settling(self) -> "FileTrigger":
        if self.confirmations is not None:
            raise ValueError("confirmations have no use in a file trigger: a set of files comes once; leave them out")
        if self.wait_at_most < self.settle:
            raise ValueError(
                f"wait_at_most ({span(self.wait_at_most)}) is below settle ({span(self.settle)}); raise it"
            )
        return self

    def requests(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> Mapping[str, Request]:
        return {"files": FilesRequest(self.path, self.hash_below)}

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        manifest: Manifest = evidence.answers["files"]
        present = {path: fact for path, fact in manifest.files.items() if not self._ignored(path)}
        first = evidence.state.get("path") != self.path
        if first:
            baseline = {} if self.existing or manifest.missing else present
            known = _Known(self.path, manifest.root, dict(baseline), {}, None, 0)
        else:
            known = _Known.from_state(evidence.state)
        if manifest.missing:
            verdict = Verdict(Outcome.INSUFFICIENT, f"{manifest.root} does not exist, so nothing is watched there yet.")
        elif first and not self.existing:
            sentence = (
                f"The first look found {count(len(present), 'file')} at {self.path}; what changes from now on fires."
            )
            verdict = Verdict(Outcome.QUIET, sentence)
        else:
            verdict = self._compare(known, manifest.root, present, now)
        state = known.to_state()
        return Verdict(
            verdict.outcome,
            verdict.sentence,
            {"watched": len(present), "root": manifest.root, **verdict.numbers},
            None if state == evidence.state else state,
            verdict.key,
        )

    def _compare(self, known: "_Known", root: str, present: Mapping[str, FileFact], now: datetime) -> Verdict:
        """Updates `known` by what is `present`, and says whether that fires."""
        known.notice(present, now)
        settled = [path for path, (_, since) in known.pending.items() if now - since >= self.settle]
        unsettled = len(known.pending) - len(settled)
        overdue = known.changed_since is not None and now - known.changed_since >= self.wait_at_most
        if not known.pending:
            known.root = root
            return Verdict(Outcome.QUIET, f"{count(len(present), 'file')} at {self.path}, unchanged.")
        if unsettled and not (overdue and settled):
            told = f"{count(len(known.pending), 'file')} at {self.path} changed"
            return Verdict(
                Outcome.QUIET,
                f"{told}; waiting until nothing has changed for {span(self.settle)}.",
                {"pending": len(known.pending)},
            )
        moved = root != known.root and bool(known.files)
        known.root = root
        new, changed, gone = known.adopt(settled, now)
        numbers = {"new": len(new), "changed": len(changed), "gone": len(gone), "pending": unsettled}
        if not new and not changed:
            told = f"{count(len(gone), 'file')} at {self.path} disappeared ({listing(gone)})"
            return Verdict(Outcome.QUIET, f"{told}; nothing is new.", numbers)
        return self._fire(known, new, changed, {**numbers, "root_changed": moved})

    def _fire(self, known: "_Known", new: list[str], changed: list[str], numbers: dict[str, Any]) -> Verdict:
        known.firings += 1
        paths = [*new, *changed]
        size = sum(known.files[path].size for path in paths)
        told = [count(len(group), f"{word} file") for word, group in (("new", new), ("changed", changed)) if group]
        sentence = f"{' and '.join(told)} at {self.path}: {listing(paths)}, {size:,} bytes in all"
        sentence += f"; it leads to {known.root} now." if numbers["root_changed"] else "."
        numbers = {**numbers, "files": paths[:_MOST_LISTED], "bytes": size}
        return Verdict(Outcome.FIRED, sentence, numbers, key=known.digest())

    def _ignored(self, path: str) -> bool:
        return any(fnmatchcase(part, pattern) for part in PurePath(path).parts for pattern in self.ignore)

    def next_look(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> datetime | None:
        regular = now + self.cadence()
        pending = _Known.from_state(state).pending.values() if state else ()
        settles = [since + self.settle for _, since in pending]
        return max(min(regular, max(settles, default=regular)), now)


@dataclass
class _Known:
    """What the trigger remembers between looks.

    `files` are the settled ones; `pending` maps a path that differs from them to what was seen (None:
    it is gone) and since when it has looked like that; `changed_since` is when the oldest difference
    was first seen.
    """

    path: str
    root: str
    files: dict[str, FileFact]
    pending: dict[str, tuple[FileFact | None, datetime]]
    changed_since: datetime | None
    firings: int

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "_Known":
        changed_since = state["changed_since"]
        return cls(
            path=state["path"],
            root=state["root"],
            files={path: FileFact(*fact) for path, fact in state["files"].items()},
            pending={
                path: (None if fact is None else FileFact(*fact), datetime.fromisoformat(since))
                for path, (fact, since) in state["pending"].items()
            },
            changed_since=None if changed_since is None else datetime.fromisoformat(changed_since),
            firings=state["firings"],
        )

    def to_state(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "root": self.root,
            "files": {path: _listed(fact) for path, fact in self.files.items()},
            "pending": {
                path: [None if fact is None else _listed(fact), since.astimezone(UTC).isoformat()]
                for path, (fact, since) in self.pending.items()
            },
            "changed_since": None if self.changed_since is None else self.changed_since.astimezone(UTC).isoformat(),
            "firings": self.firings,
        }

    def notice(self, present: Mapping[str, FileFact], now: datetime) -> None:
        """Brings `pending` up to date. A file whose content is the known one is no difference, whatever its times."""
        pending: dict[str, tuple[FileFact | None, datetime]] = {}
        for path, fact in present.items():
            settled = self.files.get(path)
            if settled is not None and _same_content(settled, fact):
                self.files[path] = fact
            else:
                pending[path] = (fact, self._since(path, fact, now))
        for path in self.files.keys() - present.keys():
            pending[path] = (None, self._since(path, None, now))
        self.pending = pending
        self.changed_since = min(self.changed_since or now, now) if pending else None

    def _since(self, path: str, fact: FileFact | None, now: datetime) -> datetime:
        before = self.pending.get(path)
        # An instant that is yet to come was written before the clock was set back: it would be waited for that long.
        return min(before[1], now) if before is not None and before[0] == fact else now

    def adopt(self, paths: list[str], now: datetime) -> tuple[list[str], list[str], list[str]]:
        """Makes `paths` known as they are pending. Returns those that are new, changed and gone, each sorted."""
        new: list[str] = []
        changed: list[str] = []
        gone: list[str] = []
        for path in sorted(paths):
            fact, _ = self.pending.pop(path)
            if fact is None:
                gone.append(path)
                del self.files[path]
                continue
            (changed if path in self.files else new).append(path)
            self.files[path] = fact
        self.changed_since = now if self.pending else None
        return new, changed, gone

    def digest(self) -> str:
        """A hash of the settled files, and of how many firings there were: content that comes back fires again."""
        files = sorted((path, _listed(fact)) for path, fact in self.files.items())
        return hashlib.sha256(json.dumps([self.firings, self.path, self.root, files]).encode()).hexdigest()


def _listed(fact: FileFact) -> list[Any]:
    return [fact.size, fact.mtime_ns, fact.inode, fact.digest]


def _same_content(known: FileFact, seen: FileFact) -> bool:
    if known.digest is not None and seen.digest is not None:
        return known.digest == seen.digest
    return known == seen
