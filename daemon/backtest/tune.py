"""Thresholds that would have kept a budget of false alarms on a model's own history.

Each trigger that judges data is replayed by itself over a ladder of settings, from sensitive to dull: a drift
trigger's effect sizes together, a performance trigger's bar. The most sensitive rung is sought whose alarms
that no loss of performance followed stay within the budget; a rung is only replayed where halving the
ladder needs it, since duller settings give fewer alarms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daemon.backtest.alarms import alarm_reports, loss_reports
from daemon.backtest.outcome import Scene, replay
from daemon.backtest.performance import Loss, Yardstick, losses, margin_bar, periods, yardstick
from daemon.backtest.policies import CONFIGURED, Policy, replayable
from daemon.backtest.replay import STEPS, scratch
from daemon.backtest.report import CandidateReport, TuningReport
from daemon.backtest.run import Progress, Wishes, read, span
from retraind.config.settings import Settings
from retraind.errors import ConfigurationError
from triggers.bar import BarTrigger
from triggers.base import Trigger
from triggers.drift import DriftTrigger
from triggers.metrics import METRICS
from triggers.quantities import Rate

_FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0)
_HIGHEST = {"ks": 1.0, "psi": None, "js": 1.0, "location": 0.5, "scale": None}
_QUANTILES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)  # of the periods' figures, from good to bad
_BEYOND = 1.02  # the last bar is so much worse than the worst period


@dataclass(frozen=True)
class _Bench:
    """What all candidates are judged by."""

    scene: Scene
    by: Yardstick
    bar: float
    losses: Sequence[Loss]
    budget: Rate | None  # None: each trigger's own


def tune(settings: Settings, name: str, wishes: Wishes, budget: Rate | None, progress: Progress) -> TuningReport:
    """Raises ConfigurationError where no trigger has thresholds, and what `daemon.backtest.run` raises."""
    model, notes = replayable(settings.models[name])
    ladders = {each: trigger for each, trigger in model.triggers.items() if _is_tunable(trigger)}
    if not ladders:
        raise ConfigurationError(
            f"model {name!r} has no trigger with thresholds to tune; they are drift, performance and "
            "estimated_performance with a bar (below or above)"
        )
    history = read(model, wishes)
    since, until = span(history, model, wishes)
    history.anew()
    by = yardstick(model, wishes.metric)
    bar, because = margin_bar(by, history, since, wishes.margin)
    found = losses(periods(history, by, since, until), by, bar)
    with scratch() as directory:
        scene = Scene(settings, name, history, since, until, wishes.finest or (until - since) / STEPS, directory, None)
        bench = _Bench(scene, by, bar, found, budget)
        tried = [each for trigger in ladders for each in _tuned(bench, trigger, ladders[trigger], progress)]
    return TuningReport(
        model=name,
        since=since,
        until=until,
        metric=by.metric.name,
        bar=bar,
        bar_because=because,
        notes=[*notes, *_notes(bench, ladders, tried)],
        candidates=tried,
        snippet=_snippet(bench, ladders, tried),
    )


def _is_tunable(trigger: Trigger) -> bool:
    if isinstance(trigger, BarTrigger):
        return trigger.worse_than_gate is None
    return isinstance(trigger, DriftTrigger)


def _tuned(bench: _Bench, name: str, trigger: Trigger, progress: Progress) -> list[CandidateReport]:
    """What was tried, from sensitive to dull; the one that is proposed is marked."""
    ladder = _ladder(bench, trigger)
    tried: dict[int, CandidateReport] = {}
    low, high = 0, len(ladder)  # rungs below `low` are beyond the budget, those from `high` on within it
    while low < high:
        middle = (low + high) // 2
        tried[middle] = _try(bench, name, trigger, ladder[middle], progress)
        if tried[middle].within_budget:
            high = middle
        else:
            low = middle + 1
    if high in tried:
        tried[high] = replace(tried[high], chosen=True)
    return [tried[rung] for rung in sorted(tried)]


def _ladder(bench: _Bench, trigger: Trigger) -> list[Mapping[str, float]]:
    if isinstance(trigger, DriftTrigger):
        return [_scaled(trigger, factor) for factor in _FACTORS]
    assert isinstance(trigger, BarTrigger)  # noqa: S101 - nothing else is tunable
    by = replace(bench.by, metric=METRICS[trigger.metric])
    scene = bench.scene
    values = [each.value for each in periods(scene.history, by, scene.since, scene.until) if each.value is not None]
    if not values:
        raise ConfigurationError(f"{trigger.metric} cannot be told of any period; choose another --since")
    falls = by.metric.higher_is_better
    ordered = sorted(values, reverse=falls)
    bars = [ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in _QUANTILES]
    bars.append(ordered[-1] / _BEYOND if falls else ordered[-1] * _BEYOND)
    word = "below" if falls else "above"
    return [{word: value} for value in dict.fromkeys(float(f"{each:.3g}") for each in bars)]


def _scaled(trigger: DriftTrigger, factor: float) -> Mapping[str, float]:
    sizes = {}
    for name, highest in _HIGHEST.items():
        value = float(f"{getattr(trigger, name) * factor:.3g}")
        sizes[name] = value if highest is None else min(value, highest)
    return sizes


def _try(
    bench: _Bench, name: str, trigger: Trigger, settings: Mapping[str, float], progress: Progress
) -> CandidateReport:
    scene, budget = bench.scene, bench.budget or _budget_of(trigger)
    candidate = _with(trigger, settings, bench.budget)
    model = scene.settings.models[scene.name].model_copy(update={"triggers": {name: candidate}})
    policy = Policy(f"{CONFIGURED}-{name}-{'-'.join(map(str, settings.values()))}", model, scene.settings.source_path)
    with progress.policy(f"{name} {dict(settings)}") as passed:
        outcome = replay(scene, policy, (), passed)
    told = alarm_reports(outcome, bench.losses, scene)
    lost = loss_reports(outcome, bench.losses, scene)
    false = sum(not each.followed for each in told)
    missed = sum(each.missed for each in lost)
    allowed = budget.count * ((scene.until - scene.since) / budget.per)
    return CandidateReport(
        trigger=name,
        settings=settings,
        alarms=len(told),
        false=false,
        found=len(lost) - missed,
        missed=missed,
        within_budget=false <= allowed,
        chosen=False,
    )


def _budget_of(trigger: Trigger) -> Rate:
    found = getattr(trigger, "false_alarms", None)
    return found if isinstance(found, Rate) else Rate.parse("1 per 90d")


def _with(trigger: Trigger, settings: Mapping[str, Any], budget: Rate | None) -> Trigger:
    """The trigger with these settings, and with the budget where one was stated."""
    written = {**_written(trigger), **settings}
    if budget is not None:
        written = {**written, "false_alarms": str(budget)}
        written.pop("confidence", None)
    return type(trigger).model_validate(written)


def _written(trigger: Trigger) -> dict[str, Any]:
    """The settings as their user wrote them."""
    return {"type": trigger.type, **trigger.model_dump(mode="json", exclude_unset=True)}


def _notes(bench: _Bench, ladders: Mapping[str, Trigger], tried: Sequence[CandidateReport]) -> list[str]:
    days = (bench.scene.until - bench.scene.since).total_seconds() / 86_400
    notes = [f"{len(bench.losses)} losses of performance in {days:.0f} days"]
    chosen = {each.trigger for each in tried if each.chosen}
    notes += [f"{name}: no setting that was tried keeps the budget" for name in ladders if name not in chosen]
    notes.append("what kept a budget once need not keep it again: leave room, or try it on another span with --since")
    return notes


def _snippet(bench: _Bench, ladders: Mapping[str, Trigger], tried: Sequence[CandidateReport]) -> str | None:
    import yaml

    chosen = {each.trigger: each.settings for each in tried if each.chosen}
    if not chosen:
        return None
    lines = []
    for name, settings in chosen.items():
        written = _written(_with(ladders[name], settings, bench.budget))
        flow = yaml.safe_dump(written, default_flow_style=True, sort_keys=False, width=10_000).strip()
        lines.append(f"{name}: {flow}")
    return "\n".join(lines) + "\n"
