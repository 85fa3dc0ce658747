"""`register`: the challenger becomes a model version in MLflow, once per job however often this is asked."""

from typing import Any

from retraind.ledger import jobs
from retraind.ledger.rows import Version
from retraind.redaction import redact, redact_data
from retraind.states import Stage
from workers import importance
from workers.context import StageContext, StageResult
from workers.model_files import must_be
from workers.registry import Registration


def run(context: StageContext) -> StageResult:
    """Makes the run and the version, or finds those that an earlier attempt made."""
    session, job = context.session, context.job
    directory = context.files
    evaluated = context.done[Stage.EVALUATE]
    digest = context.done[Stage.TRAIN].get("digest")
    session.registry.ensure_ready()
    registered = session.registry.register(
        Registration(
            name=session.registered_name(job.model),
            experiment=session.settings.mlflow.experiment or job.model,
            job=job.id,
            model=must_be(directory.model, digest, "the challenger"),
            params=_params(context),
            metrics={name: value for name, value in evaluated["challenger"].items() if value is not None},
            tags=_tags(context),
            started=job.requested_at,
            ended=context.now,
            importance=importance.table(evaluated.get("importance")),
        ),
        context.fence,
    )
    version = Version(
        model=job.model,
        version=registered.version,
        job=job.id,
        uri=registered.uri,
        directory=str(directory.model),
        reference=str(directory.train),
        window_start=job.window_start,
        window_end=job.window_end,
        metrics=evaluated["challenger"],
        trained_at=job.trained_at or context.now,
        registered_at=context.now,
        digest=digest,
    )
    return StageResult({"version": registered.version, "uri": registered.uri, "run": registered.run}, version=version)


def _params(context: StageContext) -> dict[str, Any]:
    trained, ingested = context.done[Stage.TRAIN], context.done[Stage.INGEST]
    params = {
        **trained["params"],
        "trainer": _trainer_name(context),
        "window_start": ingested["window_start"],
        "window_end": ingested["window_end"],
        "train_rows": ingested["train_rows"],
        "holdout_rows": ingested["holdout_rows"],
    }
    return dict(redact_data(params, context.session.settings))


def _trainer_name(context: StageContext) -> str:
    trainer = context.model.training.trainer.model_dump(
        exclude={"params", "python", "trusted_types"}, exclude_none=True
    )
    return " ".join(str(value) for value in trainer.values())


def _tags(context: StageContext) -> dict[str, str]:
    """What says where the version comes from: model, trigger and its numbers, window, data and recipe."""
    ingested = context.done[Stage.INGEST]
    with context.session.ledger.read() as connection:
        causes = jobs.causes(connection, context.job.id)
    tags = {
        "retraind.model": context.job.model,
        "retraind.reason": context.job.reason,
        "retraind.requested_by": context.job.actor,
        "retraind.trigger": ",".join(cause["trigger"] for cause in causes) or context.job.actor,
        "retraind.data_hash": ingested["data_hash"],
        "retraind.recipe_hash": ingested["recipe_hash"],
        "retraind.window": f"{ingested['window_start'] or ''}/{ingested['window_end'] or ''}",
    }
    for cause in causes:
        for name, value in (cause["numbers"] or {}).items():
            if isinstance(value, (bool, int, float, str)):
                tags[f"retraind.trigger.{cause['trigger']}.{name}"] = str(value)
    return {name: redact(value, context.session.settings)[:5000] for name, value in tags.items()}
