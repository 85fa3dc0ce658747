"""`deploy`: the ledger says which version is champion, then every target is made to show it."""

from retraind.errors import TransientFailure
from retraind.ledger import models, work
from retraind.ledger.work import Claim
from retraind.states import JobState
from workers.context import StageContext, StageResult
from workers.convergence import converge


def run(context: StageContext) -> StageResult:
    """Safe to repeat at any point: the ledger takes the deployment once, and targets only ever follow the ledger."""
    session, job = context.session, context.job
    if job.version is None:
        raise TransientFailure(f"job {job.id} has no version to deploy yet")
    with session.ledger.write(session.name) as transaction:
        work.hold(transaction, Claim(job, job.lease_owner or session.name, job.lease_token, context.done))
        models.deploy(transaction, job.model, job.version, job.id)
        previous = models.champions(transaction.connection, job.model).previous
    targets = converge(session, job.model, context.should_stop, context.fence)
    result = {
        "version": job.version,
        "previous": previous.version if previous else None,
        "targets": targets,
        "metrics": job.metrics,
    }
    return StageResult(result, closes=JobState.DEPLOYED)
