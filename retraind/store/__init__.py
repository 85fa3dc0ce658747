"""The predictions store: the user's own table of predictions and actuals. retraind only ever reads it.

The daemon asks it for evidence, the workers for training data, `retraind check` whether it can be
read. Importing this costs next to nothing; SQLAlchemy and a driver come with the first store that is
opened, pyarrow and numpy with the first rows that are read.
"""

from retraind.store.contract import PredictionsStore, Problem
from retraind.store.opening import open_store

__all__ = ["PredictionsStore", "Problem", "open_store"]
