"""Callback: the base class of this package's callbacks, which works in the `fit` of either Keras."""

from __future__ import annotations

from typing import Any


class Callback:
    """A callback with the interface that `fit` of Keras 2 and of Keras 3 expects; every hook does nothing.

    Attributes:
      model: The model that is trained, set by `fit`.
      params: Parameters of this `fit`: "epochs", "steps" (per epoch, None if unknown), "verbose".
    """

    _supports_tf_logs = True  # Keras 2: no copy of the metrics to the host at every step
    _chief_worker_only: bool | None = None  # Keras 2: runs on every worker

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Receives the model; called by `fit`."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receives the parameters; called by `fit`."""
        self.params = params

    def _implements(self, kind: str) -> bool:
        names = (f"on_{kind}_batch_begin", f"on_{kind}_batch_end")
        return any(getattr(type(self), name) is not getattr(Callback, name) for name in names)

    def _implements_train_batch_hooks(self) -> bool:
        return self._implements("train")

    def _implements_test_batch_hooks(self) -> bool:
        return self._implements("test")

    def _implements_predict_batch_hooks(self) -> bool:
        return self._implements("predict")

    def on_train_begin(self, logs: Any = None) -> None:
        """Called before the first step of `fit`."""

    def on_train_end(self, logs: Any = None) -> None:
        """Called after the last step of `fit`."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called before an epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called after an epoch with its metrics, which may be added to."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called before an execution; `batch` is the number of its first step in the epoch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called after an execution; `batch` is the number of its last step in the epoch."""

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Unused; Keras' older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Unused; Keras' older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Any = None) -> None:
        """Called before an evaluation."""

    def on_test_end(self, logs: Any = None) -> None:
        """Called after an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called after a batch of an evaluation."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """Called before a prediction."""

    def on_predict_end(self, logs: Any = None) -> None:
        """Called after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called after a batch of a prediction."""


# Keras 3 dispatches batches asynchronously where no callback watches them; this marks the hooks that do nothing.
for _name in ("batch", "train_batch", "test_batch", "predict_batch"):
    for _when in ("begin", "end"):
        setattr(getattr(Callback, f"on_{_name}_{_when}"), "_is_default", True)  # noqa: B010 (a function has no such attribute)
