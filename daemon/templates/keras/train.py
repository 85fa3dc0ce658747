"""Trains a Keras model. retraind calls `train` in the interpreter that `trainer.python` names.

`data` is a pandas DataFrame of the features and the target, oldest row first. What is returned is kept,
judged at the gates and registered; it takes the features as one array, in their order, and gives the
probability of the answer 1. The backend (TensorFlow, JAX or PyTorch) is what KERAS_BACKEND says.
"""

import keras
import numpy as np


def train(data, target, epochs=20, hidden=32, batch=256):
    keras.utils.set_random_seed(0)
    rows = data.drop(columns=target).to_numpy(dtype="float32")
    answers = data[target].to_numpy(dtype="float32")

    features = keras.Input(shape=(rows.shape[1],))
    scaled = keras.layers.Normalization(mean=np.nanmean(rows, axis=0), variance=np.nanvar(rows, axis=0))(features)
    known = keras.ops.nan_to_num(scaled)  # a missing value counts as an average one
    inner = keras.layers.Dense(hidden, activation="relu")(known)
    inner = keras.layers.Dense(hidden, activation="relu")(inner)
    model = keras.Model(features, keras.layers.Dense(1, activation="sigmoid")(inner))

    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(rows, answers, epochs=epochs, batch_size=batch, verbose=2)
    return model
