"""KeepMask: removed weights stay exactly zero while the rest is trained."""

from __future__ import annotations

from typing import Any

import tf_keras

from dlth_tf import masking
from dlth_tf.errors import BadInput


class KeepMask(tf_keras.callbacks.Callback):
    """Keeps what was removed removed: w <- w * mask inside every optimizer step (finetuning).

    Gradients and optimizer state are not masked, as in the official code.

    Raises:
      BadInput: at the start of `fit`, when the model is not wrapped, not compiled, or nothing is removed from it.
      RuntimeError: at the end of `fit`, should a removed weight not be zero.
    """

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Installs the hook."""
        if all(entry.kept().all() for entry in masking.prunable_weights(self.model).values()):
            raise BadInput(
                "model",
                self.model.name,
                "has nothing removed that KeepMask could keep: run RSTPenalty first, or apply_ticket(model, ticket, remove=True)",
            )
        masking.install(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the hook off and checks that every removed weight is zero."""
        masking.uninstall(self.model)
        masking.check_removed(self.model)
