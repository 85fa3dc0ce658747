"""The systemd units: accepted by systemd itself, closed in, and stopped and restarted as they should be.

Where systemd-analyze is installed it judges the units. Elsewhere (a container, another system) a reading of
our own does: every section and directive must be known, every line well formed. Nothing is skipped.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from triggers.quantities import parse_duration

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
DAEMON, WORKER = ROOT / "deploy/systemd/retraind.service", ROOT / "deploy/systemd/retraind-worker@.service"

KNOWN = {
    "Unit": "Description Documentation Wants After StartLimitIntervalSec StartLimitBurst",
    "Service": "Type NotifyAccess ExecStart ExecReload "
    "User Group UMask WorkingDirectory StateDirectory StateDirectoryMode "
    "EnvironmentFile WatchdogSec TimeoutStartSec TimeoutStopSec KillMode Restart RestartSec RestartPreventExitStatus "
    "ProtectSystem ProtectHome PrivateTmp PrivateDevices NoNewPrivileges CapabilityBoundingSet AmbientCapabilities "
    "RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality "
    "MemoryDenyWriteExecute ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs "
    "ProtectKernelModules ProtectKernelTunables ProtectProc RemoveIPC SystemCallArchitectures SystemCallFilter "
    "SystemCallErrorNumber",
    "Install": "WantedBy",
}


def directives(unit: Path) -> dict[str, list[str]]:
    """Every directive's values, in order. Raises ValueError for a line or a directive that is not known."""
    section, found = "", dict[str, list[str]]()
    for line in unit.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif (pair := re.fullmatch(r"(\w+)=(.*)", line)) and pair[1] in KNOWN[section].split():
            found.setdefault(pair[1], []).append(pair[2])
        else:
            raise ValueError(f"{unit.name}: unknown in [{section}]: {line}")
    return found


def complaints(unit: Path, directory: Path) -> str:
    """What systemd, or our own reading without it, has against a unit; empty if nothing."""
    installed = Path(sys.executable).parent / "retraind"
    copy = directory / unit.name
    copy.write_text(unit.read_text().replace("/opt/retraind/.venv/bin/retraind", str(installed)))
    if shutil.which("systemd-analyze") is None:
        try:
            directives(copy)
        except (ValueError, KeyError) as error:
            return str(error)
        return ""
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr + (f"exit {result.returncode}" if result.returncode else "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    assert complaints(unit, tmp_path) == ""
    assert directives(unit)["Type"] == ["notify"]


def test_a_misspelt_directive_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "retraind.service"
    broken.parent.mkdir()
    broken.write_text(DAEMON.read_text().replace("WatchdogSec", "WatchdogSeconds"))
    assert "WatchdogSeconds" in complaints(broken, tmp_path)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_restarts_after_a_failure_but_not_after_a_wrong_configuration(unit: Path) -> None:
    found = directives(unit)
    assert found["Restart"] == ["on-failure"]
    assert "2" in found["RestartPreventExitStatus"][0].split()
    storm = int(found["StartLimitBurst"][0]) * parse_duration(found["RestartSec"][0])
    assert storm < parse_duration(found["StartLimitIntervalSec"][0]), "a restart storm would never meet its limit"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_stop_asks_the_main_process_alone(unit: Path) -> None:
    assert directives(unit)["KillMode"] == ["mixed"]


def test_everything_but_the_state_directory_is_read_only_and_no_privilege_is_kept() -> None:
    for unit in UNITS:
        found = directives(unit)
        assert found["User"] == ["retraind"]
        assert found["ProtectSystem"] == ["strict"]
        assert found["StateDirectory"] == ["retraind"]
        assert found["NoNewPrivileges"] == ["yes"]
        assert found["CapabilityBoundingSet"] == [""]
        assert "@system-service" in found["SystemCallFilter"]


def test_only_the_daemon_forbids_memory_that_is_written_and_then_run() -> None:
    assert directives(DAEMON)["MemoryDenyWriteExecute"] == ["yes"]
    assert "MemoryDenyWriteExecute" not in directives(WORKER)
