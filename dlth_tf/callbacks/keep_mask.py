"""KeepMask: keeps removed weights exactly zero while the rest is trained."""

from __future__ import annotations

from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.part_of_fit import PartOfFit
from dlth_tf.errors import BadInput


class KeepMask(PartOfFit):
    """Applies the masks inside every optimizer step, so that removed weights stay zero (finetuning).

    Gradients and optimizer state are not masked, as in the official code.

    Raises:
      BadInput: At the start of `fit`, if the model is not wrapped, not compiled, or nothing is removed from it.
      RuntimeError: At the end of `fit`, if a removed weight is not zero.
    """

    exclusive = False

    def state_values(self) -> None:
        """Returns None: the masks in the model are all there is."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Installs the hook."""
        if all(entry.kept().all() for entry in masking.prunable_weights(self.model).values()):
            allowed = (
                "has no removed weights to keep: run RSTPenalty first, or apply_ticket(model, ticket, remove=True)"
            )
            raise BadInput("model", self.model.name, allowed)
        super().on_train_begin(logs)
        self.install()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook."""
        masking.uninstall(self.model)
        super().on_train_end(logs)

    def on_fit_end(self) -> None:
        """Checks that every removed weight is zero."""
        masking.check_removed(self.model)
