"""Trains a model as a plain program: rows in RETRAIND_DATA (Parquet), the model into RETRAIND_MODEL_DIR.

RETRAIND_TARGET is the column to predict, RETRAIND_FEATURES a JSON list of the columns to predict it
from. What is printed stands in the job's log (`retraind show JOB --log`); any exit code but 0 fails it.
"""

import json
import os
from pathlib import Path

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier


def main():
    features = json.loads(os.environ["RETRAIND_FEATURES"])
    data = pd.read_parquet(os.environ["RETRAIND_DATA"])
    print(f"{len(data)} rows, features: {', '.join(features)}")
    model = HistGradientBoostingClassifier(max_iter=100, random_state=0)
    model.fit(data[features], data[os.environ["RETRAIND_TARGET"]])
    joblib.dump(model, Path(os.environ["RETRAIND_MODEL_DIR"]) / "model.joblib")


if __name__ == "__main__":
    main()
