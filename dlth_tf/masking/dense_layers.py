"""Which of the wrapped layers a ticket leaves whole, and why."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.weights import PrunableWeight, prunable_weights
from dlth_tf.masking.residual_ties import tied_layers

TIED = "tied to other layers by a residual connection"


def prunable_of_ticket(
    model: tf_keras.Model, dense_layers: str | Sequence[str] = "auto", granularity: str = "weight"
) -> dict[str, PrunableWeight]:
    """The weights that a ticket may prune: all of the wrapped ones but those of the dense layers.

    Raises:
      BadInput: a name that matches no layer, or nothing is left to prune.
    """
    entries = prunable_weights(model)
    dense = why_whole(model, dense_layers, granularity)
    pruned = {name: entry for name, entry in entries.items() if entry.layer.layer.name not in dense}
    if not pruned:
        names = dict.fromkeys(entry.layer.layer.name for entry in entries.values())
        raise BadInput(
            "dense_layers", dense_layers, f"leaves nothing to prune; the prunable layers are {', '.join(names)}"
        )
    return pruned


def why_whole(
    model: tf_keras.Model, dense_layers: str | Sequence[str] = "auto", granularity: str = "weight"
) -> dict[str, str]:
    """The wrapped layers that stay whole: name -> reason.

    "auto" means the first and the last layer of a network with convolutions, as in the paper's, and the last of others;
    with filters or channels also what residual connections tie together (`masking.joins`).
    """
    entries = prunable_weights(model)
    names = list(dict.fromkeys(entry.layer.layer.name for entry in entries.values()))
    convolutional = any("Conv" in type(entry.layer.layer).__name__ for entry in entries.values())
    found: dict[str, str] = {}
    for word in _words(dense_layers):
        found |= _meant(word, model, names, convolutional, granularity)
    return found


def _meant(word: str, model: tf_keras.Model, names: list[str], convolutional: bool, granularity: str) -> dict[str, str]:
    if word == "auto":
        ends = ("first", "last") if convolutional else ("last",)
        tied = dict.fromkeys(sorted(tied_layers(model, granularity)), TIED)
        return tied | {
            name: why for end in ends for name, why in _meant(end, model, names, convolutional, granularity).items()
        }
    if word in ("first", "last"):
        return {names[0 if word == "first" else -1]: f"the {word} layer"}
    if word == "none":
        return {}
    matching = fnmatch.filter(names, word)
    if not matching:
        raise BadInput(
            "dense_layers",
            word,
            f"matches no prunable layer; use none, first, last, or a pattern for {', '.join(names)}",
        )
    return dict.fromkeys(matching, "named by dense_layers")


def _words(dense_layers: str | Sequence[str]) -> list[str]:
    words = dense_layers.split(",") if isinstance(dense_layers, str) else list(dense_layers)
    words = [word.strip() for word in words if word.strip()]
    if "none" in words and len(words) > 1:
        raise BadInput("dense_layers", dense_layers, "none cannot stand beside other names")
    return words or ["none"]
