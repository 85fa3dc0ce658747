"""What each stage does, one file each, named for the stage and listed here."""

from collections.abc import Callable
from importlib import import_module

from retraind.states import Stage
from workers.context import StageContext, StageResult


def _stage(stage: Stage) -> Callable[[StageContext], StageResult]:
    """Imported when it is run: what a stage needs (pyarrow, mlflow) would make every idle worker large."""

    def run(context: StageContext) -> StageResult:
        result: StageResult = import_module(f"{__name__}.{stage}").run(context)
        return result

    return run


RUN: dict[Stage, Callable[[StageContext], StageResult]] = {stage: _stage(stage) for stage in Stage}
