"""Global allocation: keeps the highest scores of the whole network, whatever their tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlth_tf.core.exact_counts import Sparsity
from dlth_tf.core.groups import Groups, Tensors, as_groups, weight_budget
from dlth_tf.errors import BadInput


def global_threshold(
    tensors: Tensors, sparsity: Sparsity, scores: Mapping[str, np.ndarray] | None = None
) -> dict[str, int]:
    """Applies one threshold to all tensors, as in SNIP, GraSP, SynFlow and open_lth.

    Exactly n - removed_count(n, p) weights are kept, or, where groups hold several weights, less than one group fewer.
    Ties are broken as in `top_k_mask`: first those of the earlier tensor are removed, then those of the smaller flat
    index. A tensor that would lose everything keeps its best group, which prevents layer collapse, and the others share
    the rest.

    Args:
      tensors: Tensor name -> shape of every tensor that is pruned, or its Groups.
      sparsity: Fraction removed of all weights together, in [0, 1).
      scores: Tensor name -> one score for every group that is free, in any shape, comparable between tensors.

    Returns:
      Tensor name -> number of groups that are kept, at least 1.

    Raises:
      BadInput: If there are no scores, or the sparsity leaves less than one group of every tensor.

    >>> scores = {"a": np.array([[.1, .2], [.3, .4]]), "b": np.array([.9, .35, .1])}
    >>> global_threshold({"a": (2, 2), "b": (3,)}, .5, scores)
    {'a': 1, 'b': 2}
    """
    if scores is None:
        raise BadInput("allocation", "global", "needs a score for every weight, and this caller has no scores")
    groups = as_groups(tensors)
    budget = weight_budget(groups, sparsity)
    kept: dict[str, int] = {}
    rest = {name: entry for name, entry in groups.items() if entry.free}
    while rest:
        counts = _highest(rest, scores, budget)
        if all(counts.values()):
            kept |= counts
            break
        kept |= {name: 1 for name, count in counts.items() if not count}
        budget -= sum(rest[name].weights for name, count in counts.items() if not count)
        rest = {name: rest[name] for name, count in counts.items() if count}
    return {name: kept.get(name, 0) for name in groups}


def _highest(groups: Mapping[str, Groups], scores: Mapping[str, np.ndarray], budget: int) -> dict[str, int]:
    sizes = {entry.weights for entry in groups.values()}
    return (
        _highest_equal(groups, scores, budget // sizes.pop())
        if len(sizes) == 1
        else _highest_unequal(groups, scores, budget)
    )


def _highest_equal(groups: Mapping[str, Groups], scores: Mapping[str, np.ndarray], kept: int) -> dict[str, int]:
    """Number of the `kept` highest scores in each tensor; by partition, as sorting millions of weights is slow."""
    everything = _together(groups, scores)
    everything.partition(everything.size - kept)  # in place: no second copy of all scores
    threshold = everything[everything.size - kept]
    del everything
    counts = {name: int(np.count_nonzero(scores[name] > threshold)) for name in groups}
    ties = kept - sum(counts.values())
    for name in reversed(list(groups)):
        if not ties:
            break
        taken = min(ties, int(np.count_nonzero(scores[name] == threshold)))
        counts[name] += taken
        ties -= taken
    return counts


def _together(groups: Mapping[str, Groups], scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """All scores in one array, filled tensor by tensor: scores computed on access are never all in memory twice.

    Those of a dtype that is not NumPy's own (bfloat16) are there as float32, which holds them exactly.
    """
    everything = np.empty(sum(entry.free for entry in groups.values()), np.float16)
    start = 0
    for name in groups:
        part = scores[name].ravel()
        dtype = part.dtype if part.dtype.isbuiltin == 1 else np.float32
        everything = everything.astype(np.result_type(everything, dtype), copy=False)
        everything[start : start + part.size] = part
        start += part.size
    return everything


def _highest_unequal(groups: Mapping[str, Groups], scores: Mapping[str, np.ndarray], budget: int) -> dict[str, int]:
    """The same for groups of different sizes: the longest run of highest scores whose weights fit into the budget."""
    tensor = np.repeat(np.arange(len(groups)), [entry.free for entry in groups.values()])
    highest_first = np.argsort(_together(groups, scores), kind="stable")[::-1]
    weights = np.array([entry.weights for entry in groups.values()])[tensor[highest_first]]
    chosen = highest_first[np.cumsum(weights) <= budget]
    return dict(zip(groups, np.bincount(tensor[chosen], minlength=len(groups)).tolist(), strict=True))
