"""What a process says on standard error: each test lets a process of its own speak."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

PREAMBLE = """
import logging, structlog, threading, warnings
from pathlib import Path
from retraind.logs import configure_logging
log = structlog.get_logger("daemon.monitor")
"""


def said(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RETRAIND_")}
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + script],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def lines(script: str, **environment: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said(script, **environment).stderr.splitlines()]


def test_a_line_is_one_json_object_with_a_utc_time_on_standard_error_only() -> None:
    done = said("configure_logging()\nlog.info('look', model='delays', seconds=0.5)")
    assert done.stdout == ""
    line = json.loads(done.stderr)
    assert list(line) == ["time", "level", "event", "logger", "model", "seconds"]
    assert (line["level"], line["event"], line["logger"]) == ("info", "look", "daemon.monitor")
    assert (line["model"], line["seconds"]) == ("delays", 0.5)
    instant = datetime.fromisoformat(line["time"])
    assert abs((datetime.now(UTC) - instant).total_seconds()) < 60
    assert line["time"].endswith("Z")


def test_setting_up_twice_says_everything_once() -> None:
    assert len(lines("configure_logging()\nconfigure_logging()\nlog.info('look')")) == 1


def test_what_other_libraries_log_goes_the_same_way() -> None:
    script = "configure_logging()\nlogging.getLogger('celery.worker').warning('lost %s', 'it')\nwarnings.warn('old')"
    first, second = lines(script)
    assert (first["event"], first["logger"], first["level"]) == ("lost it", "celery.worker", "warning")
    assert "UserWarning: old" in second["event"]


@pytest.mark.parametrize("name", ["alembic.runtime", "apprise", "kombu.connection", "watchdog.observers"])
def test_other_libraries_keep_their_small_talk_to_themselves(name: str) -> None:
    assert lines(f"configure_logging()\nlogging.getLogger({name!r}).info('hm')", RETRAIND_LOG_LEVEL="DEBUG") == []


def test_an_exception_is_a_field_of_its_line() -> None:
    (line,) = lines("configure_logging()\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('tick_failed')")
    assert line["event"] == "tick_failed"
    assert line["exception"].endswith("ZeroDivisionError: division by zero")


def test_a_thread_that_dies_says_so() -> None:
    script = "configure_logging()\nt = threading.Thread(target=lambda: 1 / 0, name='look')\nt.start()\nt.join()"
    (line,) = lines(script)
    assert (line["event"], line["thread"], line["level"]) == ("thread_died", "look", "error")
    assert "ZeroDivisionError" in line["exception"]


def test_values_of_any_kind_make_a_line() -> None:
    (line,) = lines("configure_logging()\nlog.info('x', a=Path('/p'), b=float('nan'), c={1: {2}}, d=(object,), e=None)")
    assert (line["a"], line["b"], line["c"], line["e"]) == ("/p", "nan", {"1": [2]}, None)


def test_no_password_is_ever_said() -> None:
    script = """
configure_logging()
log.info("a", url="postgresql://u:hunter2@h/d", nested={"x": ["redis://:hunter2@h"]})
log.info("b", error=ValueError("password=hunter2"))
logging.getLogger("celery").error("cannot connect to %s", "redis://:hunter2@h/0")
try:
    raise ValueError("amqp://me:hunter2@h")
except ValueError:
    log.exception("c")
"""
    done = said(script)
    assert "hunter2" not in done.stderr
    assert done.stderr.count("***") >= 5


def test_no_secret_of_the_configuration_is_ever_said() -> None:
    script = """
class Keeper:
    secrets = ("slack-token-abc",)
configure_logging(Keeper())
log.info("a", error="https://hooks/slack-token-abc failed")
"""
    (line,) = lines(script)
    assert line["error"] == "https://hooks/*** failed"


def test_the_level_is_chosen_by_the_environment() -> None:
    script = "configure_logging()\nlog.info('a')\nlog.warning('b')\nlogging.getLogger('celery').info('c')"
    assert [line["event"] for line in lines(script, RETRAIND_LOG_LEVEL="warning")] == ["b"]


def test_a_level_that_does_not_exist_is_refused() -> None:
    done = said("configure_logging()", RETRAIND_LOG_LEVEL="WARNNG")
    assert "RETRAIND_LOG_LEVEL is 'WARNNG'; write one of DEBUG, INFO," in done.stderr
    assert "did you mean 'WARNING'?" in done.stderr


def test_text_can_be_asked_for() -> None:
    done = said("configure_logging()\nlog.info('look', model='delays')", RETRAIND_LOG="text")
    assert "[info     ] look" in done.stderr
    assert "model=delays" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(("chosen", "is_json"), [("", False), ("json", True)])
def test_a_terminal_gets_text_unless_it_asked_for_json(chosen: str, is_json: bool) -> None:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RETRAIND_")}
    script = PREAMBLE + "configure_logging()\nlog.info('look')"
    subprocess.run(
        [sys.executable, "-c", script], env={**environment, "RETRAIND_LOG": chosen}, stderr=theirs, check=True
    )
    os.close(theirs)
    text = os.read(ours, 4096).decode()
    os.close(ours)
    assert text.startswith('{"time"') is is_json
    assert "look" in text
