"""Checks that a refusal changes nothing, and a callback that interrupts training."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import tf_keras

from dlth_tf import BadInput, masking
from tests.masking.networks import batches, same, weights

Callbacks = list[Any] | Callable[[], list[Any]]


def everything(model: tf_keras.Model) -> dict[str, Any]:
    """Returns weights, masks, tickets and the optimizer's variables."""
    entries = masking.prunable_weights(model).items()
    masks = {f"{kind}/{name}": getattr(entry, kind).numpy() for name, entry in entries for kind in ("mask", "ticket")}
    variables = model.optimizer.variables
    variables = variables() if callable(variables) and not isinstance(variables, list) else variables
    return weights(model) | masks | {f"optimizer/{index}": variable.numpy() for index, variable in enumerate(variables)}


def refused(model: tf_keras.Model, callbacks: Callbacks, sentence: str, data: Any = None, epochs: int = 1) -> None:
    """Checks that `fit` is refused with this sentence and that nothing changes.

    Args:
      model: Compiled.
      callbacks: The callbacks, or a function that builds them, for those that are refused when they are built.
      sentence: Part of the message.
      data: By default six batches.
      epochs: Epochs of the `fit`.
    """
    before = everything(model)
    with pytest.raises(BadInput, match=re.escape(sentence)):
        built = callbacks() if callable(callbacks) else callbacks
        model.fit(batches(6) if data is None else data, epochs=epochs, verbose=0, callbacks=built)
    after = everything(model)
    assert same({name: after[name] for name in before}, before)
    assert not any(after[name].any() for name in after if name not in before), "slots that were created are empty"
    assert "update_step" not in vars(model.optimizer), "no hook is left"


class Breaks(tf_keras.callbacks.Callback):
    """Raises KeyboardInterrupt after some steps, so that `fit` ends without `on_train_end`."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(masking.inner_optimizer(self.model).iterations) >= self.steps:
            raise KeyboardInterrupt
