"""The protocol that the adapter for one version of Keras fulfills for compaction."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from dlth_tf.masking.world import of, package_of

Shape = tuple[int | None, ...]
ADAPTERS = {"tf_keras": "dlth_tf.deploy.compaction.keras2", "keras": "dlth_tf.deploy.compaction.keras3"}


@dataclass(frozen=True)
class Node:
    """One call of a layer in the graph of a model.

    Attributes:
      layer: The layer, or the operation that Keras 3 makes of `x + y`.
      inputs: Keys of the input tensors.
      outputs: Key -> shape of the output tensors, with the batch axis.
      is_input: Whether it is an input of the model.
      options: Names of the call's options that are not None.
      plain: Whether it is called with nothing but its input tensors.
    """

    layer: Any
    inputs: tuple[Hashable, ...]
    outputs: Mapping[Hashable, Shape]
    is_input: bool
    options: tuple[str, ...]
    plain: bool


class Library(Protocol):
    """The operations of one version of Keras that compaction needs."""

    layers: Any  # its module of layers
    Model: type
    ELEMENTWISE: Collection[Any]  # activations that treat every number independently

    def plain(self, model: Any) -> Any:
        """Returns the network without wrappers; raises BadInput unless all that its ticket does not keep is removed."""

    def nodes(self, model: Any) -> list[Node] | None:
        """Returns the calls of a model, each after those that compute its inputs; None if its graph is not known."""

    def results(self, model: Any) -> list[Hashable]:
        """Returns the keys of the tensors that a model returns."""

    def kind_of_type(self, layer: Any) -> str | None:
        """Returns the kind of layer by its exact type, because a subclass may do anything in its call."""

    def is_function(self, layer: Any) -> bool:
        """Returns whether it stands for a function on tensors."""

    def computed(self, function: Any, inputs: Sequence[np.ndarray], dtype: str) -> np.ndarray:
        """Returns what a layer computes in inference mode, or an activation, in float64.

        Args:
          function: Layer or activation.
          inputs: Input tensors.
          dtype: Their precision.
        """

    def recreated(self, layer: Any, made: MutableMapping[int, Any], **changes: Any) -> Any:
        """Builds a layer anew from its config, of which some entries change.

        Args:
          layer: Layer, nested model or operation. One that was already made anew is not made a second time.
          made: Old id -> what was made of it, also of the layers inside nested models. New ones are added.
          **changes: Entries of the config that change.
        """

    def fill(self, layer: Any, weights: Sequence[np.ndarray], source: Any) -> None:
        """Sets the weights of a layer that was recreated from `source`, and what it holds beside them."""

    def rebuilt(self, model: Any, smaller: Callable[[Any], Any]) -> Any:
        """Builds an uncompiled model like another one, from layers that `smaller` makes of the other's."""


def is_of_package(value: Any, package: str) -> bool:
    """Returns whether the class of a layer or an operation is one of a Keras itself, not a subclass of it."""
    return type(value).__module__.partition(".")[0] == package


def same_trainable(old: Any, new: Any) -> None:
    """Freezes in a model what is frozen in the one that it was built like, and in nested ones."""
    if new.trainable != old.trainable:
        new.trainable = old.trainable  # which Keras sets in all layers inside
    for layer in old.layers:
        other = new.get_layer(layer.name)
        if hasattr(layer, "layers") and hasattr(other, "layers"):
            same_trainable(layer, other)
        elif other.trainable != layer.trainable:
            other.trainable = layer.trainable


def library_of(value: Any) -> Library:
    """Returns the adapter for the Keras of a model or layer, which is read off its class.

    Raises:
      BadInput: If it is not of Keras.
    """
    of(value)  # refuses what is of neither Keras
    return cast(Library, importlib.import_module(ADAPTERS[str(package_of(value))]))
