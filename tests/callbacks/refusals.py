"""What every callback's refusal and interruption is held to."""

from __future__ import annotations

import re
from typing import Any

import pytest
import tf_keras

from dlth_tf import BadInput, masking
from tests.masking.networks import batches, same, weights


def everything(model: tf_keras.Model) -> dict[str, Any]:
    """Weights, masks, tickets and the optimizer's state."""
    entries = masking.prunable_weights(model).items()
    masks = {f"{kind}/{name}": getattr(entry, kind).numpy() for name, entry in entries for kind in ("mask", "ticket")}
    variables = model.optimizer.variables
    variables = variables() if callable(variables) and not isinstance(variables, list) else variables
    return weights(model) | masks | {f"optimizer/{index}": variable.numpy() for index, variable in enumerate(variables)}


def refused(model: tf_keras.Model, callbacks: list, sentence: str, data: Any = None, epochs: int = 1) -> None:
    """A fit that is refused with this sentence and changes nothing."""
    before = everything(model)
    with pytest.raises(BadInput, match=re.escape(sentence)):
        model.fit(batches(6) if data is None else data, epochs=epochs, verbose=0, callbacks=callbacks)
    after = everything(model)
    assert same({name: after[name] for name in before}, before)
    assert not any(after[name].any() for name in after if name not in before), "slots that were made are empty"
    assert "update_step" not in vars(model.optimizer), "no hook is left"


class Breaks(tf_keras.callbacks.Callback):
    """Ctrl-C, or anything else that leaves fit without its end."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(masking.inner_optimizer(self.model).iterations) >= self.steps:
            raise KeyboardInterrupt
