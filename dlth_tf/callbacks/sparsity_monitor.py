"""SparsityMonitor: TensorBoard scalars that show how the penalty squeezes the weights out."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from dlth_tf import masking
from dlth_tf.callbacks.base import Callback
from dlth_tf.callbacks.event_file import EventFile


class SparsityMonitor(Callback):
    """Writes, at the end of every epoch, sparsity and mean |w| of every prunable tensor, and the penalty.

    Scalars, by optimizer step: `sparsity/<tensor>` and `sparsity/all` (fraction that is removed), `penalty` (lambda of
    the last step), `mean_abs/kept/<tensor>` and `mean_abs/to_remove/<tensor>` (of the weights that the ticket keeps and
    does not keep; tensors without a ticket have only the first).

    The files are written without TensorFlow, so a model of Keras 3 on JAX or PyTorch does not load it.

    Args:
      log_dir: TensorBoard directory, local, or of a file system of fsspec ("gs://...", with the package for it); the
        scalars are written to its folder `sparsity`.
      histograms: Whether to write a histogram of every prunable tensor too.
    """

    def __init__(self, log_dir: str | os.PathLike[str], histograms: bool = False) -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.histograms = histograms
        self._writer: EventFile | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the writer and writes the state before the first step."""
        masking.prunable_weights(self.measured())  # raises at once if the model is not wrapped
        self._writer = EventFile(os.path.join(self.log_dir, "sparsity"))
        self._write()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the scalars."""
        self._write()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()

    def measured(self) -> Any:
        """Returns the model whose weights are written: the one that is trained."""
        return self.model

    def _write(self) -> None:
        step = masking.steps_made(self.model)
        histograms = {}
        if self.histograms:
            entries = masking.prunable_weights(self.measured())
            histograms = {f"weights/{name}": entry.weight.numpy() for name, entry in entries.items()}
        if self._writer is not None:
            self._writer.write(step, self.scalars(max(0, step - 1)), histograms)

    def scalars(self, step: int) -> dict[str, float]:
        """Returns the scalars of the model's present state, with the penalty of optimizer step `step`."""
        hook = masking.installed(self.model)
        values = {"penalty": float(hook.penalty.at(step)) if hook and hook.penalty else 0.0}
        removed = 0
        total = 0
        for name, entry in masking.prunable_weights(self.measured()).items():
            chosen = entry.chosen()
            kept = entry.kept()
            magnitude = np.abs(entry.weight.numpy())
            values[f"sparsity/{name}"] = 1 - float(kept.mean())
            values[f"mean_abs/kept/{name}"] = float(magnitude[chosen].mean())
            if not chosen.all():
                values[f"mean_abs/to_remove/{name}"] = float(magnitude[~chosen].mean())
            removed += int((~kept).sum())
            total += kept.size
        values["sparsity/all"] = removed / total
        return values
