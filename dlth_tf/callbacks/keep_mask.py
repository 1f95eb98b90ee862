"""KeepMask: keeps removed weights exactly zero while the rest is trained."""

from __future__ import annotations

from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.base import Callback
from dlth_tf.errors import BadInput


class KeepMask(Callback):
    """Applies the masks inside every optimizer step, so that removed weights stay zero (finetuning).

    Gradients and optimizer state are not masked, as in the official code.

    Raises:
      BadInput: At the start of `fit`, if the model is not wrapped, not compiled, or nothing is removed from it.
      RuntimeError: At the end of `fit`, if a removed weight is not zero.
    """

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Installs the hook."""
        if all(entry.kept().all() for entry in masking.prunable_weights(self.model).values()):
            allowed = (
                "has no removed weights to keep: run RSTPenalty first, or apply_ticket(model, ticket, remove=True)"
            )
            raise BadInput("model", self.model.name, allowed)
        masking.install(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook and checks that every removed weight is zero."""
        masking.uninstall(self.model)
        masking.check_removed(self.model)
