"""What the ledger knows of a model: pause, breaker, versions, deployments, and the facts triggers see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal, select, update

from retraind.config.policy import Breaker
from retraind.errors import Conflict
from retraind.ledger import tables
from retraind.ledger.importance import importance
from retraind.ledger.ledger import Transaction
from retraind.ledger.rows import Deployment, Version, insert_if_absent
from triggers.evidence import ModelFacts

_models = tables.models
_versions = tables.versions
_deployments = tables.deployments
# Made once: see `retraind.ledger.rows`.
_OPEN_JOB = select(tables.jobs.c.id).where(tables.jobs.c.model == bindparam("of"), tables.is_open).scalar_subquery()
_ONE_ROW = select(literal(1)).subquery()
_STANDING = select(_models, _OPEN_JOB.label("open_job")).select_from(
    _ONE_ROW.outerjoin(_models, _models.c.model == bindparam("of"))
)
_DEPLOYMENTS = (
    select(_deployments.c.version, _deployments.c.kind, _deployments.c.at)
    .where(_deployments.c.model == bindparam("of"))
    .order_by(_deployments.c.id)
)
_LAST_DEPLOYMENT = (
    select(_deployments).where(_deployments.c.model == bindparam("of")).order_by(_deployments.c.id.desc()).limit(1)
)
_TRAINED = select(func.max(tables.jobs.c.trained_at), func.max(tables.jobs.c.window_end)).where(
    tables.jobs.c.model == bindparam("of"), tables.jobs.c.trained_at.is_not(None)
)
_TRAINED_SINCE = _TRAINED.where(tables.jobs.c.trained_at > bindparam("since"))


@dataclass(frozen=True)
class Champions:
    """The deployed version and the one before it; None where there is none."""

    current: Version | None
    previous: Version | None


def make_known(transaction: Transaction, model: str) -> None:
    """Notes a model when it is first seen."""
    insert_if_absent(transaction, _models, {"model": model, "known_since": transaction.now})


def standing(connection: Connection, model: str) -> Any:
    """The model's row (paused_at, paused_by, pause_reason, fruitless_jobs, hold_until, known_since), and the id of its
    `open_job`. None: not so; a model that nobody has seen yet has nothing but None."""
    return connection.execute(_STANDING, {"of": model}).one()


def pause(transaction: Transaction, model: str, reason: str) -> bool:
    """Holds all new jobs of the model. False when it was paused already."""
    make_known(transaction, model)
    changed = transaction.connection.execute(
        update(_models)
        .where(_models.c.model == model, _models.c.paused_at.is_(None))
        .values(paused_at=transaction.now, paused_by=transaction.actor, pause_reason=reason)
    ).rowcount
    if changed:
        transaction.event("model.paused", model=model, data={"reason": reason})
    return bool(changed)


def resume(transaction: Transaction, model: str) -> bool:
    """Lifts a pause, and an open breaker: a person has looked. False when there was neither."""
    row = standing(transaction.connection, model)
    if row.paused_at is None and row.hold_until is None:
        return False
    transaction.connection.execute(
        update(_models)
        .where(_models.c.model == model)
        .values(paused_at=None, paused_by=None, pause_reason=None, hold_until=None, fruitless_jobs=0)
    )
    transaction.event("model.resumed", model=model, data={"breaker": row.hold_until is not None})
    return True


def count_fruitless(transaction: Transaction, model: str, job: str, breaker: Breaker) -> None:
    """A job ended without a deployment; after `breaker.after` in a row new jobs are held off, longer each time."""
    make_known(transaction, model)
    count = transaction.connection.execute(
        update(_models)
        .where(_models.c.model == model)
        .values(fruitless_jobs=_models.c.fruitless_jobs + 1)
        .returning(_models.c.fruitless_jobs)
    ).scalar_one()
    if count < breaker.after:
        return
    until = transaction.now + hold_off(breaker, count)
    transaction.connection.execute(update(_models).where(_models.c.model == model).values(hold_until=until))
    transaction.event("breaker.opened", model=model, job=job, data={"jobs": count, "until": until})


def hold_off(breaker: Breaker, fruitless_jobs: int) -> timedelta:
    """How long the breaker holds after so many jobs in a row without a deployment."""
    factor = 2 ** (fruitless_jobs - breaker.after)
    # Compared before it is multiplied: no timedelta holds what three dozen doublings make.
    return breaker.hold * factor if factor < breaker.longest / breaker.hold else breaker.longest


def count_fruitful(transaction: Transaction, model: str, job: str) -> None:
    """A deployment: the breaker closes."""
    row = standing(transaction.connection, model)
    make_known(transaction, model)
    transaction.connection.execute(
        update(_models).where(_models.c.model == model).values(fruitless_jobs=0, hold_until=None)
    )
    if row is not None and row.hold_until is not None:
        transaction.event("breaker.closed", model=model, job=job, data={})


def version(connection: Connection, model: str, name: str) -> Version | None:
    query = select(_versions).where(_versions.c.model == model, _versions.c.version == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else Version.of(row)


def versions_by_job(connection: Connection, model: str) -> dict[str, str]:
    """The version that each job of the model registered, by the job's id."""
    rows = connection.execute(select(_versions.c.job, _versions.c.version).where(_versions.c.model == model))
    return {row.job: row.version for row in rows}


def last_deployments(connection: Connection) -> dict[str, int]:
    """For each model that ever had a job or a deployment: the id of its last deployment, 0 before the first."""
    never = {str(model): 0 for model in connection.execute(select(tables.jobs.c.model).distinct()).scalars()}
    newest = select(_deployments.c.model, func.max(_deployments.c.id)).group_by(_deployments.c.model)
    return never | {str(model): int(last) for model, last in connection.execute(newest)}


def champions(connection: Connection, model: str) -> Champions:
    """The deployed version and the one before it."""
    return Champions(*[*_served(connection, model, _deployed(connection, model), most=2), None, None][:2])


def served(connection: Connection, model: str) -> list[Version]:
    """The versions that rollbacks would go back through, the champion first."""
    return _served(connection, model, _deployed(connection, model))


def _deployed(connection: Connection, model: str) -> Sequence[Any]:
    """The model's deployments (version, kind, at), oldest first."""
    return connection.execute(_DEPLOYMENTS, {"of": model}).all()


def _served(connection: Connection, model: str, deployed: Sequence[Any], most: int | None = None) -> list[Version]:
    """At most so many of those that `deployed` leaves, None for all.

    A deployment puts a version on top, a rollback or revert takes one off.
    """
    stack: list[str] = []
    for row in deployed:
        if row.kind == "deploy":
            stack.append(row.version)
        else:
            stack.pop()
    found = (version(connection, model, name) for name in reversed(stack))
    return list(islice((each for each in found if each is not None), most))


def last_deployment(connection: Connection, model: str) -> Deployment | None:
    row = connection.execute(_LAST_DEPLOYMENT, {"of": model}).one_or_none()
    return None if row is None else Deployment.of(row)


def deploy(transaction: Transaction, model: str, version_name: str, job: str) -> None:
    """Makes a version champion in the ledger; the targets follow. Asked twice for one job, it does nothing."""
    last = last_deployment(transaction.connection, model)
    if last is None or last.job != job:
        _append(transaction, model, version_name, "deploy", job)


def rollback(transaction: Transaction, model: str, reason: str) -> tuple[Version, Version]:
    """Makes the version before the champion champion again. Returns (from, to).

    Raises Conflict when there is none, or a deployment is under way.
    """
    deploying = select(tables.jobs.c.id).where(tables.jobs.c.model == model, tables.jobs.c.state == "deploying")
    job = transaction.connection.execute(deploying).scalar()
    if job is not None:
        raise Conflict(f"job {job} is deploying {model} right now; wait until it has ended and try again")
    both = champions(transaction.connection, model)
    if both.current is None or both.previous is None:
        raise Conflict(f"model {model!r} has no earlier version to go back to")
    _append(transaction, model, both.previous.version, "rollback", None)
    data = {"version": both.previous.version, "previous": both.current.version, "reason": reason}
    transaction.event("model.rolled_back", model=model, data=data)
    return both.current, both.previous


def revert(transaction: Transaction, model: str, job: str) -> None:
    """Takes back a deployment whose targets could not follow; asked twice for one job, it does nothing."""
    last = last_deployment(transaction.connection, model)
    if last is None or last.job != job or last.kind != "deploy":
        return
    below = champions(transaction.connection, model).previous
    _append(transaction, model, below.version if below else "", "revert", job)


def _append(transaction: Transaction, model: str, version_name: str, kind: str, job: str | None) -> None:
    transaction.connection.execute(
        _deployments.insert().values(
            model=model, version=version_name, job=job, kind=kind, actor=transaction.actor, at=transaction.now
        )
    )


def facts(connection: Connection, model: str, features: tuple[str, ...], now: datetime) -> ModelFacts:
    """What triggers may know of the model.

    The last training counts whatever came of it, but only since the last deployment: a rollback
    takes the reference, the volume count and the interval back to the older version's.
    """
    row = standing(connection, model)
    deployed = _deployed(connection, model)
    last = deployed[-1] if deployed else None
    champion = next(iter(_served(connection, model, deployed, most=1)), None)
    if last is None:
        trained_at, trained_until = connection.execute(_TRAINED, {"of": model}).one()
    else:
        trained_at, trained_until = connection.execute(_TRAINED_SINCE, {"of": model, "since": last.at}).one()
    if champion is not None:
        trained_at = trained_at or champion.trained_at
        trained_until = trained_until or champion.window_end
    return ModelFacts(
        known_since=row.known_since or now,
        trained_at=trained_at,
        trained_until=trained_until,
        version=champion.version if champion else None,
        deployed_at=last.at if last and champion else None,
        gate_metrics={k: v for k, v in ((champion.metrics if champion else None) or {}).items() if v is not None},
        features=features,
        importance=importance(connection, champion) if champion else {},
    )
