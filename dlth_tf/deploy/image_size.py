"""A network that takes images of any size, built anew for images of one size.

Every form then knows all shapes: compaction can fold constants into maps, and runtimes plan their memory once.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tf_keras

from dlth_tf.deploy.copied_layers import cloned, fill
from dlth_tf.deploy.interface import interface_of
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ServingOptions, size_text
from dlth_tf.masking.keras2.graph import input_names, is_graph_network

Size = tuple[int, int]
Shape = list[int | None]


def at_image_size(source: Source) -> Source:
    """Returns the same network for images of `source.image_size`; `source` itself if that is None.

    Raises:
      BadInput: If the network takes no images, is built for another size, or cannot take this one.
    """
    if source.image_size is None:
        return source
    ServingOptions(image_size=source.image_size).check()
    return dataclasses.replace(source, model=_at(source.model, source.image_size))


def _at(model: tf_keras.Model, size: Size) -> tf_keras.Model:
    given = size_text(size)
    shapes = [_shape(spec.shape) for spec in interface_of(model).inputs.values()]
    images = [shape for shape in shapes if shape is not None and len(shape) == 4]
    if not images:
        raise BadInput("image_size", given, "is for networks of images [batch, height, width, channels]")
    free = [shape for shape in images if None in shape[1:]]
    if any(_filled(shape, size) is None for shape in free) or (not free and not _has(images, size)):
        built = ", ".join(str(shape[1:]) for shape in images)
        raise BadInput("image_size", given, f"must be that of the images that the network was built for, {built}")
    if not free:
        return model
    if not is_graph_network(model):
        raise BadInput("image_size", given, "needs a Functional or Sequential model, whose layers are known")
    return _rebuilt(model, size)


def _rebuilt(model: tf_keras.Model, size: Size) -> tf_keras.Model:
    inputs = []
    for tensor, name in zip(model.inputs, input_names(model), strict=True):
        shape = _shape(tensor.shape)
        batch, *rest = (shape and _filled(shape, size)) or tensor.shape.as_list()
        inputs.append(tf_keras.Input(tuple(rest), batch_size=batch, dtype=tensor.dtype, name=name))
    try:
        fixed = cloned(model, inputs=inputs)
    except Exception as error:  # Keras and layers of the user's own raise errors of many types
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput("image_size", size_text(size), f"does not fit the network ({lines[0][:200]})") from error
    fill(fixed, model.get_weights())
    return fixed


def _shape(shape: tf.TensorShape) -> Shape | None:
    return None if shape.rank is None else shape.as_list()


def _axes(shape: Shape) -> slice:
    """Height and width of an image: the axes after the batch, or those after the channels if these come first."""
    return slice(2, 4) if shape[1] is not None and shape[3] is None else slice(1, 3)


def _filled(shape: Shape, size: Size) -> Shape | None:
    """Returns the shape with this size in place of what is free; None if it is another one already."""
    if len(shape) != 4 or None not in shape[1:]:
        return shape
    axes = _axes(shape)
    if any(known not in (None, wanted) for known, wanted in zip(shape[axes], size, strict=True)):
        return None
    return [*shape[: axes.start], *size, *shape[axes.stop :]]


def _has(shapes: list[Shape], size: Size) -> bool:
    return any(list(size) in (shape[1:3], shape[2:4]) for shape in shapes)
