"""Multiply-adds of each weight in a traced forward pass, through function calls and the loops of recurrent layers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")
TRANSPOSED = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")
PRODUCTS = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x", "BatchMatMulV3": "adj_x"}
BODIES = {"PartitionedCall": "f", "StatefulPartitionedCall": "f", "While": "body", "StatelessWhile": "body"}
# What may be done to activations and a weight without multiply-adds of a kernel: look up, add, scale, join, pass on to
# a gradient of one's own.
WITHOUT = (
    *("GatherV2", "ResourceGather"),
    *("Add", "AddV2", "BiasAdd", "Maximum", "Minimum", "Mul", "RealDiv", "SelectV2", "Sub"),
    *("BroadcastTo", "ConcatV2", "IdentityN", "Pack", "Tile"),
)


@dataclass
class KernelUses:
    """Uses of the weights in a forward pass.

    Attributes:
      macs: Multiply-adds on the whole batch, by name.
      unknown: Names of weights with a use whose multiply-adds are not known.
    """

    macs: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)


def kernel_uses(graph: Any, weights: Mapping[str, str], batch: int) -> KernelUses:
    """Counts the multiply-adds of weights in a graph.

    A tensor that is computed from one weight and no activations (cast, reshaped, split, normalized) is that weight.

    Args:
      graph: FuncGraph of the forward pass.
      weights: Name of a tensor in it, a weight or its handle -> name of the weight.
      batch: Number of examples, at least 1.
    """
    uses = KernelUses()
    captured = {inside.name for _, inside in graph.captures}
    data = {each.name for each in graph.inputs} - captured
    _Walk(uses, batch, 1).walk(graph, dict(weights), data)
    return uses


@dataclass(frozen=True)
class _Walk:
    """A walk through one function.

    Attributes:
      uses: What is found.
      batch: Number of examples.
      times: How often the function is called; None if that is not known.
    """

    uses: KernelUses
    batch: int
    times: int | None

    def walk(self, graph: Any, held: dict[str, str], data: set[str]) -> None:
        """Visits the operations that the outputs depend on.

        Args:
          graph: FuncGraph of the function.
          held: Name of a tensor -> name of the weight that it is; grows.
          data: Names of the tensors that depend on the examples; grows.
        """
        for operation in _needed(graph):
            inside = [held.get(each.name) for each in operation.inputs]
            weights = {name for name in inside if name is not None}
            if not any(each.name in data for each in operation.inputs):
                if len(weights) == 1:
                    if operation.type in PRODUCTS:  # by the state before the first step
                        self._count(operation, inside, weights)
                    held |= {each.name: next(iter(weights)) for each in operation.outputs if _may_be_weight(each)}
                else:
                    self.uses.unknown |= weights
                continue
            data |= {each.name for each in operation.outputs}
            if weights and operation.type in BODIES:
                self._enter(operation, inside, data)
            elif weights:
                self._count(operation, inside, weights)

    def _enter(self, operation: Any, inside: list[str | None], data: set[str]) -> None:
        function = operation.graph._get_function(operation.get_attr(BODIES[operation.type]).name)
        loops = operation.type in ("While", "StatelessWhile")
        steps = _steps(operation) if loops else 1
        given = zip(function.graph.inputs, operation.inputs, inside, strict=True)
        held, reached = {}, set()
        for taken, value, name in given:
            if name is not None:
                held[taken.name] = name
            elif loops or value.name in data:  # a loop's other values may depend on the examples after a step
                reached.add(taken.name)
        times = None if steps is None or self.times is None else self.times * steps
        _Walk(self.uses, self.batch, times).walk(function.graph, held, reached)

    def _count(self, operation: Any, inside: list[str | None], weights: set[str]) -> None:
        if operation.type in WITHOUT and not _is_outer_product(operation, inside):
            return
        macs = self._macs(operation, inside) if len(weights) == 1 else None
        if macs is None or self.times is None:
            self.uses.unknown |= weights
        else:
            self.uses.macs[next(iter(weights))] += macs * self.times

    def _macs(self, operation: Any, inside: list[str | None]) -> int | None:
        if operation.type in CONVOLUTIONS + TRANSPOSED and inside[1] is not None:
            across = operation.outputs[0] if operation.type in CONVOLUTIONS else operation.inputs[2]
            first, *others = across.shape
            del others[0 if operation.get_attr("data_format").startswith(b"NC") else -1]
            return _product([first or self.batch, *others, *operation.inputs[1].shape])
        if operation.type in PRODUCTS:
            contracted = -2 if operation.get_attr(PRODUCTS[operation.type]) else -1
            return _product([*_shape(operation.outputs[0]), _shape(operation.inputs[0])[contracted]])
        if operation.type == "Einsum":
            return _product([*_shape(operation.outputs[0]), *_contracted(operation)])
        return None


def _needed(graph: Any) -> list[Any]:
    """The operations that the outputs depend on, in order: Keras also traces a recurrent step that is never made."""
    needed: set[str] = set()
    waiting = [each.op for each in graph.outputs]
    while waiting:
        operation = waiting.pop()
        if operation.name not in needed:
            needed.add(operation.name)
            waiting += [each.op for each in operation.inputs]
    return [operation for operation in graph.get_operations() if operation.name in needed]


def _steps(loop: Any) -> int | None:
    """The steps of a recurrent layer's loop: the length of what it reads step by step; None if that is not known."""
    lists = [each.op for each in loop.inputs if each.op.type == "TensorListFromTensor"]
    lengths = {_shape(each.inputs[0])[0] for each in lists}
    return lengths.pop() if len(lengths) == 1 else None


def _may_be_weight(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating or tensor.dtype.name in ("int8", "resource", "variant"))


def _shape(tensor: Any) -> list[int | None]:
    return [None] if tensor.shape.rank is None else list(tensor.shape)


def _is_outer_product(operation: Any, inside: list[str | None]) -> bool:
    """Returns whether a product is larger than the activations in it: a sum over it would be a kernel's."""
    others = [_product(_shape(each)) for each, name in zip(operation.inputs, inside, strict=True) if name is None]
    return operation.type == "Mul" and _product(_shape(operation.outputs[0])) not in others


def _contracted(einsum: Any) -> list[int | None]:
    """Sizes of the axes that an Einsum sums over."""
    taken, given = einsum.get_attr("equation").decode().split("->")
    sizes: dict[str, int | None] = {}
    for labels, value in zip(taken.split(","), einsum.inputs, strict=True):
        left, _, right = labels.partition("...")
        shape = _shape(value)
        sizes |= dict(zip(left, shape, strict=False))
        sizes |= dict(zip(reversed(right), reversed(shape), strict=False))
    return [size for label, size in sizes.items() if label not in given]


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None
