"""Removes rows that have been kept long enough, in small batches, and never one that is still needed.

The leading daemon calls it. What is removed is told by an event in the same transaction (looks apart:
they were never told). Needed, however old, are

1. open jobs, with everything of theirs, and each model's newest job that has ended;
2. every deployment that a rollback may still go back through, with its version and its job;
3. the jobs that say when and up to where a model was last trained since its last deployment;
4. a job that trained on the same data by the same recipe as one that is kept: later jobs are skipped for it;
5. the newest firing of each trigger, and those that wait for a job;
6. events that an open job has had, or that a receiver of alerts was not told of.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, or_, select, update

from retraind.ledger import tables
from retraind.ledger.jobs import TWIN_STATES
from retraind.ledger.ledger import Transaction
from retraind.ledger.models import last_deployment
from retraind.states import CLOSED_STATES, OPEN_STATES

BATCH = 500  # rows that one transaction removes
_jobs = tables.jobs
_fires = tables.fires
_deployments = tables.deployments
_versions = tables.versions
_events = tables.events


def prune_looks(transaction: Transaction, before: datetime) -> int:
    """Removes looks older than `before`; returns how many."""
    return _remove(transaction, tables.looks, tables.looks.c.at < before)


def prune_firings(transaction: Transaction, before: datetime) -> int:
    """Removes firings older than `before` that belong to no job; returns how many."""
    old = (_fires.c.job.is_(None)) & (_fires.c.role != "waiting") & (_fires.c.at < before)
    removed = _remove(transaction, _fires, old & _fires.c.id.not_in(_newest_firings()))
    if removed:
        transaction.event("retention.pruned", data={"firings": removed})
    return removed


def models_with_old_jobs(connection: Connection, before: datetime) -> list[str]:
    """The models that have a job which ended before `before`, configured or not."""
    query = select(_jobs.c.model).where(_jobs.c.closed_at < before).distinct().order_by(_jobs.c.model)
    return list(connection.execute(query).scalars())


def prunable_jobs(connection: Connection, model: str, before: datetime) -> list[str]:
    """The model's jobs that ended before `before` and are needed for nothing, oldest first, at most a batch."""
    query = select(_jobs.c.id, _jobs.c.state, _jobs.c.data_hash, _jobs.c.recipe_hash).where(
        _jobs.c.model == model,
        _jobs.c.state.in_(CLOSED_STATES),
        _jobs.c.closed_at < before,
        ~_deployed(),
    )
    old = connection.execute(query.order_by(_jobs.c.closed_at, _jobs.c.id)).all()
    kept = _last_ones(connection, model) if old else set()
    trained = _trained_on(connection, model, before, kept) if old else set()
    return [
        row.id
        for row in old
        if row.id not in kept and not (row.state in TWIN_STATES and (row.data_hash, row.recipe_hash) in trained)
    ][:BATCH]


def prune_jobs(transaction: Transaction, model: str, before: datetime) -> int:
    """Removes a batch of the model's `prunable_jobs` with their stages, firings and versions; returns how many jobs."""
    connection = transaction.connection
    ids = prunable_jobs(connection, model, before)
    if not ids:
        return 0
    newest = _fires.c.id.in_(_newest_firings(model))
    connection.execute(update(_fires).where(_fires.c.job.in_(ids), newest).values(job=None))
    connection.execute(delete(_fires).where(_fires.c.job.in_(ids)))
    connection.execute(delete(tables.stages).where(tables.stages.c.job.in_(ids)))
    connection.execute(delete(_versions).where(_versions.c.job.in_(ids)))
    removed = connection.execute(delete(_jobs).where(_jobs.c.id.in_(ids), _jobs.c.state.in_(CLOSED_STATES))).rowcount
    transaction.event("retention.pruned", model=model, data={"jobs": removed})
    return removed


def models_with_old_rollbacks(connection: Connection, before: datetime) -> list[str]:
    """The models that went back from a deployment before `before`."""
    query = select(_deployments.c.model).where(_deployments.c.kind != "deploy", _deployments.c.at < before)
    return list(connection.execute(query.distinct().order_by(_deployments.c.model)).scalars())


def prune_deployments(transaction: Transaction, model: str, before: datetime) -> int:
    """Removes deployments that were taken back before `before`, each together with what took it back.

    Such a pair leaves what `models.served` replays as it is: the one puts a version on top, the other
    takes it off. Returns how many rows went. The newest row stays: it says since when things are as they are.
    """
    ids = _taken_back(transaction.connection, model, before)[: BATCH - BATCH % 2]
    if ids:
        transaction.connection.execute(delete(_deployments).where(_deployments.c.id.in_(ids)))
        transaction.event("retention.pruned", model=model, data={"deployments": len(ids)})
    return len(ids)


def prunable_events(connection: Connection, before: datetime, most: int) -> list[tuple[int, datetime, str]]:
    """The next events that may go, as (seq, time, hash): at most `most`, oldest first and without a gap.

    They are older than `before`, no open job had one of them since, and every receiver was told. Whether
    the audit log has them is the caller's to see.
    """
    told = connection.execute(select(func.min(tables.receivers.c.seq))).scalar()
    query = select(_events.c.seq, _events.c.time, _events.c.hash).order_by(_events.c.seq).limit(most)
    if told is not None:
        query = query.where(_events.c.seq <= told)
    open_jobs = select(_jobs.c.id).where(_jobs.c.state.in_(OPEN_STATES))
    held = connection.execute(select(func.min(_events.c.seq)).where(_events.c.job.in_(open_jobs))).scalar()
    if held is not None:
        query = query.where(_events.c.seq < held)
    found: list[tuple[int, datetime, str]] = []
    for seq, time, digest in connection.execute(query):
        if time >= before:
            break
        found.append((seq, time, digest))
    return found


def prune_events(transaction: Transaction, through: int) -> int:
    """Removes the events up to seq `through`, and keeps its hash, on which the chain of the others stands.

    Returns how many. Nothing happens where another process has pruned as far already.
    """
    connection = transaction.connection
    last = connection.execute(select(_events.c.hash).where(_events.c.seq == through)).scalar()
    if last is None:
        return 0
    removed = connection.execute(delete(_events).where(_events.c.seq <= through)).rowcount
    anchor = update(tables.chain).where(tables.chain.c.pruned_seq < through)
    connection.execute(anchor.values(pruned_seq=through, pruned_hash=last))
    transaction.event("retention.pruned", data={"events": removed, "through": through})
    return removed


def _deployed() -> ColumnElement[bool]:
    """True of a job that a deployment names, by itself or by its version."""
    same = or_(_deployments.c.job == _jobs.c.id, _deployments.c.version == _jobs.c.version)
    return exists().where(_deployments.c.model == _jobs.c.model, same)


def _last_ones(connection: Connection, model: str) -> set[str]:
    """The model's newest ended job, and the jobs that `models.facts` takes the last training's instants from."""
    ended = select(_jobs.c.id).where(_jobs.c.model == model, _jobs.c.closed_at.is_not(None))
    trained = select(_jobs.c.id).where(_jobs.c.model == model, _jobs.c.trained_at.is_not(None))
    last = last_deployment(connection, model)
    if last is not None:
        trained = trained.where(_jobs.c.trained_at > last.at)
    queries = (
        ended.order_by(_jobs.c.closed_at.desc(), _jobs.c.id.desc()),
        trained.order_by(_jobs.c.trained_at.desc()),
        trained.where(_jobs.c.window_end.is_not(None)).order_by(_jobs.c.window_end.desc()),
    )
    found = [connection.execute(query.limit(1)).scalar() for query in queries]
    return {job for job in found if job is not None}


def _trained_on(connection: Connection, model: str, before: datetime, kept: Collection[str]) -> set[tuple[str, str]]:
    """What the model's jobs that stay were about, as (data_hash, recipe_hash)."""
    query = select(_jobs.c.data_hash, _jobs.c.recipe_hash).where(
        _jobs.c.model == model,
        _jobs.c.data_hash.is_not(None),
        or_(_jobs.c.closed_at.is_(None), _jobs.c.closed_at >= before, _jobs.c.id.in_(kept)),
    )
    return {(row.data_hash, row.recipe_hash) for row in connection.execute(query.distinct())}


def _taken_back(connection: Connection, model: str, before: datetime) -> list[int]:
    """The ids of deployments taken back before `before` and of what took them back, pair by pair."""
    rows = connection.execute(
        select(_deployments).where(_deployments.c.model == model).order_by(_deployments.c.id)
    ).all()
    on_top: list[int] = []
    pairs: list[int] = []
    for row in rows:
        if row.kind == "deploy":
            on_top.append(row.id)
            continue
        deployed = on_top.pop()
        if row.at < before and row.id != rows[-1].id:
            pairs += [deployed, row.id]
    return pairs


def _newest_firings(model: str | None = None) -> Any:
    """The ids of each trigger's newest firing."""
    query = select(func.max(_fires.c.id)).group_by(_fires.c.model, _fires.c.trigger)
    return query if model is None else query.where(_fires.c.model == model)


def _remove(transaction: Transaction, table: Table, condition: ColumnElement[bool]) -> int:
    ids = select(table.c.id).where(condition).order_by(table.c.id).limit(BATCH)
    return transaction.connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
