"""Whichever service manager asks a worker to stop, it waits out the grace of a stage, and kills no stage before."""

import configparser
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from retraind.config.settings import Workers
from triggers.quantities import parse_duration

ROOT = Path(__file__).parents[2]
HANDING_OVER = timedelta(seconds=20)


def systemd_waits(unit: str) -> timedelta:
    (wait,) = re.findall(r"^TimeoutStopSec=(.*)$", (ROOT / "deploy/systemd" / unit).read_text(), re.MULTILINE)
    return parse_duration(wait)


def supervisord_program(name: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read(ROOT / "deploy/supervisord.conf")
    return parser[f"program:{name}"]


def compose_waits(service: str) -> timedelta:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parse_duration(compose["services"][service]["stop_grace_period"])


def test_every_service_manager_waits_longer_than_a_stage_is_given() -> None:
    needed = Workers().grace + HANDING_OVER
    assert systemd_waits("retraind-worker@.service") >= needed
    assert timedelta(seconds=supervisord_program("retraind-worker").getint("stopwaitsecs")) >= needed
    assert compose_waits("worker") >= needed


def test_the_daemon_is_waited_for_as_long_everywhere() -> None:
    waits = systemd_waits("retraind.service")
    assert waits == timedelta(seconds=supervisord_program("retraind").getint("stopwaitsecs")) == compose_waits("daemon")


@pytest.mark.parametrize("program", ["retraind", "retraind-worker"])
def test_supervisord_asks_the_main_process_alone_and_kills_the_group_that_is_left(program: str) -> None:
    settings = supervisord_program(program)
    assert settings.getboolean("stopasgroup") is False
    assert settings.getboolean("killasgroup") is True


@pytest.mark.parametrize("program", ["retraind", "retraind-worker"])
def test_supervisord_leaves_a_wrong_configuration_down(program: str) -> None:
    settings = supervisord_program(program)
    assert settings["autorestart"] == "unexpected"
    assert "2" in settings["exitcodes"].split(",")
