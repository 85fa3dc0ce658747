"""How much the deployed model leans on its features, as its evaluation recorded it.

The figures stand in the result of the stage `evaluate` of the version's job, which is kept as long as the
version is: no schema but that stage's has to know of them.
"""

from sqlalchemy import Connection, bindparam, select

from retraind.ledger import tables
from retraind.ledger.rows import Version
from retraind.states import Stage

_stages = tables.stages
_RESULT = select(_stages.c.result).where(
    _stages.c.job == bindparam("of"), _stages.c.stage == Stage.EVALUATE, _stages.c.state == "succeeded"
)
_DEVIATIONS = 2


def importance(connection: Connection, version: Version) -> dict[str, float]:
    """Of each feature what the model's loss grows by when its values are shuffled, and two standard errors more: what
    little was seen of is not taken for unused. Empty: not known."""
    result = connection.execute(_RESULT, {"of": version.job}).scalar() or {}
    features = (result.get("importance") or {}).get("features") or {}
    return {name: max(each["increase"] + _DEVIATIONS * each["error"], 0.0) for name, each in features.items()}
