"""What systemd hears from us, over a real datagram socket in its place."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from retraind import notify
from retraind.guarded import Guarded
from retraind.notify import Notifier


class Manager:
    """The receiving end, as systemd holds it."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(5)

    def heard(self) -> str:
        return self.socket.recv(4096).decode()

    def heard_nothing(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify.sock"))
    with manager.socket:
        yield manager


@pytest.fixture
def own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has not yet looked for its service manager."""
    monkeypatch.setattr(notify, "_of_this_process", {})
    for name in notify.NOT_INHERITED:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("own_line")
def test_every_message_reaches_the_service_manager(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify.sock"))
    notify.ready()
    notify.status("3 models\nwatched ")
    notify.watchdog()
    notify.stopping()
    assert [manager.heard() for _ in range(4)] == ["READY=1", "STATUS=3 models watched", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.usefixtures("own_line")
def test_a_reload_carries_the_instant_that_systemd_asks_for(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify.sock"))
    notify.reloading()
    reloading, instant = manager.heard().split("\n")
    assert reloading == "RELOADING=1"
    assert int(instant.removeprefix("MONOTONIC_USEC=")) > 0


if sys.platform == "linux":  # abstract sockets are Linux's own

    def test_an_abstract_socket_is_reached_too() -> None:
        name = f"retraind-test-{uuid.uuid4().hex}"
        manager = Manager(b"\0" + name.encode())
        with manager.socket:
            assert Notifier("@" + name).send("READY=1")
            assert manager.heard() == "READY=1"


@pytest.mark.usefixtures("own_line")
def test_no_child_finds_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify.sock"))
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notify.claim()
    script = "import os; print([name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))])"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"


@pytest.mark.usefixtures("own_line")
def test_a_guarded_command_does_not_find_it_even_before_it_was_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify.sock"))
    with (tmp_path / "log").open("wb") as log:
        guarded = Guarded.start(["printenv", "NOTIFY_SOCKET"], grace_seconds=1, output=log)
        assert guarded.ended_within(10)
        guarded.close()
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.usefixtures("own_line")
def test_a_fork_does_not_speak_in_its_parents_name(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify.sock"))
    notify.claim()
    child = os.fork()
    if child == 0:
        notify.ready()
        os._exit(0)
    os.waitpid(child, 0)
    assert manager.heard_nothing()


@pytest.mark.usefixtures("own_line")
def test_the_watchdog_is_fed_twice_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert notify.watchdog_interval() == 30.0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
    ],
)
@pytest.mark.usefixtures("own_line")
def test_no_watchdog_is_fed_that_watches_nothing_or_another_process(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert notify.watchdog_interval() is None


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:1:2", "/no/such/socket", "/" + "x" * 200])
def test_a_manager_that_cannot_be_reached_is_no_error(address: str | None) -> None:
    assert Notifier(address).send("READY=1") is False


def test_a_manager_that_does_not_read_is_no_error(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify.sock"))
    with manager.socket:
        notifier = Notifier(str(tmp_path / "notify.sock"))
        notifier.send_timeout_seconds = 0.01
        assert not all(notifier.send("WATCHDOG=1") for _ in range(5000))
