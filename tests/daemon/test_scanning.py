"""Scans of real files: which match, what is known of them, and what a change between two scans shows."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon import scanning
from daemon.globbing import Glob
from daemon.scanning import Memory, scan
from retraind.errors import FilesUnreadable
from triggers.evidence import Manifest

BELOW = 1000  # bytes; smaller files are hashed


def write(path: Path, content: str = "content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def names(manifest: Manifest) -> list[str]:
    return list(manifest.files)


TREE = ["a.csv", "b.csv", "b.txt", ".hidden.csv", "sub/c.csv", "sub/deep/d.csv", ".git/e.csv", "x[1].csv"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "b.csv", "x[1].csv"]),
        ("b.*", ["b.csv", "b.txt"]),
        ("?.csv", ["a.csv", "b.csv"]),
        ("[!a].csv", ["b.csv"]),
        ("x[[]1].csv", ["x[1].csv"]),
        (".*.csv", [".hidden.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv", "x[1].csv"]),
        ("**", ["a.csv", "b.csv", "b.txt", "sub/c.csv", "sub/deep/d.csv", "x[1].csv"]),
        ("**/deep/*", ["sub/deep/d.csv"]),
        ("*/*.csv", ["sub/c.csv"]),
        ("**/**/c.csv", ["sub/c.csv"]),
        ("a.csv", ["a.csv"]),
        ("gone.csv", []),
    ],
)
def test_a_pattern_means_what_a_shell_makes_of_it(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    for name in TREE:
        write(tmp_path / name)
    found = scan(f"{tmp_path}/{pattern}", BELOW)
    assert names(found) == expected
    assert found.root == str(tmp_path)
    glob = Glob.of(f"{tmp_path}/{pattern}")
    assert [name for name in sorted(TREE) if glob.matches(name)] == expected


def test_names_are_relative_to_the_part_that_is_fixed(tmp_path: Path) -> None:
    write(tmp_path / "data" / "day1" / "a.csv")
    found = scan(f"{tmp_path}/data/*/a.csv", BELOW)
    assert (found.root, names(found)) == (str(tmp_path / "data"), ["day1/a.csv"])
    found = scan(f"{tmp_path}/data/day1/a.csv", BELOW)
    assert (found.root, names(found)) == (str(tmp_path / "data" / "day1"), ["a.csv"])


def test_a_relative_pattern_starts_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "data" / "a.csv")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert scan("../data/*.csv", BELOW).root == str(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    assert names(scan("*.csv", BELOW)) == ["a.csv"]


def test_small_files_are_hashed_and_large_ones_are_not(tmp_path: Path) -> None:
    write(tmp_path / "below", "x" * 999)
    write(tmp_path / "at", "x" * 1000)
    files = scan(f"{tmp_path}/*", BELOW).files
    assert files["below"].digest is not None
    assert files["at"].digest is None
    assert files["at"].size == 1000


@pytest.mark.parametrize("remembering", [True, False])
def test_a_rewrite_of_the_same_size_and_time_is_seen(tmp_path: Path, remembering: bool) -> None:
    memory = Memory(lambda: 2**62) if remembering else None  # to it every file has been old for long
    path = write(tmp_path / "a.csv", "old")
    os.utime(path, (1e9, 1e9))
    first = scan(f"{tmp_path}/*.csv", BELOW, None, memory)
    path.write_text("new")
    os.utime(path, (1e9, 1e9))
    second = scan(f"{tmp_path}/*.csv", BELOW, first, memory)
    old, new = first.files["a.csv"], second.files["a.csv"]
    assert (old.size, old.mtime_ns, old.inode) == (new.size, new.mtime_ns, new.inode)
    assert old.digest != new.digest


@pytest.mark.parametrize(("age_seconds", "read_again"), [(1.9, True), (2.1, False)])
def test_only_what_was_old_when_it_was_hashed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_seconds: float, read_again: bool
) -> None:
    path = write(tmp_path / "a.csv")
    changed_ns = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    memory = Memory(lambda: changed_ns + int(age_seconds * 1e9))
    first = scan(f"{tmp_path}/*.csv", BELOW, None, memory)
    reads = iter(range(100))
    read = scanning._read
    monkeypatch.setattr(scanning, "_read", lambda path: read(path) if next(reads) >= 0 else None)
    assert scan(f"{tmp_path}/*.csv", BELOW, first, memory) == first
    assert (next(reads) == 1) is read_again


def test_what_has_gone_is_forgotten(tmp_path: Path) -> None:
    memory = Memory(lambda: 2**62)
    path = write(tmp_path / "a.csv")
    scan(f"{tmp_path}/*.csv", BELOW, None, memory)
    path.unlink()
    scan(f"{tmp_path}/*.csv", BELOW, None, memory)
    assert memory.past(f"{tmp_path}/*.csv").digests == {}


def test_a_missing_directory_is_told_as_missing(tmp_path: Path) -> None:
    assert scan(f"{tmp_path}/gone/*.csv", BELOW) == Manifest(str(tmp_path / "gone"), {}, missing=True)
    write(tmp_path / "file")
    assert scan(f"{tmp_path}/file/*.csv", BELOW).missing
    assert not scan(f"{tmp_path}/*.csv", BELOW).missing


def test_a_swapped_link_shows_as_another_root(tmp_path: Path) -> None:
    write(tmp_path / "v1" / "a.csv", "one")
    write(tmp_path / "v2" / "a.csv", "two")
    link = tmp_path / "latest"
    link.symlink_to("v1")
    first = scan(f"{tmp_path}/latest/*.csv", BELOW)
    link.unlink()
    link.symlink_to("v2")
    second = scan(f"{tmp_path}/latest/*.csv", BELOW)
    assert (first.root, second.root) == (str(tmp_path / "v1"), str(tmp_path / "v2"))
    assert first.files["a.csv"] != second.files["a.csv"]


def test_a_link_to_a_file_shows_what_it_leads_to(tmp_path: Path) -> None:
    write(tmp_path / "v1.csv", "one")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").symlink_to("../v1.csv")
    (tmp_path / "data" / "dangling.csv").symlink_to("../gone.csv")
    found = scan(f"{tmp_path}/data/*.csv", BELOW)
    assert names(found) == ["a.csv"]
    assert found.files["a.csv"].inode == (tmp_path / "v1.csv").stat().st_ino


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.csv")
    (tmp_path / "a" / "again").symlink_to("..")
    (tmp_path / "loop").symlink_to("loop")
    assert names(scan(f"{tmp_path}/**/*.csv", BELOW)) == ["a/x.csv"]
    assert names(scan(f"{tmp_path}/*/again/a/x.csv", BELOW)) == ["a/again/a/x.csv"]
    assert scan(f"{tmp_path}/loop/*.csv", BELOW).missing


def test_only_regular_files_count_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "directory.csv").mkdir()
    write(tmp_path / "a.csv")
    assert names(scan(f"{tmp_path}/*.csv", BELOW)) == ["a.csv"]
    assert scan(f"{tmp_path}/pipe.csv", BELOW).files == {}


def test_a_name_that_is_no_utf_8_can_be_kept_anywhere(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")).write_text("x")
    (name,) = scan(f"{tmp_path}/*.csv", BELOW).files
    assert name == "\\xff.csv"
    name.encode()


@contextmanager
def forbidding(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> Iterator[None]:
    """`paths` may not be read, even by root."""

    def guarded(act: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def checked(path: Any) -> Any:
            if Path(path) in paths:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return act(path)

        return checked

    with monkeypatch.context() as patch:
        patch.setattr(scanning, "_read", guarded(scanning._read))
        patch.setattr(os, "scandir", guarded(os.scandir))
        yield


def test_a_file_that_may_not_be_read_is_not_there_until_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv")
    write(tmp_path / "b.csv")
    with forbidding(monkeypatch, path):
        assert names(scan(f"{tmp_path}/*.csv", BELOW)) == ["b.csv"]
    assert names(scan(f"{tmp_path}/*.csv", BELOW)) == ["a.csv", "b.csv"]


def test_what_may_not_be_read_any_more_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv")
    write(tmp_path / "sub" / "b.csv")
    first = scan(f"{tmp_path}/**/*.csv", BELOW)
    with forbidding(monkeypatch, path, tmp_path / "sub"):
        path.write_text("changed")
        assert scan(f"{tmp_path}/**/*.csv", BELOW, first) == first


def test_a_directory_that_may_not_be_read_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forbidding(monkeypatch, tmp_path), pytest.raises(FilesUnreadable) as raised:
        scan(f"{tmp_path}/*.csv", BELOW)
    assert str(raised.value) == (
        f"{tmp_path}/*.csv cannot be scanned: Permission denied ({tmp_path}); "
        "let the user that retraind runs as read it, or see to its disk or server"
    )


def test_a_disk_that_fails_is_an_error_and_not_an_empty_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.csv")

    def fail(path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(scanning, "_read", fail)
    with pytest.raises(FilesUnreadable, match="Input/output error"):
        scan(f"{tmp_path}/*.csv", BELOW)


@contextmanager
def meanwhile(step: Callable[[], None]) -> Iterator[None]:
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            step()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_files_that_come_and_go_during_a_scan_are_no_error(tmp_path: Path) -> None:
    write(tmp_path / "stays.csv")

    def step() -> None:
        for index in range(20):
            write(tmp_path / f"d{index}" / "comes.csv")
        for index in range(20):
            (tmp_path / f"d{index}" / "comes.csv").unlink()
            (tmp_path / f"d{index}").rmdir()

    with meanwhile(step):
        for _ in range(100):
            assert "stays.csv" in scan(f"{tmp_path}/**/*.csv", BELOW).files


def test_a_swap_during_a_scan_never_mixes_two_directories(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        for index in range(30):
            write(tmp_path / version / f"{version}-{index}.csv")
    (tmp_path / "latest").symlink_to("v1")

    def step() -> None:
        for version in ("v2", "v1"):
            (tmp_path / "next").symlink_to(version)
            (tmp_path / "next").rename(tmp_path / "latest")

    roots = set()
    with meanwhile(step):
        for _ in range(100):
            found = scan(f"{tmp_path}/latest/*.csv", BELOW)
            roots.add(found.root)
            assert {name[:2] for name in found.files} == {Path(found.root).name}
            assert len(found.files) == 30
    assert len(roots) == 2
