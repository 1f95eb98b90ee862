"""A callback that counts its calls, in `fit`, `evaluate` and `predict` of Keras 2 and of Keras 3 in one process.

As a command it prints the calls and the history of each, as JSON:

    python -m tests.callbacks.counting
"""

from __future__ import annotations

import collections
import json
from typing import Any

import numpy as np

from dlth_tf.callbacks.base import Callback

EPOCHS = 2
STEPS = 3
HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


class Counting(Callback):
    """Counts the calls of every hook, notes their arguments, and adds a value to the logs of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: collections.Counter[str] = collections.Counter()
        self.epochs: list[int] = []
        self.batches: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls["on_epoch_end"] += 1
        self.epochs.append(epoch)
        logs["added"] = 10.0 + epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls["on_train_batch_end"] += 1
        self.batches.append(batch)


def _counted(name: str) -> Any:
    def hook(self: Counting, *arguments: Any, **options: Any) -> None:
        self.calls[name] += 1

    return hook


for _name in HOOKS:
    if _name not in vars(Counting):
        setattr(Counting, _name, _counted(_name))


def record(keras: Any) -> dict[str, Any]:
    """Trains, evaluates and predicts with the callback.

    Args:
      keras: tf_keras or keras.
    """
    layers = [keras.layers.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8 * STEPS, 4)).astype("float32")
    y = rng.normal(size=(8 * STEPS, 2)).astype("float32")
    counting = Counting()
    history = model.fit(
        x, y, batch_size=8, epochs=EPOCHS, verbose=0, callbacks=[counting], validation_data=(x[:8], y[:8])
    ).history
    params = {name: counting.params[name] for name in ("epochs", "steps")}
    model.evaluate(x, y, batch_size=8, verbose=0, callbacks=[counting])
    model.predict(x, batch_size=8, verbose=0, callbacks=[counting])
    return {
        "calls": dict(counting.calls),
        "epochs": counting.epochs,
        "batches": counting.batches,
        "params": params,
        "is the model": counting.model is model,
        "history": {name: [float(value) for value in values] for name, values in history.items()},
    }


if __name__ == "__main__":
    import keras
    import tf_keras

    print(json.dumps({"keras 2": record(tf_keras), "keras 3": record(keras)}))
