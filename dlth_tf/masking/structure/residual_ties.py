"""Layers whose filters or channels are tied to those of other layers by additions (residual connections)."""

from __future__ import annotations

from typing import Any

from dlth_tf.masking import world
from dlth_tf.masking.protocol import World
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.structure.channel_graph import ChannelGraph


def tied_layers(model: Any, granularity: str) -> set[str]:
    """Names of the prunable layers in which a group of this granularity cannot be removed physically without others.

    For "filter" these are the layers whose outputs are added to others' before any layer mixes channels again, for
    "channel" those whose inputs are, here or on another branch: in a residual network all but the inner convolutions of
    a block, as in the official code. Nested models are followed; the graph of a subclassed model is not known, so it
    has no ties.

    Args:
      model: A wrapped model.
      granularity: As in `dlth_tf.random_ticket`; only "filter" and "channel" have ties.
    """
    if granularity not in ("filter", "channel"):
        return set()
    graph = world.of(model).channel_graph(model)
    layers = {entry.layer_name: entry.layer for entry in world.prunable_weights(model).values()}
    return {name for name, layer in layers.items() if _tied(graph, layer, granularity)}


def _tied(graph: ChannelGraph, layer: Any, granularity: str) -> bool:
    sources = [layer]
    if granularity == "channel":
        sources = [source for source in graph.reached(layer, graph.producers) if not graph.passes(source)]
    return any(
        graph.joins(source) or any(graph.joins(reached) for reached in graph.reached(source, graph.consumers))
        for source in sources
    )


def batch_norm_gammas(model: Any, entries: dict[str, PrunableWeight]) -> dict[str, Any]:
    """gamma of the batch norm that directly follows each kernel, one number per output; None where there is none.

    Args:
      model: A wrapped model.
      entries: Tensor name -> prunable weight.
    """
    adapter = world.of(model)
    graph = adapter.channel_graph(model)
    return {name: _gamma(adapter, graph, entry) for name, entry in entries.items()}


def _gamma(adapter: World, graph: ChannelGraph, entry: PrunableWeight) -> Any:
    consumers = {id(layer): layer for layer in graph.consumers.get(id(entry.layer), [])}.values()
    norms = [layer for layer in consumers if adapter.is_batch_norm(layer)]
    return norms[0].gamma if len(norms) == 1 and norms[0].scale and entry.layout == "kernel" else None
