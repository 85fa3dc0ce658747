"""What each stage does, one file each, listed here."""

from collections.abc import Callable, Mapping

from retraind.states import Stage
from workers.context import StageContext, StageResult
from workers.stages import deploy, evaluate, ingest, register, train, validate

RUN: Mapping[Stage, Callable[[StageContext], StageResult]] = {
    Stage.INGEST: ingest.run,
    Stage.VALIDATE: validate.run,
    Stage.TRAIN: train.run,
    Stage.EVALUATE: evaluate.run,
    Stage.REGISTER: register.run,
    Stage.DEPLOY: deploy.run,
}
