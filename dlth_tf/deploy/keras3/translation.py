"""Translates the graph of a Keras 3 model layer by layer into tf_keras, and compares every layer with its twin."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import tree

from dlth_tf.deploy.keras3.network import Keras3Layer
from dlth_tf.deploy.keras3.operations import Keras3OpLambda, Masked, known_operation, unmasked_tensor
from dlth_tf.deploy.keras3.probe import NoProbe, cause, given_inputs, has_masks, mask_of, random_inputs, same, with_mask
from dlth_tf.deploy.keras3.twins import Untranslatable, copy_weights, twin_of
from dlth_tf.masking.keras3.graph import functional, nodes, nodes_without_masks, options, passed_masks

log = logging.getLogger("dlth_tf")


@dataclass
class Translation:
    """A network of tf_keras that computes what a Keras 3 model computes.

    Attributes:
      network: The network.
      weights: Id of a variable of the model -> the variable of its twin.
      whole: Name of a layer that the network calls as it is -> why.
    """

    network: tf_keras.Model = None
    weights: dict[int, tf.Variable] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)


def translated(model: Any, examples: Any = None) -> Translation:
    """Translates a model, and compares every layer and the whole with their twins on examples, padded ones among them.

    A layer without a twin, or with one that computes something else, is called as it is.

    Args:
      model: A Keras 3 model on TensorFlow.
      examples: Examples as `dlth_tf.export` takes them; random ones are drawn in any case.

    Raises:
      Untranslatable: If the model is neither Sequential nor Functional, if it runs on no examples that can be drawn, or
        if the network does not compute the same.
    """
    if functional(model) is None:
        raise Untranslatable(f"{model.name} ({type(model).__name__}) is neither Sequential nor Functional")
    given = given_inputs(model, examples)
    try:
        probe = random_inputs(model)
    except NoProbe as why:
        if given is None:
            raise Untranslatable(f"{why}; examples=... helps") from None
        probe = given
    refused: dict[int, str] = {}
    while True:
        walk = _Walk(refused)
        try:
            network = walk.network(model, probe)
            break
        except _Differs as differs:  # in a later call than the first: the earlier ones need another twin too
            refused[id(differs.layer)] = str(differs)
    for inputs in (probe, given):
        if inputs is not None and not same(model(inputs, training=False), network(inputs, training=False)):
            raise Untranslatable("the whole of its layers computes something else there")
    for name, reason in walk.done.whole.items():
        log.info("%s is exported as it is, and stays whole: %s", name, reason)
    walk.done.network = network
    return walk.done


class _Differs(Exception):
    """The twin of a layer computes something else in one of its calls."""

    def __init__(self, layer: Any, problem: str) -> None:
        super().__init__(problem)
        self.layer = layer


class _Walk:
    """One translation. A layer has one twin in all the models that call it.

    Args:
      refused: Id of a layer that needs another twin -> why.
    """

    def __init__(self, refused: dict[int, str]) -> None:
        self.refused = refused
        self.twins: dict[int, Any] = {}
        self.done = Translation()

    def network(self, model: Any, inputs: Any) -> tf_keras.Model:
        """Returns the network of a model of which these are inputs, with the masks that they carry."""
        graph = functional(model)
        tensors: dict[int, Any] = {}
        ours: dict[int, Any] = {}
        theirs: dict[int, Any] = {}  # the numbers of ours with the masks that tf_keras passes on
        for tensor, value in zip(graph.inputs, tree.flatten(inputs), strict=True):
            batch, *shape = tensor.shape
            twin = tf_keras.Input(tuple(shape), batch_size=batch, dtype=tf.as_dtype(tensor.dtype), name=tensor.name)
            tensors[id(tensor)] = twin
            for values in (ours, theirs):  # a copy each: layers of Keras 3 take masks away from what they are given
                values[id(tensor)] = with_mask(value, mask_of(value))
        needed = {id(node) for node in nodes_without_masks(graph)}
        left = Counter(id(tensor) for node in nodes(graph) for tensor in node.input_tensors)
        for node in (node for node in nodes(graph) if not node.is_input):
            expected = _computed(node, ours)
            results = [id(tensor) for tensor in node.output_tensors]
            ours.update(zip(results, tree.flatten(expected), strict=True))
            if id(node) in needed:
                outputs, found = self._call(node, tensors, theirs, expected)
                tensors.update(zip(results, tf.nest.flatten(outputs), strict=True))
                masks = map(mask_of, tf.nest.flatten(found))
                theirs.update(zip(results, map(with_mask, tree.flatten(expected), masks), strict=True))
            for key in map(id, node.input_tensors):
                left[key] -= 1
                if not left[key]:
                    ours.pop(key, None)
                    theirs.pop(key, None)
        structures = graph._inputs_struct, graph._outputs_struct
        return tf_keras.Model(*(_with(tensors, structure) for structure in structures), name=model.name)

    def _call(self, node: Any, tensors: dict[int, Any], values: dict[int, Any], expected: Any) -> tuple[Any, Any]:
        """Calls the first candidate that computes what the node computes.

        Args:
          node: Call of a layer or an operation.
          tensors: Id of a tensor of Keras 3 -> its twin.
          values: Id of a tensor of Keras 3 -> an example of it.
          expected: What the node computes of the examples.

        Returns:
          The twins of its outputs, and what the candidate computes of the examples.
        """
        operation = node.operation
        problem = self.refused.get(id(operation), "")
        masked = any(mask_of(values.get(id(tensor))) is not None for tensor in node.input_tensors)
        for make in self._candidates(node, values):
            for unmasked in (False, True) if masked else (False,):
                try:
                    layer, arguments, named = make()
                    symbolic = _apply(layer, arguments, named, tensors, unmasked)
                    self._fill(operation, layer)
                    found = _apply(layer, arguments, named | _inference(layer), values, unmasked)
                    givers = [(values[key], tensors[key]) for key in map(id, node.input_tensors) if key in tensors]
                    found, symbolic = _remasked((found, symbolic), expected, givers)
                except _Differs:
                    raise
                except Exception as error:  # tf_keras fails in any way on what it does not know
                    problem = cause(error)
                    continue
                if not same(expected, found):
                    problem = "its numbers differ there"
                elif not has_masks(found, expected):
                    problem = "its mask is not passed on there"
                else:
                    if isinstance(operation, keras.Layer):
                        self.twins[id(operation)] = layer
                        if isinstance(layer, Keras3Layer):
                            self.done.whole[operation.name] = problem
                    return symbolic, found
        if id(operation) in self.twins and id(operation) not in self.refused:
            raise _Differs(operation, problem)
        raise Untranslatable(f"{operation.name} ({type(operation).__name__}) cannot be called there: {problem}")

    def _candidates(self, node: Any, values: dict[int, Any]) -> Iterator[Callable[[], tuple[Any, Any, Any]]]:
        """Yields functions that make a layer, with the arguments to call it with; the first one is the best."""
        operation = node.operation
        if not isinstance(operation, keras.Layer):
            arguments = node.arguments.args, node.arguments.kwargs
            if any(isinstance(each, keras.Variable) for each in tree.flatten(arguments)):
                raise Untranslatable(f"{operation.name} computes with a variable of no layer")
            given = node.input_tensors if len(node.input_tensors) > 1 else node.input_tensors[0]
            if known_operation(node) is not None:
                yield lambda: (known_operation(node), (given,), {})
            yield lambda: (Keras3OpLambda(operation.name, operation, arguments), (given,), {})
            return
        # tf_keras passes masks on as well, and an export computes in inference mode whatever `training` says.
        wanted = set(options(node)).difference(passed_masks(node), {"training"})
        call = node.arguments.args, {name: node.arguments.kwargs[name] for name in wanted}
        if id(operation) in self.twins:
            yield lambda: (self.twins[id(operation)], *call)
            return
        if id(operation) not in self.refused:
            yield lambda: (self._twin(node, values), *call)
        yield lambda: (Keras3Layer(operation, operation.name), *call)

    def _twin(self, node: Any, values: dict[int, Any]) -> Any:
        if not isinstance(node.operation, keras.Model):
            return twin_of(node.operation)
        if functional(node.operation) is None:
            raise Untranslatable("it is neither Sequential nor Functional")
        return self.network(node.operation, [values[id(tensor)] for tensor in tree.flatten(node.arguments.args)])

    def _fill(self, source: Any, twin: Any) -> None:
        """Gives a twin the values of its layer, once."""
        if not isinstance(source, keras.Layer) or isinstance(twin, keras.Model | tf_keras.Model | Keras3Layer):
            return
        if id(source) not in self.twins:
            self.done.weights.update((id(variable), weight) for variable, weight in copy_weights(source, twin))


def _computed(node: Any, values: dict[int, Any]) -> Any:
    """Returns what a node of Keras 3 computes in inference mode, with the masks that Keras passes on."""
    args, named = _with(values, (node.arguments.args, node.arguments.kwargs))
    if getattr(node.operation, "_call_has_training_arg", False):
        named["training"] = False
    return node.operation(*args, **named)


def _with(values: dict[int, Any], arguments: Any) -> Any:
    return tree.map_structure(lambda each: values[id(each)] if isinstance(each, keras.KerasTensor) else each, arguments)


def _apply(layer: Any, arguments: Any, named: Any, values: dict[int, Any], unmasked: bool) -> Any:
    args, named = _with(values, (arguments, named))
    return layer(*(tf.nest.map_structure(unmasked_tensor, args) if unmasked else args), **named)


def _inference(layer: Any) -> dict[str, bool]:
    """Returns the argument that a layer outside of a model needs to behave as in inference."""
    return {"training": False} if "training" in inspect.signature(layer.call).parameters else {}


def _remasked(outputs: tuple[Any, Any], expected: Any, givers: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Gives outputs the masks that they lack and that an input of the call carries.

    Args:
      outputs: What a candidate computes of the examples, and its Keras tensors.
      expected: What Keras 3 computes of the examples.
      givers: The examples of every input, and its Keras tensor.
    """
    flat = [tf.nest.flatten(each) for each in outputs]
    for place, wanted in enumerate(map(mask_of, tree.flatten(expected))):
        if wanted is None or has_masks(flat[0][place], tree.flatten(expected)[place]):
            continue
        giver = next((each for each in givers if np.array_equal(mask_of(each[0]), wanted)), None)
        if giver is not None:
            layer = Masked(dtype=flat[0][place].dtype.name)
            for one, source in zip(flat, giver, strict=True):
                one[place] = layer([one[place], source])
    found, symbolic = (tf.nest.pack_sequence_as(each, one) for each, one in zip(outputs, flat, strict=True))
    return found, symbolic
