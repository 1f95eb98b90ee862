"""Constants folded into a map: no channel stays for them, the outputs are the same, and every form takes the map."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf.deploy.compaction import compact, compact_and_explain
from dlth_tf.deploy.compaction.conv2d_with_map import Conv2DWithMap
from dlth_tf.deploy.forms import write_forms
from dlth_tf.deploy.savedmodel.batch_norm_folding import fold_batch_norms
from dlth_tf.deploy.savedmodel.frozen_graph import freeze
from dlth_tf.deploy.serving import Served, Serving
from dlth_tf.deploy.source import Source
from dlth_tf.export_options import ExportOptions
from tests.deploy.compaction.networks import widths
from tests.deploy.pruned import difference, lively, pruned, zero

L = tf_keras.layers


def two(
    removed: int, size: int | None = 7, bias: bool = True, end=L.GlobalAveragePooling2D, **options
) -> tf_keras.Model:
    """Builds two convolutions, of which the first has 8 filters left."""
    x = inputs = L.Input((size, size, 3))
    x = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2D(8 + removed, 3, padding="same", name="one")(x)))
    x = L.Conv2D(5, **({"kernel_size": 3, "padding": "same"} | options), use_bias=bias, name="two")(x)
    x = L.BatchNormalization(name="second")(x)
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="out")(end()(L.ReLU()(x)))))
    zero(model, "one", slice(0, removed))
    model.get_layer("norm").beta.assign(np.linspace(0.5, 1.5, 8 + removed))
    model.get_layer("norm").moving_mean.assign(np.linspace(-1.0, 0.5, 8 + removed))
    return model


def mapped(model: tf_keras.Model) -> tf_keras.Model:
    small = compact_and_explain(model, maps=True)[0]
    assert difference(model, small) < 1e-5
    return small


@pytest.mark.parametrize("end", [L.Flatten, L.GlobalAveragePooling2D])
@pytest.mark.parametrize("bias", [True, False])
def test_no_channel_stays_for_constants(bias, end):
    model = two(4, bias=bias, end=end)
    assert widths(compact(model))["one"] == 9
    small = mapped(model)
    assert widths(small)["one"] == 8
    layer = small.get_layer("two")
    assert isinstance(layer, Conv2DWithMap) and layer.map.shape == (3, 3, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "strides", "dilation", "size"),
    [case for case in itertools.product([2, 3, (1, 5), 7], [1, 2, 3], [1, 2], [1, 5, 8]) if 1 in case[1:3]],
)
def test_every_window_is_exact(kernel, strides, dilation, size):
    model = two(3, size=size, end=L.Flatten, kernel_size=kernel, strides=strides, dilation_rate=dilation)
    assert widths(mapped(model))["one"] == 8


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: two(5, size=None), "the size of the image is not known"),
        (lambda: two(5, padding="valid", bias=False), "no zeros are added, but there is no bias"),
    ],
    ids=["free size", "no padding"],
)
def test_otherwise_the_channel_stays(model, why):
    small = compact_and_explain(model(), maps=True)[0]
    assert widths(small)["one"] == 9 and not any(isinstance(layer, Conv2DWithMap) for layer in small.layers), why


def test_a_map_is_not_worth_it_where_no_multiple_of_8_is_left():
    model = two(4)
    zero(model, "one", slice(0, 5))
    assert widths(mapped(model))["one"] == 8, "7 and one for the constants"


@pytest.mark.parametrize("without", [(), ("scale",), ("center",)])
def test_a_batch_norm_behind_a_map_becomes_part_of_it(without):
    model = two(4)
    norm = model.get_layer("second")
    other = L.BatchNormalization.from_config(norm.get_config() | dict.fromkeys(without, False))
    model = tf_keras.models.clone_model(model, clone_function=lambda layer: other if layer is norm else layer)
    kept = [name not in without for name in ("scale", "center", "mean", "variance")]
    other.set_weights([weight for weight, stays in zip(norm.get_weights(), kept, strict=True) if stays])
    small = mapped(model)
    assert [layer.name for layer in small.layers if isinstance(layer, L.BatchNormalization)] == ["norm"]
    frozen = freeze(Served(small, Serving()), "compact")
    assert fold_batch_norms(frozen) == 1
    assert not [node for node in frozen.nodes.values() if "BatchNorm" in node.op]


def test_a_batch_norm_stays_where_something_else_reads_the_map_too_or_the_convolution_has_an_activation():
    model = two(4)
    both = tf_keras.Model(model.inputs, [model.output, model.get_layer("two").output])
    small = compact_and_explain(both, maps=True)[0]
    activated = mapped(two(4, activation="relu"))
    for kept in (small, activated):
        assert isinstance(kept.get_layer("two"), Conv2DWithMap)
        assert isinstance(kept.get_layer("second"), L.BatchNormalization)


def test_the_layer_in_place_of_a_batch_norm_has_its_precision():
    model = two(4)
    for layer in model.layers:
        if getattr(layer, "activation", 0) is tf_keras.activations.linear:
            layer.activation = None  # the same
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        small = mapped(model)
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert isinstance(small.get_layer("two"), Conv2DWithMap) and isinstance(small.get_layer("second"), L.Activation)
    assert {layer.compute_dtype for layer in small.layers} == {"float32"}


@pytest.mark.fast_cases("40-7-True")
@pytest.mark.parametrize(("removed", "size", "has_map"), [(40, 7, True), (8, 24, False)])
def test_a_litert_file_has_no_maps_that_take_more_than_the_filters_that_are_taken_out(removed, size, has_map, tmp_path):
    model = two(removed, size)
    assert isinstance(mapped(model).get_layer("two"), Conv2DWithMap)
    (written,) = write_forms(Source(model), ExportOptions(["tflite_float32"]), tmp_path).values()
    assert isinstance(written.model.get_layer("two"), Conv2DWithMap) == has_map


@pytest.mark.slow
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_every_form_takes_the_map(policy, tmp_path):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = two(4)
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    forms = dlth.export(model, tmp_path, formats=("compact", "packed", "tflite", "onnx"), measure_latency=False)[
        "forms"
    ]
    for name in ("compact", "tflite/float32", "onnx"):
        assert forms[name]["parameters"] == compact_and_explain(model, maps=True)[0].count_params()
        assert forms[name]["multiply_adds"] == 7 * 7 * 9 * (3 * 8 + 8 * 5) + 5 * 3
    assert forms["compact"]["kernels"]["one"] == [[3, 3, 3, 12], [3, 3, 3, 8]]


@pytest.mark.parametrize("name", ["resnet8", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_residual_networks_keep_what_the_ticket_says(name):
    model = pruned(name, "filter", sparsity=0.5)
    before, after = widths(compact(model)), widths(mapped(model))
    assert {count - after[layer] for layer, count in before.items()} <= {0, 1}
    assert all(count % 8 == 0 for layer, count in after.items() if count != before[layer])
