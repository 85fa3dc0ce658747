"""The proof, from the ledger, the audit log, MLflow and the directories alone, that nothing was lost or done twice.

`unsteady` says what is still under way; `violations` what must never be, whatever was struck.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import project
import psutil
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError
from watchers import alias_place
from world import World

from retraind.ledger import models, shown, tables
from retraind.ledger.chain import GENESIS, canonical
from retraind.states import CLOSED_STATES, JobState
from workers.process import TOKEN

_AT_REST = CLOSED_STATES | {JobState.AWAITING_APPROVAL}


def unsteady(world: World, landed: Mapping[str, list[str]]) -> list[str]:
    """What keeps the world from rest, a sentence each; empty when every decision has its outcome."""
    found: list[str] = []
    try:
        with world.engine.connect() as connection:
            jobs = connection.execute(select(tables.jobs.c.id, tables.jobs.c.state)).all()
            found += [f"job {row.id} is {row.state}" for row in jobs if JobState(row.state) not in _AT_REST]
            found += [f"{model}/{name} has not fired" for model, name in _unfired(connection, landed)]
            waiting = connection.execute(select(tables.fires.c.model).where(tables.fires.c.role == "waiting"))
            awaiting = _awaiting(connection)
            found += [f"a firing of {model} waits" for model in waiting.scalars() if model not in awaiting]
            head = connection.execute(select(tables.chain.c.seq)).scalar_one()
            found += _different(world, connection)
            found += _surplus(_versions(world))  # a late worker's second version is found and deleted
    except (DBAPIError, sqlite3.OperationalError) as error:
        return [f"the ledger does not answer: {str(error)[:100]}"]
    last = _last_seq(world.folder / "log" / "audit.jsonl")
    if last != head:
        found.append(f"the audit log ends at {last}, the ledger at {head}")
    found += [
        f"{each.name} does not run"
        for each in world.supervised
        if each.process is None or each.process.poll() is not None
    ]
    return found or list(_leftovers(world))


def waiting_for_approval(world: World) -> list[str]:
    """The jobs that a person is asked about; none where the ledger does not answer."""
    jobs = tables.jobs
    try:
        with world.engine.connect() as connection:
            return list(connection.execute(select(jobs.c.id).where(jobs.c.state == "awaiting_approval")).scalars())
    except DBAPIError:
        return []


def _awaiting(connection: Connection) -> set[str]:
    jobs = tables.jobs
    return set(connection.execute(select(jobs.c.model).where(jobs.c.state == "awaiting_approval")).scalars())


def _unfired(connection: Connection, landed: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    fires = tables.fires
    for model, names in landed.items():
        told: set[str] = set()
        for numbers in connection.execute(select(fires.c.numbers).where(fires.c.model == model)).scalars():
            told.update(Path(file).name for file in (numbers or {}).get("files", []))
        yield from ((model, name) for name in names if name not in told)


def _different(world: World, connection: Connection) -> Iterator[str]:
    """Targets that do not show what the ledger says, looked at where users look."""
    for model in project.MODELS:
        champions = models.champions(connection, model)
        if champions.current is None:
            continue
        wanted = champions.current.version
        for row in shown.of(connection, model):
            if row.version != wanted or row.error is not None:
                yield f"{row.target} of {model} is known to show {row.version} ({row.error}), not {wanted}"
        for what, version in actually_shown(world, model).items():
            if version != wanted:
                yield f"{what} of {model} shows {version}, not {wanted}"


def actually_shown(world: World, model: str) -> dict[str, str | None]:
    """What each target of the model shows: alias, link, and what the command was told."""
    place = alias_place(world.folder, model)
    seen: dict[str, str | None] = {"the alias": place[0] if place else None}
    directory = project.DIRECTORIES.get(model)
    if directory is not None:
        seen["current"] = _version_of(world.folder / directory / "current")
    else:
        served = world.folder / "served"
        seen["served"] = served.read_text() if served.exists() else None
    return seen


def _version_of(current: Path) -> str | None:
    try:
        return str(json.loads((current / "VERSION.json").read_text())["version"])
    except (OSError, ValueError, KeyError):
        return None


def _log_lines(log: Path) -> list[bytes]:
    """Every line of every segment, newlines included, the segments in the order of their first events."""
    found: list[list[bytes]] = []
    for segment in log.parent.glob(f"{log.stem}*{log.suffix}"):
        try:
            lines = segment.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:  # renamed meanwhile
            return _log_lines(log)
        if lines:
            found.append(lines)
    found.sort(key=lambda lines: (_record(lines[0]) or {"seq": 0})["seq"])
    return [line for lines in found for line in lines]


def _record(line: bytes) -> dict[str, Any] | None:
    """The event of a whole line; None where it is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if line.endswith(b"\n") and isinstance(record, dict) and "seq" in record else None


def _last_seq(log: Path) -> int:
    lines = _log_lines(log)
    return int((_record(lines[-1]) or {"seq": 0})["seq"]) if lines else 0


def violations(world: World, seen: list[bytes]) -> list[str]:
    """What the steady world shows that must never be. `seen` are the lines that a reader of the log saw.

    The world goes on meanwhile (it checks, it prunes): the log is read first, and the ledger as of one moment after it.
    """
    lines = _log_lines(world.folder / "log" / "audit.jsonl")
    with _one_moment(world.engine) as connection:
        events = [dict(row._mapping) for row in connection.execute(select(tables.events).order_by(tables.events.c.seq))]
        return [
            *(f"torn: {each}" for each in _log_against_ledger(lines, events, seen)),
            *_outcomes(connection, events),
            *_stages(events),
            *_deployments(connection, events),
            *_same_data(world, connection),
            *_registry(world, connection),
        ]


@contextmanager
def _one_moment(engine: Engine) -> Iterator[Connection]:
    """A connection whose every answer is of the moment of the first."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def _log_against_ledger(lines: list[bytes], events: list[dict[str, Any]], seen: list[bytes]) -> Iterator[str]:
    yield from (f"a line of the log is no event: {line[:80]!r}" for line in lines if _record(line) is None)
    records = [record for line in lines if (record := _record(line)) is not None]
    if [record["seq"] for record in records] != [event["seq"] for event in events[: len(records)]]:
        yield f"the log's {len(records)} lines are not the first of the ledger's {len(events)} events in order"
    prev = GENESIS
    for record, event in zip(records, events, strict=False):
        body = {name: value for name, value in record.items() if name != "hash"}
        if record["prev"] != prev or hashlib.sha256(canonical(body).encode()).hexdigest() != record["hash"]:
            yield f"the log's chain breaks at {record['seq']}"
        if record["hash"] != event["hash"]:
            yield f"line {record['seq']} is not the ledger's event"
        prev = record["hash"]
    whole = set(lines)
    yield from (f"a reader saw a line that is not in the log: {line[:80]!r}" for line in seen if line not in whole)
    told = [record["seq"] for line in seen if (record := _record(line)) is not None]
    if told != sorted(set(told)):
        yield "a reader saw lines twice or out of order"


def _outcomes(connection: Connection, events: list[dict[str, Any]]) -> Iterator[str]:
    requested = Counter(event["job"] for event in events if event["event"] == "job.requested")
    closed = Counter(event["job"] for event in events if event["event"] == "job.closed")
    jobs = {row.id: row.state for row in connection.execute(select(tables.jobs.c.id, tables.jobs.c.state))}
    if set(jobs) != set(requested):
        yield f"lost: the ledger's jobs are not those that were decided: {sorted(set(jobs) ^ set(requested))}"
    for job, state in jobs.items():
        if requested[job] != 1:
            yield f"doubled: job {job} was decided {requested[job]} times"
        wanted = 1 if JobState(state) in CLOSED_STATES else 0
        if closed[job] != wanted:
            kind = "lost" if closed[job] < wanted else "doubled"
            yield f"{kind}: job {job} ({state}) has {closed[job]} outcomes"
    keys = connection.execute(select(tables.fires.c.model, tables.fires.c.trigger, tables.fires.c.key)).all()
    yield from (f"doubled: firing {key} counted {count} times" for key, count in Counter(keys).items() if count > 1)


def _stages(events: list[dict[str, Any]]) -> Iterator[str]:
    done = Counter((event["job"], event["data"]["stage"]) for event in events if event["event"] == "stage.succeeded")
    yield from (
        f"doubled: stage {stage} of {job} succeeded {count} times" for (job, stage), count in done.items() if count > 1
    )
    finished: set[tuple[str, str]] = set()
    for event in events:
        if event["event"] in {"stage.started", "stage.succeeded"}:
            key = (event["job"], event["data"]["stage"])
            if event["event"] == "stage.succeeded":
                finished.add(key)
            elif key in finished:
                yield f"doubled: stage {key[1]} of {key[0]} began again after it had succeeded"


def _deployments(connection: Connection, events: list[dict[str, Any]]) -> Iterator[str]:
    order = {event["job"]: event["seq"] for event in events if event["event"] == "job.requested"}
    told = Counter(event["job"] for event in events if event["event"] == "model.deployed")
    rows = connection.execute(select(tables.deployments).order_by(tables.deployments.c.id)).all()
    newest: dict[str, int] = {}
    for row in rows:
        if row.kind == "deploy":
            if order[row.job] <= newest.get(row.model, 0):
                yield f"doubled: job {row.job} deployed {row.model} {row.version} after a newer one had"
            newest[row.model] = order[row.job]
    deployed = Counter(row.job for row in rows if row.kind == "deploy")
    states = {row.id: row.state for row in connection.execute(select(tables.jobs.c.id, tables.jobs.c.state))}
    for job, state in states.items():
        wanted = 1 if state == JobState.DEPLOYED else 0
        if told[job] != wanted or deployed[job] < wanted or deployed[job] > 1:
            yield f"doubled: job {job} ({state}) was deployed {deployed[job]} times and told of {told[job]} times"
    registered = Counter(event["job"] for event in events if event["event"] == "model.registered")
    yield from (f"doubled: job {job} was registered {count} times" for job, count in registered.items() if count > 1)


def _same_data(world: World, connection: Connection) -> Iterator[str]:
    """What stands on the disk is what the ledger says was trained on."""
    import pyarrow.parquet as pq

    from workers.content import content_hash  # pyarrow

    rows = connection.execute(
        select(tables.jobs.c.id, tables.jobs.c.data_hash).where(tables.jobs.c.data_hash.is_not(None))
    )
    for row in rows:
        for file in (world.folder / "state" / "jobs" / row.id).rglob("data.parquet"):
            with suppress(FileNotFoundError):  # freed meanwhile
                if content_hash(pq.read_table(file)) != row.data_hash:
                    yield f"lost: {file} is not the data that job {row.id} recorded"


def _registry(world: World, connection: Connection) -> Iterator[str]:
    """MLflow has each version that the ledger names, and one a job."""
    known = _versions(world)
    yield from (f"doubled: {each}" for each in _surplus(known))
    for row in connection.execute(select(tables.versions)):
        if (row.model, row.version, row.job) not in known:
            yield f"lost: version {row.version} of {row.model}, of job {row.job}, is not in MLflow"


def _surplus(versions: set[tuple[str, str, str]]) -> Iterator[str]:
    counts = Counter((name, job) for name, _, job in versions)
    yield from (f"job {job} has {count} versions of {name}" for (name, job), count in counts.items() if count > 1)


def _versions(world: World) -> set[tuple[str, str, str]]:
    """Each version that MLflow shows: its name, its number and the job that made it."""
    database = sqlite3.connect(f"file:{world.folder / 'state' / 'mlflow.db'}?mode=ro", uri=True, timeout=5)
    try:
        # MLflow keeps the row of a version that was deleted, under a stage of that name.
        tagged = database.execute(
            "SELECT name, version, value FROM model_version_tags NATURAL JOIN "
            "(SELECT name, version FROM model_versions WHERE current_stage IS NOT 'Deleted_Internal') "
            "WHERE key = 'retraind.job'"
        ).fetchall()
    except sqlite3.OperationalError:  # no training came so far that MLflow's tables were made
        tagged = []
    finally:
        database.close()
    return {(name, str(version), job) for name, version, job in tagged}


def _leftovers(world: World) -> Iterator[str]:
    for process in world.processes():
        try:
            if TOKEN in process.environ():
                yield f"process {process.pid} ({' '.join(process.cmdline())[:120]}) was left"
        except (psutil.Error, OSError):
            continue
    for root in ("state", "models", "log"):
        for entry in (world.folder / root).rglob("*"):
            if entry.name.endswith(".tmp") or entry.name in {"group.json", "ballast"}:
                yield f"{entry.relative_to(world.folder)} was left"
