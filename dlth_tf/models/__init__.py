"""Networks by name, or by the dotted path of a custom function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dlth_tf.errors import BadInput
from dlth_tf.models import keras_cv_backbone
from dlth_tf.models.arguments import check_arguments
from dlth_tf.plain_numbers import shape_with_unknowns, whole_number
from dlth_tf.registry import Registry, import_path, is_path

FAMILIES = {  # file -> its networks
    "lenet": ("lenet_300_100", "lenet5"),
    "mlp": ("mlp", "mlp_7_linear", "mlp_7_relu"),
    "cifar_resnet": ("resnet8", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
    "resnet": ("resnet18", "resnet34", "resnet50"),
    "wide_resnet": ("wrn_16_2", "wrn_22_2", "wrn_28_10"),
    "vgg": ("vgg11", "vgg13", "vgg16", "vgg19"),
    "mobilenet": ("mobilenet_v1", "mobilenet_v2"),
}
MODELS = Registry(
    "model", {name: f"dlth_tf.models.{family}:{name}" for family, names in FAMILIES.items() for name in names}
)


def check_name(name: str) -> str:
    """Checks the name of a network without importing TensorFlow or keras-cv.

    Args:
      name: Name of a network, as given to `--model`.

    Returns:
      `name`.

    Raises:
      BadInput: If the name is neither registered, nor a keras-cv backbone, nor of the form of a dotted path.
    """
    if keras_cv_backbone.is_name(name):
        return keras_cv_backbone.check_name(name)
    return name if is_path(name) else MODELS.check(name)


def _builder(name: str) -> Callable[..., Any]:
    """Returns the function (image_shape, classes, **arguments) -> model of this name."""
    if keras_cv_backbone.is_name(name):
        return partial(keras_cv_backbone.build, keras_cv_backbone.check_name(name))
    return import_path(name, "model") if is_path(name) else MODELS.load(name)


def build(
    name: str, image_shape: tuple[int, ...], classes: int, seed: int, arguments: Mapping[str, Any] | None = None
) -> Any:
    """Builds a network whose initial weights are a pure function of (seed, layer name, weight).

    Args:
      name: A registered name, "keras_cv:NAME", or "package.module:function", a function
        (image_shape, classes, **arguments) -> model.
      image_shape: Shape of an example: height, width and channels of an image.
      classes: Number of classes or targets; the model returns this many outputs.
      seed: Seed of the initial weights.
      arguments: Further arguments of the builder (--model_args).

    Returns:
      The tf_keras model.

    Raises:
      BadInput: If the name or the arguments are unknown or not allowed, or the function does not return a Keras model
        with these inputs and outputs. An exception inside a custom function is its cause.
    """
    check_arguments(name, arguments or {})
    import tf_keras

    image_shape = shape_with_unknowns("image_shape", image_shape)
    classes = whole_number("classes", classes, least=1)
    seed = whole_number("seed", seed)
    from dlth_tf.models.initialize import fresh_weights
    from dlth_tf.randomness import integer_seed

    # For initializers and layers that draw without a seed (dropout, custom code); fresh_weights redraws the rest.
    tf_keras.utils.set_random_seed(integer_seed(seed, "model"))
    try:
        model = _builder(name)(image_shape, classes, **(arguments or {}))
        check_shapes(name, model, image_shape, classes)
    except BadInput:
        raise
    except Exception as error:
        if not is_path(name) and isinstance(error, TypeError):
            raise BadInput(
                "model_args", dict(arguments or {}), f"{name} does not take them: {_why(name, error)}"
            ) from None
        raise BadInput("model", name, f"failed with {type(error).__name__}: {error}") from error
    fresh_weights(model, seed)
    return model


def _why(name: str, error: TypeError) -> str:
    """Returns which arguments a network of this package takes, if they are known; else what its builder raised."""
    try:
        _, _, *others = inspect.signature(_builder(name)).parameters.values()
    except ValueError:
        return str(error)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in others):
        return str(error)
    return f"it takes {', '.join(parameter.name for parameter in others) or 'none'}"


def check_shapes(name: str, model: Any, image_shape: tuple[int, ...], classes: int) -> None:
    """Checks that a network takes these examples and returns one number per class; builds it if it is not built.

    Raises:
      BadInput: If it does not, or is not a tf_keras model.
    """
    import tf_keras

    if not isinstance(model, tf_keras.Model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise BadInput("model", name, f"must return a tf_keras.Model of Keras 2 (tf_keras), not {kind}")
    if not model.built:
        model.build((None, *image_shape))
    # A subclassed model has none, and takes the shape that it was built for.
    inputs = [tensor.shape for tensor in model.inputs or ()]
    if inputs and not (len(inputs) == 1 and inputs[0].is_compatible_with((None, *image_shape))):
        raise BadInput(
            "model", name, f"must take images of shape {list(image_shape)}, but takes {', '.join(map(str, inputs))}"
        )
    outputs = model.compute_output_shape((None, *image_shape))
    if tuple(outputs) != (None, classes):
        raise BadInput("model", name, f"must return {classes} logits per image, but its output has shape {outputs}")
