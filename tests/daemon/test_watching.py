"""Wake-ups by real changes of real files. Every wait is for an event and bounded; nothing sleeps a fixed time."""

import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from watchdog.observers import inotify_c

from daemon import filesystems
from daemon.filesystems import is_silent, kind_of
from daemon.watching import FileWatcher, Health, Mode, Pace
from daemon.way import Way

PACE = Pace(quiet=0.05, longest=0.5, poll=0.05)
MODES = ["inotify", "poll"]


class Wakes:
    """Counts wake-ups per key, and waits for the next."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.counts: dict[str, int] = {}

    def __call__(self, key: str) -> None:
        with self.condition:
            self.counts[key] = self.counts.get(key, 0) + 1
            self.condition.notify_all()

    def of(self, key: str) -> int:
        with self.condition:
            return self.counts.get(key, 0)

    def come(self, key: str, more_than: int) -> bool:
        with self.condition:
            return self.condition.wait_for(lambda: self.counts.get(key, 0) > more_than, timeout=10)


class Watch:
    """A watcher of `patterns` beside a control: once a change of the control woke, what came before was delivered."""

    def __init__(self, directory: Path, patterns: Mapping[str, str], mode: str) -> None:
        self.control = directory / "control"
        self.control.mkdir()
        self.wakes = Wakes()
        self.watcher = FileWatcher({**patterns, "control": f"{self.control}/*"}, self.wakes, mode, PACE)
        self.number = 0
        for key in (*patterns, "control"):
            assert self.wakes.come(key, 0)
        self.settle()

    def settle(self) -> None:
        """Waits until everything that happened so far has woken whom it will."""
        for _ in range(2):  # the second goes through after any burst that the first still met
            before = self.wakes.of("control")
            self.number += 1
            (self.control / str(self.number)).touch()
            assert self.wakes.come("control", before)

    def wakes_on(self, change: Callable[[], object], key: str = "files") -> bool:
        before = self.wakes.of(key)
        change()
        woke = self.wakes.come(key, before)
        self.settle()
        return woke

    def sleeps_on(self, change: Callable[[], object], key: str = "files") -> bool:
        self.settle()
        before = self.wakes.of(key)
        change()
        self.settle()
        return self.wakes.of(key) == before

    def health(self, key: str = "files") -> Health:
        return self.watcher.check()[key]


Start = Callable[..., Watch]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a watcher; at the end it is stopped, and has left no thread."""
    threads = set(threading.enumerate())
    started: list[Watch] = []

    def begin(pattern: str, mode: str = "inotify") -> Watch:
        started.append(Watch(tmp_path, {"files": pattern}, mode))
        return started[-1]

    yield begin
    for watch in started:
        watch.watcher.stop()
        watch.watcher.stop()
    assert [thread for thread in set(threading.enumerate()) - threads if thread.is_alive()] == []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def swap(link: Path, target: str) -> None:
    following = link.with_name("following")
    following.symlink_to(target)
    following.rename(link)


@pytest.mark.parametrize("mode", MODES)
def test_a_new_a_changed_a_renamed_and_a_deleted_file_wake(start: Start, data: Path, mode: str) -> None:
    watch = start(f"{data}/*.csv", mode)
    assert watch.health().mode is (Mode.POLL if mode == "poll" else Mode.EVENTS)
    assert watch.wakes_on(lambda: (data / "a.csv").write_text("1"))
    assert watch.wakes_on(lambda: (data / "a.csv").write_text("22"))
    assert watch.wakes_on(lambda: (data / "a.csv").rename(data / "b.csv"))
    assert watch.wakes_on((data / "b.csv").unlink)


@pytest.mark.parametrize("mode", MODES)
def test_an_atomic_rename_wakes_and_the_temporary_file_does_not(start: Start, data: Path, mode: str) -> None:
    watch = start(f"{data}/*.csv", mode)
    assert watch.sleeps_on(lambda: (data / "a.csv.tmp").write_text("1"))
    assert watch.wakes_on(lambda: (data / "a.csv.tmp").rename(data / "a.csv"))


def test_a_file_moved_in_from_elsewhere_and_a_hard_link_wake(start: Start, data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("2")
    watch = start(f"{data}/*.csv")
    assert watch.wakes_on(lambda: (tmp_path / "a.csv").rename(data / "a.csv"))
    assert watch.wakes_on(lambda: (data / "b.csv").hardlink_to(tmp_path / "b.csv"))


@pytest.mark.parametrize("mode", MODES)
def test_reading_does_not_wake(start: Start, data: Path, mode: str) -> None:
    (data / "a.csv").write_text("1")
    watch = start(f"{data}/*.csv", mode)
    assert watch.sleeps_on(lambda: [(data / "a.csv").read_text(), list(data.iterdir()), (data / "a.csv").stat()])


@pytest.mark.parametrize("mode", MODES)
def test_what_does_not_match_does_not_wake(start: Start, data: Path, tmp_path: Path, mode: str) -> None:
    (data / "sub").mkdir()
    watch = start(f"{data}/*.csv", mode)
    assert watch.sleeps_on(lambda: (data / "a.txt").write_text("1"))
    assert watch.sleeps_on(lambda: (data / ".a.csv").write_text("1"))
    assert watch.sleeps_on(lambda: (data / "sub" / "a.csv").write_text("1"))
    assert watch.sleeps_on(lambda: (tmp_path / "a.csv").write_text("1"))


@pytest.mark.parametrize("mode", MODES)
def test_one_named_file_is_watched(start: Start, data: Path, mode: str) -> None:
    watch = start(f"{data}/a.csv", mode)
    assert watch.wakes_on(lambda: (data / "a.csv").write_text("1"))
    assert watch.sleeps_on(lambda: (data / "b.csv").write_text("1"))


@pytest.mark.parametrize("mode", MODES)
def test_a_new_subdirectory_is_watched_at_any_depth(start: Start, data: Path, mode: str) -> None:
    watch = start(f"{data}/**/*.csv", mode)

    def make(path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.write_text("1")

    assert watch.wakes_on(lambda: make(data / "a" / "b" / "c.csv"))
    assert watch.wakes_on(lambda: (data / "a" / "b" / "d.csv").write_text("1"))
    assert watch.wakes_on(lambda: (data / "a").rename(data / "z"))
    assert watch.wakes_on(lambda: (data / "z" / "b" / "e.csv").write_text("1"))


def test_a_directory_moved_in_with_its_files_wakes(start: Start, data: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.csv").write_text("1")
    watch = start(f"{data}/**/*.csv")
    assert watch.wakes_on(lambda: (tmp_path / "made").rename(data / "made"))
    assert watch.wakes_on(lambda: (data / "made" / "b.csv").write_text("1"))


@pytest.mark.parametrize("mode", MODES)
def test_files_behind_a_link_wake_before_and_after_it_is_swapped(
    start: Start, data: Path, tmp_path: Path, mode: str
) -> None:
    for version in ("v1", "v2"):
        (data / version).mkdir()
    link = tmp_path / "latest"
    link.symlink_to("data/v1")
    watch = start(f"{link}/*.csv", mode)
    assert watch.wakes_on(lambda: (data / "v1" / "a.csv").write_text("1"))
    assert watch.wakes_on(lambda: swap(link, "data/v2"))
    assert watch.wakes_on(lambda: (data / "v2" / "a.csv").write_text("1"))
    assert watch.sleeps_on(lambda: (data / "v1" / "b.csv").write_text("1"))


def test_a_link_on_the_way_may_be_swapped_too(start: Start, data: Path, tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (data / version / "csv").mkdir(parents=True)
    (tmp_path / "inner").symlink_to(data / "v1")
    (tmp_path / "outer").symlink_to("inner")
    watch = start(f"{tmp_path}/outer/csv/*.csv")
    assert watch.wakes_on(lambda: swap(tmp_path / "inner", "data/v2"))
    assert watch.wakes_on(lambda: (data / "v2" / "csv" / "a.csv").write_text("1"))


@pytest.mark.parametrize("mode", MODES)
def test_a_directory_that_was_replaced_is_watched_on(start: Start, data: Path, tmp_path: Path, mode: str) -> None:
    watch = start(f"{data}/*.csv", mode)
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "a.csv").write_text("1")

    def replace() -> None:
        data.rename(tmp_path / "old")
        (tmp_path / "next").rename(data)

    assert watch.wakes_on(replace)
    assert watch.wakes_on(lambda: (data / "b.csv").write_text("1"))
    assert watch.sleeps_on(lambda: (tmp_path / "old" / "c.csv").write_text("1"))


@pytest.mark.parametrize("mode", MODES)
def test_a_directory_that_vanished_is_told_and_watched_when_it_comes_back(start: Start, data: Path, mode: str) -> None:
    watch = start(f"{data}/*.csv", mode)
    for _ in range(3):
        assert watch.wakes_on(data.rmdir)
        health = watch.health()
        assert not health.ok
        assert health.sentence == f"{data} does not exist; it is watched from when it does."
        assert watch.wakes_on(data.mkdir)
        assert watch.health().ok
        assert watch.wakes_on(lambda: (data / "a.csv").write_text("1"))
        assert watch.wakes_on((data / "a.csv").unlink)


def test_a_way_of_which_nothing_exists_yet_is_followed_as_it_is_made(start: Start, data: Path) -> None:
    watch = start(f"{data}/a/b/c/*.csv")
    assert not watch.health().ok

    def make() -> None:
        (data / "a").mkdir()
        watch.settle()
        (data / "a" / "b" / "c").mkdir(parents=True)

    assert watch.wakes_on(make)
    assert watch.health().ok
    assert watch.wakes_on(lambda: (data / "a" / "b" / "c" / "x.csv").write_text("1"))


def test_a_directory_replaced_above_the_parent_is_found_by_a_check(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "top" / "middle" / "data"
    directory.mkdir(parents=True)
    watch = start(f"{directory}/*.csv")
    (tmp_path / "top").rename(tmp_path / "old")
    directory.mkdir(parents=True)
    assert watch.wakes_on(watch.watcher.check)
    assert watch.wakes_on(lambda: (directory / "a.csv").write_text("1"))


def test_a_watch_that_died_is_mended_by_a_check_and_wakes(start: Start, data: Path) -> None:
    watch = start(f"{data}/*.csv")
    observer = watch.watcher._directories._observer
    assert observer is not None
    for emitter in observer.emitters:
        emitter.stop()
        emitter.join()
    assert watch.wakes_on(watch.watcher.check)
    assert watch.wakes_on(lambda: (data / "a.csv").write_text("1"))


def test_an_observer_that_died_is_mended_by_a_check(start: Start, data: Path) -> None:
    watch = start(f"{data}/*.csv")
    observer = watch.watcher._directories._observer
    assert observer is not None
    observer.stop()
    observer.join()
    assert watch.wakes_on(watch.watcher.check)
    assert watch.wakes_on(lambda: (data / "a.csv").write_text("1"))


def test_a_check_of_what_is_well_does_not_wake(start: Start, data: Path) -> None:
    watch = start(f"{data}/*.csv")
    assert watch.sleeps_on(watch.watcher.check)
    assert watch.health() == Health(ok=True, mode=Mode.EVENTS, sentence=f"{data} is watched.")


def test_a_burst_wakes_once_or_little_more_and_a_steady_writer_does_not_hold_it_back(start: Start, data: Path) -> None:
    watch = start(f"{data}/*.csv")
    before = watch.wakes.of("files")
    began = last = time.monotonic()
    count = pauses = 0
    while last - began < 1.2:  # longer than a wake-up may be held back
        (data / f"{count}.csv").write_text("1")
        count += 1
        pauses += time.monotonic() - last > 0.2  # the machine's: a burst that pauses is two
        last = time.monotonic()
    during = watch.wakes.of("files") - before
    watch.settle()
    assert 1 <= during <= 4 + 2 * pauses
    assert count > 20


def test_one_broken_wake_up_stops_nothing(data: Path) -> None:
    woken = Wakes()

    def wake(key: str) -> None:
        woken(key)
        raise RuntimeError

    watcher = FileWatcher({"files": f"{data}/*"}, wake, "inotify", PACE)
    try:
        for number in range(3):
            assert woken.come("files", number)
            (data / str(number)).touch()
    finally:
        watcher.stop()


def test_the_same_directory_serves_several_patterns(data: Path) -> None:
    woken = Wakes()
    patterns = {"csv": f"{data}/*.csv", "deep": f"{data}/**/*.csv", "txt": f"{data}/*.txt"}
    watcher = FileWatcher(patterns, woken, "inotify", PACE)
    try:
        assert all(woken.come(key, 0) for key in patterns)
        (data / "a.csv").touch()
        assert woken.come("csv", 1)
        assert woken.come("deep", 1)
        (data / "a.txt").touch()
        assert woken.come("txt", 1)
        assert woken.of("csv") == 2
    finally:
        watcher.stop()


# --- where events are not to be had


def test_a_network_file_system_is_polled_and_events_can_be_insisted_on(
    start: Start, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / {data} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    watch = start(f"{data}/*.csv", "auto")
    assert watch.health() == Health(
        ok=True,
        mode=Mode.POLL,
        sentence=f"{data} is looked at every 0.05 s, because nfs4 does not tell of all changes.",
    )
    assert watch.wakes_on(lambda: (data / "a.csv").write_text("1"))
    assert watch.health("control").mode is Mode.EVENTS
    insisting = FileWatcher({"files": f"{data}/*.csv"}, Wakes(), "inotify", PACE)
    assert insisting.check()["files"].mode is Mode.EVENTS
    insisting.stop()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/data", "nfs4"),
        ("/data/x", "nfs4"),
        ("/database", "ext4"),
        ("/a b/c", "fuse.sshfs"),
        ("/o", "xfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_last_mount_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    lines = [
        "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/a rw",
        "2 1 0:9 / /data rw - nfs4 server:/x rw",
        "3 1 0:8 / /a\\040b rw - fuse.sshfs me@there: rw",
        "4 1 0:7 / /o rw - ext4 /dev/b rw",
        "5 1 0:7 / /o rw - xfs /dev/c rw",
    ]
    mounts.write_text("\n".join(lines))
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    assert kind_of(path) == kind
    assert is_silent(kind) is (kind in {"nfs4", "fuse.sshfs"})


def test_the_real_table_of_mounts_can_be_read() -> None:
    assert is_silent(kind_of("/proc")) is False
    assert kind_of("/") is not None


def refuse_after(monkeypatch: pytest.MonkeyPatch, name: str, number: int, allowed: int) -> Callable[[], None]:
    """The kernel refuses `inotify_NAME` with error `number`, after `allowed` calls. Returns what ends that."""
    real = getattr(inotify_c, name)
    calls = iter(range(10**6))

    def refuse(*arguments: object) -> int:
        if next(calls) < allowed:
            return int(real(*arguments))
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(inotify_c, name, refuse)
    return lambda: monkeypatch.setattr(inotify_c, name, real)


@pytest.mark.parametrize(
    ("name", "number", "allowed", "sysctl"),
    [
        ("inotify_add_watch", errno.ENOSPC, 0, "fs.inotify.max_user_watches"),
        ("inotify_add_watch", errno.ENOSPC, 4, "fs.inotify.max_user_watches"),  # half-way down the tree
        ("inotify_init", errno.EMFILE, 0, "fs.inotify.max_user_instances"),
    ],
)
def test_a_watch_limit_leads_to_polling_and_names_what_to_raise(
    start: Start, data: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, allowed: int, sysctl: str
) -> None:
    for index in range(10):
        (data / f"d{index}").mkdir()
    allow = refuse_after(monkeypatch, name, number, allowed)
    watch = start(f"{data}/**/*.csv")
    health = watch.health()
    assert not health.ok
    assert health.mode is Mode.POLL
    assert sysctl in health.sentence
    assert watch.wakes_on(lambda: (data / "d9" / "a.csv").write_text("1"))
    allow()
    monkeypatch.setattr("daemon.watching._RETRY_SECONDS", 0.0)
    watch.watcher._watches[0]._limit_until = 0.0
    assert watch.health() == Health(ok=True, mode=Mode.EVENTS, sentence=f"{data} is watched.")
    assert watch.wakes_on(lambda: (data / "d9" / "b.csv").write_text("1"))


def test_a_directory_that_may_not_be_read_is_told(start: Start, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(data) and real(path, mode))
    watch = start(f"{data}/*.csv")
    health = watch.health()
    assert not health.ok
    assert health.sentence == f"{data}/*.csv cannot be watched: Permission denied ({data})."
    monkeypatch.undo()
    assert watch.health().ok


def test_a_pattern_that_hangs_is_told_and_delays_no_other(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hung").mkdir()
    hangs = threading.Event()
    real = Way.to

    def way_to(path: str) -> Way:
        if "hung" in path:
            hangs.wait(20)
        return real(path)

    monkeypatch.setattr(Way, "to", way_to)
    woken = Wakes()
    watcher = FileWatcher({"hung": f"{tmp_path}/hung/*", "files": f"{data}/*"}, woken, "inotify", PACE)
    try:
        assert woken.come("files", 0)
        (data / "a").touch()
        assert woken.come("files", 1)
        health = watcher.check(wait_seconds=0.2)
        assert health["files"].ok
        assert not health["hung"].ok
        assert "does not answer" in health["hung"].sentence
    finally:
        hangs.set()
        watcher.stop()
