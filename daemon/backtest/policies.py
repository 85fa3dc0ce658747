"""The policies that a backtest compares, as they are named in `--compare`.

`configured` is the model as it is; `never` has no triggers; `weekly`, or any period as `14d`, retrains so long after
the last training; `fixed` does so with as many retrainings as `configured` had; a file is another configuration of the
same model. `oracle` is none: it is worked out from what the others trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from os import environ
from pathlib import Path

from retraind.config.loading import load
from retraind.config.policy import Policy as Decisions
from retraind.config.settings import Model, Settings
from retraind.errors import ConfigurationError
from triggers.base import Trigger
from triggers.interval import IntervalTrigger
from triggers.quantities import format_duration, parse_duration

CONFIGURED, NEVER, FIXED, ORACLE = "configured", "never", "fixed", "oracle"
_PERIODS = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}


@dataclass(frozen=True)
class Policy:
    """One model, as it would have been run. `config` is the file that it is trained by."""

    name: str
    model: Model
    config: Path


def policies(settings: Settings, name: str, wanted: Sequence[str]) -> list[Policy]:
    """Those that are named, `configured` first, but for `fixed` and `oracle`, which follow from others.

    Raises ConfigurationError for a name that is none.
    """
    model, config = settings.models[name], settings.source_path
    found = [Policy(CONFIGURED, model, config)]
    for each in dict.fromkeys(wanted):
        if each in {CONFIGURED, FIXED, ORACLE}:
            continue
        if each == NEVER:
            found.append(Policy(each, _with(model, {}), config))
        elif Path(each).suffix in {".yaml", ".yml"}:
            found.append(_of_file(each, name, model))
        else:
            found.append(every(each, model, config, _period(each)))
    return found


def every(name: str, model: Model, config: Path, period: timedelta) -> Policy:
    """Retrains so long after the last training, whatever came of that, and holds nothing back."""
    return Policy(name, _with(model, {"every": IntervalTrigger(every=period)}), config)


def fixed(configured: Policy, retrainings: int, time: timedelta) -> Policy:
    """The fixed period with so many retrainings in `time`: each version, the first one too, serves as long."""
    # A second more, or one that is rounded down would bring another retraining at the very end.
    period = time / (retrainings + 1) + timedelta(seconds=1)
    return every(FIXED, configured.model, configured.config, period)


def _period(name: str) -> timedelta:
    try:
        return _PERIODS.get(name) or parse_duration(name)
    except ValueError:
        raise ConfigurationError(
            f"there is no policy {name!r} to compare with; write never, fixed, oracle, daily, weekly, a period as 14d, "
            "or a configuration file (.yaml)"
        ) from None


def _with(model: Model, triggers: dict[str, Trigger]) -> Model:
    decisions = Decisions(on_incident=model.policy.on_incident, breaker=model.policy.breaker)
    return model.model_copy(update={"triggers": triggers, "policy": decisions})


def _of_file(path: str, name: str, configured: Model) -> Policy:
    settings = load(Path(path), environ)
    if name not in settings.models:
        raise ConfigurationError(f"{path} has no model {name!r} to compare with; it has: {', '.join(settings.models)}")
    model = settings.models[name]
    mine, others = configured.predictions, model.predictions
    if (mine.url, mine.table, mine.only) != (others.url, others.table, others.only):
        raise ConfigurationError(
            f"{path} reads the predictions of {name!r} from another table; name the same under predictions"
        )
    return Policy(Path(path).stem, model, settings.source_path)


def replayable(model: Model) -> tuple[Model, list[str]]:
    """The model without triggers whose evidence nothing has kept, and a sentence about each."""
    kept, left_out = {}, []
    for name, trigger in model.triggers.items():
        if trigger.wakes_on_files:
            left_out.append(f"{name} is left out: nothing tells which files were there when")
        elif getattr(trigger, "current", None) is not None:
            left_out.append(f"{name} is left out: its current data is a file, and nothing tells what that held when")
        else:
            kept[name] = trigger
    return model.model_copy(update={"triggers": kept}), left_out


def told_period(period: timedelta) -> str:
    """To the minute."""
    return format_duration(timedelta(minutes=max(round(period / timedelta(minutes=1)), 1)))
