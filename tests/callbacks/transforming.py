"""A short transformation of a tiny network, and checks of its refusals."""

from __future__ import annotations

import pytest
import tf_keras

from dlth_tf import BadInput
from dlth_tf.callbacks import RSTPenalty
from tests.masking.networks import (
    batches,
    same,
    weights,
    wrapped,
)


def penalty(steps: int = 17, **options) -> RSTPenalty:
    """Builds a penalty with lambda .25, .5, .75 for two steps each, then held: `steps` steps in all."""
    callback = RSTPenalty(step=0.25, every=2, limit=0.5, hold_steps=steps - 5, **options)
    assert callback.steps == steps
    return callback


def chosen(seed: int = 0) -> tf_keras.Model:
    """Returns the wrapped mlp with a ticket that is chosen, but not removed."""
    return wrapped(remove=False, seed=seed)


def transform(
    model: tf_keras.Model,
    callback: RSTPenalty,
    per_epoch: int = 5,
    epochs: int | None = None,
    extra: list | None = None,
):
    """Trains with a penalty, by default for as many epochs as it needs."""
    epochs = epochs or callback.epochs(per_epoch)
    return model.fit(batches(per_epoch), epochs=epochs, verbose=0, callbacks=[callback, *(extra or [])])


def refused(model: tf_keras.Model, callbacks: list, sentence: str, per_epoch: int = 5, epochs: int = 4) -> None:
    """Checks that `fit` is refused with this sentence, and that weights and optimizer are unchanged."""
    before = weights(model)
    steps = int(model.optimizer.iterations)
    with pytest.raises(BadInput, match=sentence):
        model.fit(batches(per_epoch), epochs=epochs, verbose=0, callbacks=callbacks)
    assert same(weights(model), before) and int(model.optimizer.iterations) == steps
    assert "update_step" not in vars(model.optimizer), "no hook is left"


class StopAfter(tf_keras.callbacks.Callback):
    """Ends the training early, after some steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = self.model.stop_training or int(self.model.optimizer.iterations) >= self.steps
