"""Tries everything that a configuration names: `retraind check`.

One file a thing that can be named. Each check yields findings and changes nothing; one that raises is
a finding itself, so that all the others are still told.
"""

from collections.abc import Callable, Iterator
from functools import partial

from daemon.checks import alerts, broker, deploy, directories, ledger, mlflow, predictions, programs, trainer, triggers
from daemon.checks.finding import CheckReport, Finding, Level, problem
from retraind.config.settings import Settings
from retraind.errors import RetraindError
from retraind.redaction import redact

Check = Callable[[], Iterator[Finding]]


def check_all(settings: Settings) -> CheckReport:
    """Every finding, in the order of what depends on what."""
    findings = [_redacted(finding, settings) for check in _checks(settings) for finding in _findings(check)]
    sound = all(finding.level is not Level.PROBLEM for finding in findings)
    return CheckReport(str(settings.source_path), sound, findings)


def _checks(settings: Settings) -> Iterator[tuple[str, Check]]:
    yield "state", partial(directories.check, settings)
    yield "ledger", partial(ledger.check, settings)
    yield "broker", partial(broker.check, settings)
    yield "mlflow", partial(mlflow.check, settings)
    for name, model in settings.models.items():
        place = f"models.{name}"
        yield f"{place}.predictions", partial(predictions.check, f"{place}.predictions", model)
        yield f"{place}.triggers", partial(triggers.check, f"{place}.triggers", name, model)
        yield f"{place}.training", partial(trainer.check, f"{place}.training", model, settings.directory)
        yield f"{place}.deploy", partial(deploy.check, f"{place}.deploy", model, settings.directory)
    yield "commands", partial(programs.check_secrets, settings)
    yield "alerts", partial(alerts.check, settings)


def _findings(check: tuple[str, Check]) -> list[Finding]:
    what, run = check
    try:
        return list(run())
    except RetraindError as error:
        return [problem(what, str(error))]
    except Exception as error:  # noqa: BLE001  # the boundary of one check: what it raises is what it found
        return [problem(what, f"it could not be tried: {type(error).__name__}: {error}")]


def _redacted(finding: Finding, settings: Settings) -> Finding:
    mend = redact(finding.mend, settings) if finding.mend else None
    return Finding(finding.level, finding.setting, redact(finding.sentence, settings), mend)


__all__ = ["CheckReport", "Finding", "Level", "check_all"]
