"""The servers that other tests stand on: real, fresh for each test, and gone afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from servers import postgres_server, valkey_server

TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize("visit", [1, 2])
def test_each_test_gets_an_empty_database(postgres_url: str, visit: int) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE seen (visit int)")
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (0,)


@pytest.mark.parametrize("visit", [1, 2])
def test_each_test_gets_an_empty_valkey(valkey_url: str, visit: int) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.incr("visits") == 1


def test_a_server_leaves_neither_process_nor_directory() -> None:
    with postgres_server() as postgres, valkey_server() as valkey:
        servers = [psutil.Process(postgres.process.pid), psutil.Process(valkey.process.pid)]
        family = servers + servers[0].children(recursive=True)
        directories = [Path(server.cwd()).parent if server is servers[0] else Path(server.cwd()) for server in servers]
        assert all(directory.is_dir() for directory in directories)
    assert not [process for process in family if process.is_running()]
    assert not [directory for directory in directories if directory.exists()]


if sys.platform == "linux":  # elsewhere no kernel ends children with their parent

    def test_a_killed_test_process_takes_its_servers_along() -> None:
        script = (
            "import time\nfrom servers import valkey_server\n"
            "with valkey_server() as server:\n    print(server.process.pid, flush=True)\n    time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=TESTS) as parent:
            assert parent.stdout is not None
            server = psutil.Process(int(parent.stdout.readline()))
            directory = Path(server.cwd())
            parent.send_signal(signal.SIGKILL)
        assert server.wait(10) is None or not server.is_running()
        for path in directory.glob("*"):
            path.unlink()
        directory.rmdir()
