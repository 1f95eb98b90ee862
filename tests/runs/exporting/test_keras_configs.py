"""A Keras configuration of somebody else names layers of Keras and operations on tensors, or is refused."""

from __future__ import annotations

import pytest

from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.runs.exporting.keras_configs import check_config


def layer(kind: str, module: str | None = "keras.layers", **config: object) -> dict:
    return {"class_name": kind, "module": module, "config": {"name": "mine", **config}}


def model(*layers: dict) -> dict:
    return {"class_name": "Functional", "module": "keras.src.engine.functional", "config": {"layers": list(layers)}}


def test_layers_functions_and_operations_of_keras_pass():
    check_config(
        model(
            layer("Dense", activation="relu", kernel_initializer=layer("GlorotUniform", "keras.initializers")),
            layer("Dense", activation={"class_name": "function", "module": "builtins", "config": "gelu"}),
            layer("TFOpLambda", function="math.add"),
            layer("TFOpLambda", function="reshape"),
            layer("TFOpLambda", function="compat.v1.nn.relu"),
            layer("StringLookup", vocabulary=["a", "b"]),
            {"class_name": "Own", "config": {}},  # as in an HDF5 file, where only registered classes have such a name
            model(layer("Conv2D", "tf_keras.layers")),
        )
    )


def test_the_wrapper_of_this_package_passes_and_nothing_else_of_its_module_or_inside():
    room, dense = MaskedLayer.__module__, layer("Dense")
    check_config(model(layer("MaskedLayer", room, layer=dense)))
    for entry in (
        layer("MaskedLayer", room, layer=layer("Own", "my_layers")),
        layer("MaskedLayer", room, layer=layer("Lambda", function=["code"])),
        layer("MaskedLayer", "dlth_tf.masking.keras2", layer=dense),
        layer("MaskedLayer", "my_layers", layer=dense),
        layer("build_by_call", room, layer=dense),
    ):
        with pytest.raises(ValueError, match="code"):
            check_config(model(entry))


def test_operations_on_tensors_pass_in_a_configuration_of_keras_3():
    check_config(model(layer("Add", "keras.src.ops.numpy"), layer("Relu", "keras.src.ops.nn")), operations=True)
    for room in ("core", "numpy.os", "node"):
        with pytest.raises(ValueError, match="names code outside of Keras"):
            check_config(model(layer("Map", f"keras.src.ops.{room}")), operations=True)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (layer("Lambda", function=["code"]), r"a layer of the class Lambda \(mine\), which is code"),
        (layer("Activation", activation={"class_name": "__lambda__", "config": {}}), "__lambda__"),
        (layer("ResidualWrapper", residual_fn_type="lambda"), "a lambda, which is code"),
        (layer("TensorFlowOpLayer", node_def={}), "TensorFlowOpLayer"),
        (layer("Own", "my_layers"), r"names code outside of Keras \(my_layers.Own\)"),
        (layer("system", "os"), r"\(os.system\)"),
        (layer("get_file", "keras.utils"), r"\(keras.utils.get_file\)"),
        (layer("os.system", "keras.engine.training"), r"\(keras.engine.training.os.system\)"),
        (layer("x", activation={"class_name": "function", "module": "builtins", "config": "exec"}), "builtins.exec"),
        (layer("x", spec={"class_name": "__typespec__", "spec_name": "S", "module": "os", "config": []}), r"os\.S"),
        (layer("TFOpLambda", function="io.write_file"), "calls tf.io.write_file, which works on more than tensors"),
        (layer("TFOpLambda", function="keras.utils.get_file"), "calls tf.keras.utils.get_file"),
        (layer("TFOpLambda", function="compat.v1.py_function"), "py_function"),
        (layer("TFOpLambda", function="load_library"), "load_library"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "reads the file /etc/passwd"),
        (layer("TFSMLayer", filepath="/tmp/a"), "a layer of the class TFSMLayer"),
        (layer("Add", "keras.src.ops.numpy"), r"\(keras.src.ops.numpy.Add\)"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_code_in_any_place_is_refused(entry, reason, nested):
    with pytest.raises(ValueError, match=reason):
        check_config(model(layer("TimeDistributed", layer=model(entry))) if nested else entry)
