"""A compact network is a plain Keras model: it trains, is saved, wrapped and exported, and says what stays."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.deploy.compaction import Report
from tests.deploy.pruned import difference, images, pruned
from tests.models.small import ONE_OF_EACH

L = tf_keras.layers
NAMES = [*(name for name in ONE_OF_EACH if name != "lenet5"), "lenet_300_100"]


def check(model: tf_keras.Model, folder: Path, suffix: str) -> None:
    """Checks a compact network: equal outputs, training, saving, and export after training."""
    small = dlth.compact(model)
    assert small.count_params() < model.count_params() and difference(model, small) <= 1e-5
    assert [weight.trainable for weight in small.weights] == [weight.trainable for weight in model.weights]
    small.compile(tf_keras.optimizers.SGD(0.01), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [weight.numpy() for weight in small.trainable_weights]
    history = small.fit(images(small, 16), np.arange(16) % 3, batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    changed = [np.any(weight.numpy() != old) for weight, old in zip(small.trainable_weights, before, strict=True)]
    assert np.mean(changed) > 0.8
    small.save(folder / f"small{suffix}")
    loaded = tf_keras.models.load_model(folder / f"small{suffix}")
    assert difference(small, loaded) == 0
    dlth.export(loaded, folder / "export", measure_latency=False)
    served = tf.saved_model.load(os.fspath(folder / "export/plain")).signatures["serving_default"]
    logits = served(images=tf.constant(images(small)))["logits"].numpy()
    assert np.allclose(logits, small(images(small), training=False), atol=1e-5 * np.abs(logits).max())


@pytest.mark.slow_cases("resnet8-filter-.h5", "resnet8-filter-", "lenet_300_100-channel-.keras", "vgg11-filter-.keras")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(
    ("name", "granularity", "suffix"),
    [
        ("resnet8", "filter", ".keras"),
        *(pytest.param("resnet8", "filter", suffix, marks=pytest.mark.slow) for suffix in (".h5", "")),
        *(
            pytest.param(name, granularity, ".keras", marks=pytest.mark.slow)
            for name in NAMES
            for granularity in ("filter", "channel")
            if (name, granularity) != ("resnet8", "filter")
        ),
    ],
)
def test_it_trains_and_is_saved_and_exported(name, granularity, suffix, tmp_path):
    check(pruned(name, granularity), tmp_path, suffix)


def test_options_of_the_layers_stay():
    start = L.Input((6, 6, 3))
    body = L.Conv2D(
        8,
        3,
        padding="same",
        kernel_regularizer=tf_keras.regularizers.L2(0.1),
        kernel_constraint=tf_keras.constraints.MaxNorm(0.5),
        name="body",
    )(start)
    norm = L.BatchNormalization(trainable=False, momentum=0.7, name="norm")(body)
    model = tf_keras.Model(start, L.Dense(3, name="head")(L.GlobalAveragePooling2D()(L.Dropout(0.5)(norm))))
    kernel = model.get_layer("body").kernel
    kernel.assign(kernel.numpy() * (np.arange(8) < 3))
    small = dlth.compact(model)
    assert small.get_layer("body").kernel_regularizer.l2 == np.float32(0.1) and len(small.losses) == 1
    assert small.get_layer("body").kernel_constraint.max_value == 0.5 and small.get_layer("norm").momentum == 0.7
    assert not small.get_layer("norm").trainable and small.get_layer("body").filters == 3
    assert difference(model, small) <= 1e-5


def test_a_compact_network_is_pruned_again():
    small = dlth.compact(pruned("resnet8", "filter"))
    wrapped = dlth.wrap(small)
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, 0.5, seed=1, granularity="filter"), remove=True)
    assert dlth.compact(dlth.strip(wrapped)).count_params() < 0.9 * small.count_params()


def grouped() -> tf_keras.Model:
    start = L.Input((6, 6, 4))
    out = L.Conv2D(8, 3, groups=2, name="grouped")(L.Conv2D(4, 3, name="first")(start))
    model = tf_keras.Model(start, L.Dense(3, name="head")(L.GlobalAveragePooling2D()(L.Conv2D(6, 1, name="last")(out))))
    for name, count in (("first", 1), ("last", 2)):
        kernel = model.get_layer(name).kernel
        kernel.assign(kernel.numpy() * (np.arange(kernel.shape[-1]) >= count))
    return model


def test_the_report_names_every_layer_that_could_not_be_smaller_and_why(caplog):
    reports: list[Report] = []
    model = grouped()
    small = dlth.compact(model, reports.append)
    (report,) = reports
    assert report.parameters == (model.count_params(), small.count_params())
    assert report.kernels["last"] == [[1, 1, 8, 6], [1, 1, 8, 4]]
    reasons = {left.layer: (left.count, left.what, left.why) for left in report.zeros.leftovers}
    assert reasons == {"first": (1, "filters", "read by grouped, a grouped convolution with groups=2")}
    with caplog.at_level(logging.INFO, "dlth_tf"):
        dlth.compact(model)
    assert [record.getMessage() for record in caplog.records] == [
        f"compact: {small.count_params()} of {model.count_params()} parameters remain; "
        "2 of 4 layers with a kernel are smaller.",
        "compact: first: 1 filter whose weights are all zero stays: "
        "read by grouped, a grouped convolution with groups=2.",
    ]
