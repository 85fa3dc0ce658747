"""The predictions store: the user's own table of predictions and actuals. retraind only ever reads it.

The daemon asks it for evidence, the workers for training data, `retraind check` whether it can be
read. Importing this costs next to nothing; the drivers, pyarrow and SQLAlchemy come with the first
store that is opened.
"""

from retraind.store.contract import PredictionsStore, Problem
from retraind.store.opening import open_store

__all__ = ["PredictionsStore", "Problem", "open_store"]
