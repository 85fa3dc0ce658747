"""Trains with TensorFlow and a loop of its own. retraind calls `train` in the interpreter that `trainer.python` names.

`data` is a pandas DataFrame of the features and the target, oldest row first. What is returned is kept,
judged at the gates and registered; it takes the features as one array, in their order, and gives the
probability of the answer 1.
"""

import numpy as np
import tensorflow as tf


def train(data, target, epochs=20, hidden=32, batch=256):
    tf.keras.utils.set_random_seed(0)
    rows = data.drop(columns=target).to_numpy(dtype="float32")
    answers = data[target].to_numpy(dtype="float32").reshape(-1, 1)
    stream = tf.data.Dataset.from_tensor_slices((rows, answers)).shuffle(len(rows), seed=0).batch(batch)

    model = network(rows, hidden)
    optimizer = tf.keras.optimizers.Adam(1e-2)
    loss_of = tf.keras.losses.BinaryCrossentropy()

    @tf.function
    def step(some_rows, some_answers):
        with tf.GradientTape() as tape:
            loss = loss_of(some_answers, model(some_rows, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    for epoch in range(epochs):
        losses = [float(step(some_rows, some_answers)) for some_rows, some_answers in stream]
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    return model


def network(rows, hidden):
    """A small network that brings its own scaling; a missing value counts as an average one."""
    features = tf.keras.Input(shape=(rows.shape[1],))
    scaled = tf.keras.layers.Normalization(mean=np.nanmean(rows, axis=0), variance=np.nanvar(rows, axis=0))(features)
    inner = tf.keras.layers.Dense(hidden, activation="relu")(tf.keras.ops.nan_to_num(scaled))
    inner = tf.keras.layers.Dense(hidden, activation="relu")(inner)
    return tf.keras.Model(features, tf.keras.layers.Dense(1, activation="sigmoid")(inner))
