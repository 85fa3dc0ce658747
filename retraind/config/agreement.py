"""What the parts of one model's configuration must agree on with each other. Called by `retraind.config.settings`.

Every check answers with (place, sentence) pairs, so that all of them are told at once.
"""

from collections.abc import Iterator, Mapping

from retraind.config.predictions import Predictions
from retraind.config.section import Place
from retraind.config.training import Gate, Training
from retraind.nearest import did_you_mean
from triggers.base import Trigger
from triggers.metrics import METRICS

Problems = Iterator[tuple[Place, str]]


def member_problems(triggers: Mapping[str, Trigger]) -> Problems:
    """Members of `all` and `any` that are not there, and triggers that wait for each other in a circle."""
    members = {name: _members(trigger) for name, trigger in triggers.items()}
    for name, needed in members.items():
        for index, member in enumerate(needed):
            if member not in triggers:
                others = [other for other in triggers if other != name]
                choice = f"write some of {', '.join(others)}" if others else "there is no other to combine"
                yield (
                    (name, "of", index),
                    f"the model has no trigger {member!r}{did_you_mean(member, others)}; {choice}",
                )
            elif (circle := _path(members, member, name)) is not None:
                told = " -> ".join((name, *circle))
                yield ((name, "of", index), f"the triggers wait for each other in a circle ({told}); take one out")


def disagreements(predictions: Predictions, triggers: Mapping[str, Trigger], training: Training) -> Problems:
    """What triggers and gates ask for that the predictions or the task cannot give."""
    task, said_by = _task(training)
    for name, trigger in triggers.items():
        place: Place = ("triggers", name)
        yield from _without_actuals(place, trigger, predictions)
        metric = getattr(trigger, "metric", None)
        if isinstance(metric, str) and metric in METRICS:
            yield from _metric_problems((*place, "metric"), metric, task, said_by)
            if _needs_scores(trigger, metric) and predictions.columns.score is None:
                yield (
                    (*place, "metric"),
                    f"{metric} needs the positive class's probability; name its column in predictions.columns.score",
                )
        yield from _feature_problems(place, trigger, predictions)
    for index, gate in enumerate(training.gates):
        yield from _metric_problems(("training", "gates", index, "metric"), gate.metric, task, said_by)
    yield from _needs_actuals_to_train(predictions, training)


def _members(trigger: Trigger) -> tuple[str, ...]:
    return tuple(getattr(trigger, "of", ())) if trigger.type in {"all", "any"} else ()


def _path(members: Mapping[str, tuple[str, ...]], start: str, goal: str) -> tuple[str, ...] | None:
    """The names from `start` to `goal` along memberships, both included. None: there is no such path."""
    paths: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while paths:
        path = paths.pop()
        if path[-1] == goal:
            return path
        onward = [name for name in members.get(path[-1], ()) if name not in seen]
        seen.update(onward)
        paths += [(*path, name) for name in onward]
    return None


def _task(training: Training) -> tuple[str | None, str]:
    """The task and what says so: the setting, else the first gate's metric. None: neither does."""
    if training.task is not None:
        return training.task, f"task is {training.task}"
    first: Gate | None = next(iter(training.gates), None)
    if first is None:
        return None, ""
    task = METRICS[first.metric].task
    return task, f"the first gate, by {first.metric}, means {task}"


def _metric_problems(place: Place, metric: str, task: str | None, said_by: str) -> Problems:
    if task is not None and METRICS[metric].task != task:
        fitting = ", ".join(sorted(name for name, other in METRICS.items() if other.task == task))
        yield place, f"{metric} is a metric of {METRICS[metric].task}, and {said_by}; write one of {fitting}"


def _needs_scores(trigger: Trigger, metric: str) -> bool:
    """Estimates of every classification metric come from scores."""
    known = METRICS[metric]
    return known.needs == "scores" or (trigger.type == "estimated_performance" and known.task == "classification")


def _without_actuals(place: Place, trigger: Trigger, predictions: Predictions) -> Problems:
    if predictions.columns.actual is not None:
        return
    mend = "name their column in predictions.columns.actual, or take the trigger out"
    if trigger.type in {"performance", "worth"}:
        yield place, f"a {trigger.type} trigger compares with actuals, and predictions.columns.actual is null; {mend}"
    elif trigger.type == "estimated_performance":
        yield (
            place,
            f"an estimated_performance trigger learns from actuals, and predictions.columns.actual is null; {mend}",
        )
    elif trigger.type == "volume" and getattr(trigger, "labelled", False):
        yield (*place, "labelled"), f"labelled rows need actuals, and predictions.columns.actual is null; {mend}"


def _feature_problems(place: Place, trigger: Trigger, predictions: Predictions) -> Problems:
    """Features that the store does not have; a file may bring columns of its own."""
    if trigger.type not in {"drift", "estimated_performance"} or getattr(trigger, "current", None) is not None:
        return
    known, asked = predictions.columns.feature_names, getattr(trigger, "features", None)
    for index, feature in enumerate(asked or ()):
        if feature not in known:
            yield (*place, "features", index), _no_such_feature(feature, known)
    if trigger.type == "drift" and not (asked or known or getattr(trigger, "prediction", True)):
        yield (
            place,
            "there is nothing to compare; list features in predictions.columns.features, or write prediction: true",
        )


def _no_such_feature(feature: str, known: tuple[str, ...]) -> str:
    listed = f"write some of {', '.join(known)}" if known else "list it in predictions.columns.features"
    return f"the predictions store has no feature {feature!r}{did_you_mean(feature, known)}; {listed}"


def _needs_actuals_to_train(predictions: Predictions, training: Training) -> Problems:
    data = training.data
    if data.source != "predictions":
        return
    if predictions.columns.actual is None and data.target == "actual":
        yield (
            ("training", "data", "source"),
            "training on the predictions store needs actuals, and predictions.columns.actual is null; "
            "name their column there, or train on {csv: PATH}, {parquet: PATH} or {sql: QUERY}",
        )
    names = predictions.columns.feature_names
    for index, feature in enumerate(data.features or ()):
        if feature not in names:
            yield ("training", "data", "features", index), _no_such_feature(feature, names)
