"""What MLflow has too much of: second versions of one job, and runs that nobody goes on with.

A worker that sleeps between its look at the lease and its call to MLflow makes what another has made
already. No token can stop that call; what it leaves is found here and removed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

JOB_TAG = "retraind.job"
_PAGE = 1000


@dataclass(frozen=True)
class Repair:
    """What is to be put right for one job."""

    job: str
    deleted: tuple[str, ...] = ()  # versions
    terminated: tuple[str, ...] = ()  # runs


def needed(
    client: Any, name: str, experiment: str, recorded: Mapping[str, str], ended: Collection[str]
) -> list[Repair]:
    """What it takes to leave each job one version of the registered model `name`: the one in `recorded`, else the
    lowest. Nothing is done.

    Jobs that are in neither `recorded` nor `ended` are somebody's work under way, or somebody else's,
    and stay as they are; so does every version that an alias points to.
    """
    return [*_surplus(client, name, recorded, ended), *_left_running(client, experiment, ended)]


def mend(client: Any, name: str, repair: Repair) -> None:
    """Does it. What is done already, by whoever was killed over it, is not found any more by `needed`."""
    for number in repair.deleted:
        client.delete_model_version(name, number)
    for run in repair.terminated:
        client.set_terminated(run, "KILLED")


def _surplus(client: Any, name: str, recorded: Mapping[str, str], ended: Collection[str]) -> Iterator[Repair]:
    for job, numbers in _by_job(client, name).items():
        kept = recorded.get(job) if job in recorded else min(numbers, key=int)
        # A version that the ledger names and MLflow lacks is another trouble, which deleting the rest would worsen.
        if len(numbers) == 1 or kept not in numbers or not (job in recorded or job in ended):
            continue
        aliased = {str(version) for version in client.get_registered_model(name).aliases.values()}
        spare = {kept, *recorded.values(), *aliased}
        if surplus := tuple(number for number in numbers if number not in spare):
            yield Repair(job, deleted=surplus)


def _by_job(client: Any, name: str) -> dict[str, list[str]]:
    """The numbers of the versions that carry each job's tag."""
    found: dict[str, list[str]] = defaultdict(list)
    token: str | None = None
    while True:
        page: Any = client.search_model_versions(f"name = '{name}'", max_results=_PAGE, page_token=token)
        for version in page:
            if version.tags.get(JOB_TAG):
                found[version.tags[JOB_TAG]].append(str(version.version))
        token = page.token
        if not token:
            return found


def _left_running(client: Any, experiment: str, ended: Collection[str]) -> Iterator[Repair]:
    """Runs of ended jobs that still say they run."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return
    for run in client.search_runs([found.experiment_id], "attributes.status = 'RUNNING'", max_results=_PAGE):
        job = run.data.tags.get(JOB_TAG)
        if job in ended:
            yield Repair(job, terminated=(run.info.run_id,))
