"""Predicts as a plain program: rows in RETRAIND_DATA, the model in RETRAIND_MODEL_DIR, into RETRAIND_PREDICTIONS.

The Parquet file that it writes has a column `prediction` and, where there is one, `score`: the
probability of the answer 1.
"""

import os
from pathlib import Path

import joblib
import pandas as pd


def main():
    model = joblib.load(Path(os.environ["RETRAIND_MODEL_DIR"]) / "model.joblib")
    rows = pd.read_parquet(os.environ["RETRAIND_DATA"])[list(model.feature_names_in_)]
    answers = pd.DataFrame({"prediction": model.predict(rows), "score": model.predict_proba(rows)[:, 1]})
    answers.to_parquet(os.environ["RETRAIND_PREDICTIONS"])


if __name__ == "__main__":
    main()
