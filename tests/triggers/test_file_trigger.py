"""The file trigger: what is new content, what has settled, and what is neither."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from samples import NOW, evidence, facts

from triggers.evidence import FileFact, FilesRequest, Manifest
from triggers.file import FileTrigger
from triggers.verdict import Outcome, Verdict

SECOND = timedelta(seconds=1)


def fact(content: str, mtime: int = 1, inode: int = 1) -> FileFact:
    return FileFact(len(content), mtime, inode, f"sha256:{content}")


def large(size: int, mtime: int = 1, inode: int = 1) -> FileFact:
    return FileFact(size, mtime, inode)


class Watch:
    """Looks at manifests in turn, handing each look the stored state of the one before, as JSON keeps it."""

    def __init__(self, **settings: Any) -> None:
        self.trigger = FileTrigger(path="data/*.csv", **settings)
        self.state: dict[str, Any] = {}
        self.now: datetime = NOW

    def look(self, files: dict[str, FileFact], after: timedelta = 10 * SECOND, root: str = "/data") -> Verdict:
        return self._evaluate(Manifest(root, files), after)

    def look_at_nothing(self) -> Verdict:
        return self._evaluate(Manifest("/data", {}, missing=True), 10 * SECOND)

    def _evaluate(self, manifest: Manifest, after: timedelta) -> Verdict:
        self.now += after
        verdict = self.trigger.evaluate(evidence({"files": manifest}, self.state), self.now)
        if verdict.state is not None:
            self.state = json.loads(json.dumps(verdict.state))
        return verdict

    def settle(self, files: dict[str, FileFact], root: str = "/data") -> Verdict:
        """The verdict once `files` have been seen twice."""
        assert not self.look(files, root=root).fired
        return self.look(files, root=root)


def test_files_found_at_the_first_look_are_known_and_do_not_fire() -> None:
    watch = Watch()
    first = watch.look({"a.csv": fact("1")})
    assert first.outcome is Outcome.QUIET
    assert first.sentence == "The first look found 1 file at data/*.csv; what changes from now on fires."
    assert watch.look({"a.csv": fact("1")}).sentence == "1 file at data/*.csv, unchanged."


def test_with_existing_files_found_at_the_first_look_fire_once_settled() -> None:
    watch = Watch(existing=True)
    assert watch.settle({"a.csv": fact("1")}).fired
    assert watch.look({"a.csv": fact("1")}).outcome is Outcome.QUIET


def test_a_new_file_fires_once_with_what_an_engineer_wants_to_know() -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1")})
    fired = watch.settle({"a.csv": fact("1"), "b.csv": fact("22")})
    assert fired.fired
    assert fired.sentence == "1 new file at data/*.csv: b.csv, 2 bytes in all."
    assert (fired.numbers["new"], fired.numbers["changed"], fired.numbers["files"]) == (1, 0, ["b.csv"])
    assert watch.look({"a.csv": fact("1"), "b.csv": fact("22")}).outcome is Outcome.QUIET


def test_a_change_fires_when_it_has_been_the_same_for_the_settling_time_and_not_before() -> None:
    changed = {"a.csv": fact("2", mtime=2)}
    for wait, fires in ((2 * SECOND - SECOND / 1000, False), (2 * SECOND, True), (3 * SECOND, True)):
        watch = Watch()
        watch.look({"a.csv": fact("1")})
        assert watch.look(changed).outcome is Outcome.QUIET
        assert watch.look(changed, after=wait).fired is fires


def test_a_file_that_is_still_being_written_does_not_fire() -> None:
    watch = Watch()
    watch.look({})
    for size in range(1, 20):
        assert not watch.look({"a.csv": fact("x" * size, mtime=size)}).fired
    assert watch.look({"a.csv": fact("x" * 19, mtime=19)}).fired


def test_a_whole_batch_is_one_firing_and_its_listing_is_capped() -> None:
    watch = Watch()
    watch.look({})
    fired = watch.settle({f"{number:03}.csv": fact("1", inode=number) for number in range(50)})
    assert (fired.numbers["new"], len(fired.numbers["files"])) == (50, 20)
    assert "000.csv, 001.csv, 002.csv and 47 more" in fired.sentence


def test_settled_files_do_not_wait_for_ever_on_one_that_never_settles() -> None:
    watch = Watch(wait_at_most="60s")
    watch.look({})
    verdicts = [
        watch.look({"done.csv": fact("1"), "log.csv": fact("x" * number, mtime=number)}) for number in range(1, 12)
    ]
    fired = [number for number, verdict in enumerate(verdicts, start=1) if verdict.fired]
    assert fired == [7]
    assert verdicts[6].numbers["files"] == ["done.csv"]
    assert verdicts[6].numbers["pending"] == 1


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(fact("1", mtime=9), id="touched"),
        pytest.param(fact("1", mtime=9, inode=9), id="rewritten with the same bytes by atomic rename"),
    ],
)
def test_unchanged_content_does_not_fire(after: FileFact) -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1")})
    assert not watch.settle({"a.csv": after}).fired
    assert watch.look({"a.csv": after}).sentence.endswith("unchanged.")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(fact("1"), fact("2", mtime=2), id="rewritten in place"),
        pytest.param(fact("1"), fact("2", mtime=1), id="rewritten with the same size and time"),
        pytest.param(fact("1"), fact("2", mtime=2, inode=2), id="replaced by atomic rename"),
        pytest.param(large(10), large(10, mtime=2), id="large, another time"),
        pytest.param(large(10), large(11), id="large, another size"),
        pytest.param(large(10), large(10, inode=2), id="large, another inode"),
        pytest.param(large(10), fact("1234567890"), id="hashed from now on"),
    ],
)
def test_changed_and_replaced_files_fire(before: FileFact, after: FileFact) -> None:
    watch = Watch()
    watch.look({"a.csv": before})
    fired = watch.settle({"a.csv": after})
    assert fired.fired
    assert fired.sentence.startswith("1 changed file at data/*.csv: a.csv")


def test_a_link_swapped_to_other_content_fires_and_to_equal_content_does_not() -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1")}, root="/data/v1")
    assert not watch.settle({"a.csv": fact("1", inode=5)}, root="/data/v2").fired
    fired = watch.settle({"a.csv": fact("3", inode=6)}, root="/data/v3")
    assert fired.fired
    assert fired.numbers["root_changed"]
    assert fired.sentence.endswith("it leads to /data/v3 now.")


def test_a_directory_that_is_replaced_is_seen_through_its_absence() -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1")})
    missing = watch.look_at_nothing()
    assert missing.outcome is Outcome.INSUFFICIENT
    assert "/data does not exist" in missing.sentence
    assert not watch.settle({"a.csv": fact("1", inode=7)}).fired
    assert watch.settle({"a.csv": fact("2", inode=8)}).fired


def test_files_that_come_with_a_directory_that_was_not_there_fire() -> None:
    watch = Watch()
    assert watch.look_at_nothing().outcome is Outcome.INSUFFICIENT
    assert watch.settle({"a.csv": fact("1")}).fired


def test_deletion_alone_does_not_fire_and_a_file_that_comes_back_does() -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1"), "b.csv": fact("1")})
    gone = watch.settle({"b.csv": fact("1")})
    assert gone.sentence == "1 file at data/*.csv disappeared (a.csv); nothing is new."
    assert watch.settle({"a.csv": fact("1"), "b.csv": fact("1")}).fired


def test_dotfiles_temporary_files_and_ignored_names_are_passed_over() -> None:
    watch = Watch()
    watch.look({})
    names = (".a.csv", "a.tmp", "a.csv.part", ".checkpoints/a.csv")
    assert watch.settle({name: fact("1") for name in names}).sentence == "0 files at data/*.csv, unchanged."
    assert not Watch(ignore=("old",)).settle({"old/a.csv": fact("1")}).fired


def test_what_happened_while_nothing_looked_is_found_at_the_next_look() -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1")})
    watch.now += timedelta(days=3)
    assert watch.settle({"a.csv": fact("2"), "b.csv": fact("1")}).sentence == (
        "1 new file and 1 changed file at data/*.csv: b.csv and a.csv, 2 bytes in all."
    )


def test_another_path_starts_anew() -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1")})
    watch.trigger = FileTrigger(path="other/*.csv")
    assert watch.look({"z.csv": fact("1")}).sentence.startswith("The first look found 1 file at other/*.csv")


def test_equal_evidence_has_one_key_and_content_that_returns_has_another() -> None:
    one, two, key = {"a.csv": fact("1")}, {"a.csv": fact("2")}, []
    watch = Watch()
    watch.look(one)
    for files in (two, one, two):
        assert not watch.look(files).fired
        state = dict(watch.state)
        first = watch.look(files)
        again = watch.trigger.evaluate(evidence({"files": Manifest("/data", files)}, state), watch.now)
        assert first.key == again.key
        key.append(first.key)
    assert len(set(key)) == 3
    assert None not in key


def test_the_next_look_comes_when_a_change_can_have_settled() -> None:
    watch = Watch()
    watch.look({})
    assert watch.trigger.next_look(facts(), watch.state, watch.now) == watch.now + timedelta(minutes=1)
    watch.look({"a.csv": fact("1")})
    assert watch.trigger.next_look(facts(), watch.state, watch.now) == watch.now + 2 * SECOND
    assert watch.trigger.next_look(facts(), {}, watch.now) == watch.now + timedelta(minutes=1)


def test_a_look_that_changes_nothing_stores_nothing() -> None:
    watch = Watch()
    watch.look({"a.csv": fact("1")})
    assert watch.look({"a.csv": fact("1")}).state is None


def test_it_asks_for_the_files_with_the_size_up_to_which_to_hash() -> None:
    trigger = FileTrigger(path="data/*.csv", hash_below="1MiB")
    assert trigger.requests(facts(), {}, NOW) == {"files": FilesRequest("data/*.csv", 2**20)}


def test_waiting_shorter_than_settling_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"wait_at_most \(1s\) is below settle \(2s\)"):
        FileTrigger(path="a", wait_at_most="1s")


def test_a_file_that_waits_to_settle_is_not_kept_waiting_by_a_clock_set_back() -> None:
    watch = Watch(existing=True, settle="1s", wait_at_most="2s")
    assert not watch.look({"a.csv": fact("1")}).fired
    watch.look({"a.csv": fact("1")}, after=timedelta(hours=-1))
    due = watch.trigger.next_look(facts(), watch.state, watch.now)
    assert due is not None
    assert due - watch.now <= SECOND
    assert watch.look({"a.csv": fact("1")}, after=SECOND).fired
