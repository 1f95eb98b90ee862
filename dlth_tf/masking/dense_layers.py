"""The wrapped layers that a ticket keeps whole, with the reason for each."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from dlth_tf.core import PruningSpec
from dlth_tf.errors import BadInput
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.structure.residual_ties import tied_layers
from dlth_tf.masking.world import prunable_weights

TIED = "tied to other layers by a residual connection"
FROZEN = "frozen (trainable=False): no training could make up for removed weights"


def prunable_of_ticket(model: Any, spec: PruningSpec) -> dict[str, PrunableWeight]:
    """Returns the weights that a ticket may prune: all wrapped ones except those of the dense layers.

    Args:
      model: A wrapped model.
      spec: Decides by its dense layers and its granularity.

    Raises:
      BadInput: If a name matches no layer, or nothing is left to prune.
    """
    entries = prunable_weights(model)
    dense = why_whole(model, spec)
    pruned = {name: entry for name, entry in entries.items() if entry.layer_name not in dense}
    if pruned:
        return pruned
    if all(reason == FROZEN for reason in dense.values()):
        allowed = "has only frozen layers to prune: set trainable=True, or name the layers in allocation"
        raise BadInput("model", model.name, allowed)
    names = ", ".join(dict.fromkeys(entry.layer_name for entry in entries.values()))
    raise BadInput("dense_layers", spec.dense_layers, f"leaves nothing to prune; the prunable layers are {names}")


def why_whole(model: Any, spec: PruningSpec) -> dict[str, str]:
    """Returns the wrapped layers that stay whole: name -> reason.

    "auto" means the first and the last layer of a network with convolutions, as in the paper, and the last of others;
    with filters or channels also the layers that residual connections tie together
    (`masking.structure.residual_ties`). Frozen layers stay whole whatever `dense_layers` says, unless a pattern of the
    allocation names them.

    Args:
      model: A wrapped model.
      spec: Decides by its dense layers, its granularity and its allocation.
    """
    layers = {entry.layer_name: entry for entry in prunable_weights(model).values()}
    reasons: dict[str, str] = {}
    for word in _words(spec.dense_layers):
        if word != "auto":
            reasons |= _matching(word, layers)
            continue
        reasons |= dict.fromkeys(sorted(tied_layers(model, spec.granularity.text)), TIED)
        convolutional = any(entry.is_kind_of("Conv") for entry in layers.values())
        for end in ("first", "last") if convolutional else ("last",):
            reasons |= _matching(end, layers)
    return reasons | {name: FROZEN for name, entry in layers.items() if entry.frozen and not _asked_for(entry, spec)}


def _asked_for(entry: PrunableWeight, spec: PruningSpec) -> bool:
    """Returns whether a pattern of the allocation names the layer; "*" names none."""
    patterns = [pattern for pattern, _ in getattr(spec.allocation, "sparsities", ())]
    return any(
        pattern.strip("*?") and (entry.is_named(pattern) or fnmatch.fnmatchcase(entry.name, pattern))
        for pattern in patterns
    )


def _matching(word: str, layers: Mapping[str, PrunableWeight]) -> dict[str, str]:
    names = list(layers)
    if word in ("first", "last"):
        return {names[0 if word == "first" else -1]: f"the {word} layer"}
    if word == "none":
        return {}
    matches = [name for name, entry in layers.items() if entry.is_named(word)]
    if not matches:
        allowed = f"matches no prunable layer; use none, first, last, or a pattern for {', '.join(names)}"
        raise BadInput("dense_layers", word, allowed)
    return dict.fromkeys(matches, "named by dense_layers")


def _words(dense_layers: str | Sequence[str]) -> list[str]:
    words = dense_layers.split(",") if isinstance(dense_layers, str) else list(dense_layers)
    words = [word.strip() for word in words if word.strip()]
    if "none" in words and len(words) > 1:
        raise BadInput("dense_layers", dense_layers, "none cannot be combined with other names")
    return words or ["none"]
