"""SparsityMonitor: TensorBoard scalars in which the squeezing-out of the weights can be seen."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking


class SparsityMonitor(tf_keras.callbacks.Callback):
    """Writes, at every epoch's end, sparsity and mean |w| per prunable tensor, and the penalty.

    Scalars, by optimizer step: `sparsity/<tensor>` and `sparsity/all` (fraction that is really removed), `penalty`
    (lambda of the last step), `mean_abs/kept/<tensor>` and `mean_abs/to_remove/<tensor>` (of the weights that the ticket
    keeps and does not keep; tensors without a ticket have only the first).

    Args:
      log_dir: TensorBoard directory; the scalars go to its folder `sparsity`.
      histograms: whether to write a histogram of every prunable tensor too.
    """

    def __init__(self, log_dir: str | os.PathLike[str], histograms: bool = False) -> None:
        super().__init__()
        self.log_dir, self.histograms = os.fspath(log_dir), histograms
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the writer and notes the state before the first step."""
        masking.prunable_weights(self.model)  # says at once if the model is not wrapped
        self._writer = tf.summary.create_file_writer(os.path.join(self.log_dir, "sparsity"))
        self._write()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the scalars."""
        self._write()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self) -> None:
        step = int(masking.inner_optimizer(self.model).iterations.numpy())
        with self._writer.as_default(step=step):
            for name, value in self.scalars(max(0, step - 1)).items():
                tf.summary.scalar(name, value)
            if self.histograms:
                for name, entry in masking.prunable_weights(self.model).items():
                    tf.summary.histogram(f"weights/{name}", entry.weight)
        self._writer.flush()

    def scalars(self, step: int) -> dict[str, float]:
        """The scalars of the model as it is, with the penalty of optimizer step `step`."""
        hook = masking.installed(self.model)
        found = {"penalty": float(hook.penalty.at(step)) if hook and hook.penalty else 0.0}
        removed = total = 0
        for name, entry in masking.prunable_weights(self.model).items():
            chosen, kept, size = entry.chosen(), entry.kept(), np.abs(entry.weight.numpy())
            found[f"sparsity/{name}"] = 1 - float(kept.mean())
            found[f"mean_abs/kept/{name}"] = float(size[chosen].mean())
            if not chosen.all():
                found[f"mean_abs/to_remove/{name}"] = float(size[~chosen].mean())
            removed, total = removed + int((~kept).sum()), total + kept.size
        found["sparsity/all"] = removed / total
        return found
