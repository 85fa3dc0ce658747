"""Writes the demo's summary: what fired when and why, what came of it, whether it paid, and where to look next."""

from collections.abc import Mapping, Sequence

from daemon.cli import output
from daemon.demo.audit import Event
from daemon.demo.pace import Pace
from daemon.demo.place import MODEL, Place
from daemon.demo.serving import NO_MODEL
from daemon.demo.story import Teller
from daemon.demo.summary import Comparison, Figures, Retraining, live_figures, payoff, retrainings

_NONE = "-"


def show(place: Place, events: Sequence[Event], teller: Teller, pace: Pace) -> None:
    """The whole summary, on standard output."""
    jobs = retrainings(events)
    live = live_figures(place.store, pace.began)
    output.say()
    output.say("What fired, and what came of it")
    output.show_table(("", "2013", "by", "outcome", "since", "because"), [_cause(job, teller) for job in jobs], "  ")
    output.say()
    output.say("Live figures around each deployment: the version before, the new one, and on the new one's flights the")
    output.say("first model, had it never been retrained")
    headers = ("version", "since", "flights", "log loss before", "after", "first", "accuracy before", "after", "first")
    output.show_table(headers, deployments(jobs, live, teller), "  ")
    output.say()
    _show_payoff(place, jobs)
    _show_ways_on(place)


def _cause(job: Retraining, teller: Teller) -> tuple[str, ...]:
    since = teller.date(job.deployed_at) if job.deployed_at else _NONE
    outcome = (job.outcome or "open").replace("_", " ")
    return str(job.number), teller.date(job.requested_at), job.by, outcome, since, teller.in_2013(job.reason)


def deployments(jobs: Sequence[Retraining], live: Mapping[str, Comparison], teller: Teller) -> list[tuple[str, ...]]:
    """A row for each deployment, in their order. A version that no known flight was predicted by has no figures."""
    rows = []
    before = NO_MODEL
    for job in jobs:
        if job.version is None or job.deployed_at is None:
            continue
        old, new = live.get(before), live.get(job.version)
        three = (old.served if old else None, new.served if new else None, new.first if new else None)
        flights = f"{new.served.flights:,}" if new else _NONE
        since = teller.date(job.deployed_at)
        rows.append((job.version, since, flights, *(_loss(f) for f in three), *(_accuracy(f) for f in three)))
        before = job.version
    return rows


def _loss(figures: Figures | None) -> str:
    return f"{figures.log_loss:.4f}" if figures else _NONE


def _accuracy(figures: Figures | None) -> str:
    return f"{figures.accuracy:.2%}" if figures else _NONE


def _show_payoff(place: Place, jobs: Sequence[Retraining]) -> None:
    """The year since the second deployment: before it there was nothing to compare."""
    deployed = [job.deployed_at for job in jobs if job.deployed_at is not None]
    both = payoff(place.store, deployed[1]) if len(deployed) > 1 else None
    if both is None or both.first is None:
        return
    served, first = both.served, both.first
    output.say(f"Did retraining pay? On the {served.flights:,} flights since the first retrained model was deployed:")
    rows = [
        (name, f"{figures.log_loss:.4f}", f"{figures.accuracy:.2%}", f"{figures.roc_auc:.4f}")
        for name, figures in (("as retrained", served), ("never retrained", first))
    ]
    output.show_table(("", "log loss", "accuracy", "ROC AUC"), rows, "  ")
    output.say()


def _show_ways_on(place: Place) -> None:
    output.say(f"audit log     {place.audit}")
    output.say(f"MLflow store  sqlite:///{place.mlflow}")
    output.say()
    output.say("What to type next:")
    output.say(f"  cd {place.root}")
    output.say(f"  retraind jobs {MODEL}              every retraining; retraind show JOB tells one in full")
    output.say("  retraind audit tail --lines 20    what was decided last, and why")
    output.say("  retraind up                       the system again; retraind status in another terminal")
    output.say("  mlflow ui --backend-store-uri sqlite:///state/mlflow.db")
    output.say()
