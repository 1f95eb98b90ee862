"""Other people's ways of training and kinds of networks: each is wrapped, pruned, trained and stripped.

One of a kind is fast; the others are slow. The table in docs/keras.md lists them.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import GradualMagnitude, KeepMask, RandomMask
from tests.callbacks.transforming import penalty
from tests.masking.networks import LOSS, batches, compiled, largest_removed, mlp, same, train, unknown_length, weights

L = tf_keras.layers
slow = pytest.mark.slow
IMAGES = np.concatenate([images for images, _ in batches(6)])
LABELS = np.concatenate([labels for _, labels in batches(6)])


class Chunks(tf_keras.utils.Sequence):
    """Six batches of eight images."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return IMAGES[8 * index : 8 * index + 8], LABELS[8 * index : 8 * index + 8]


def endless() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        yield from Chunks()


FITS: dict[str, dict[str, Any]] = {
    "sequence": {"x": Chunks()},
    "generator": {"x": endless(), "steps_per_epoch": 6},
    "unknown length": {"x": unknown_length(6)},
    "class weights": {"x": IMAGES, "y": LABELS, "batch_size": 8, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
    "sample weights": {"x": IMAGES, "y": LABELS, "batch_size": 8, "sample_weight": np.linspace(0, 1, 48)},
    "validation": {"x": IMAGES, "y": LABELS, "batch_size": 8, "validation_split": 1 / 4},
}
QUICK_FITS = ("sequence", "unknown length")
every_fit = pytest.mark.parametrize(
    "how", [how if how in QUICK_FITS else pytest.param(how, marks=slow) for how in FITS]
)


@every_fit
def test_removed_weights_stay_zero_however_data_come(how):
    model = compiled(dlth.wrap(mlp()), run_eagerly=True)
    history = model.fit(**FITS[how], epochs=2, verbose=0, callbacks=[RandomMask(0.5, remove=True)]).history
    assert largest_removed(model) == 0.0 and np.isfinite(history["loss"]).all()
    # Where the length is unknown, Keras counts one step too many at the end of every epoch; it is taken off again.
    expected = 10 if how == "validation" else 12
    assert int(model.optimizer.iterations) in (expected, expected + 2 * (how == "unknown length"))


@every_fit
def test_schedules_end_at_their_step_however_data_come(how):
    model = compiled(dlth.wrap(mlp()))
    transform = penalty(8)
    model.fit(**FITS[how], epochs=2, verbose=0, callbacks=[RandomMask(0.5), transform])
    assert int(model.optimizer.iterations) == 8 and largest_removed(model) == 0.0
    compiled(model)
    model.fit(**FITS[how], epochs=2, verbose=0, callbacks=[GradualMagnitude(0.75, begin=1, end=9, every=2)])
    assert 1 - masking.prunable_weights(model)["fc1/kernel"].kept().mean() == 0.75


COPIES: dict[str, Callable[[tf_keras.Model], tf_keras.Model]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "clone": lambda model: _with_weights(tf_keras.models.clone_model(model), model),
    "from_config": lambda model: _with_weights(type(model).from_config(model.get_config()), model),
    "to_json": lambda model: _with_weights(tf_keras.models.model_from_json(model.to_json()), model),
}


def _with_weights(model: tf_keras.Model, other: tf_keras.Model) -> tf_keras.Model:
    model.set_weights(other.get_weights())
    return model


@pytest.mark.fast_cases("deepcopy", "from_config")
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_weights_masks_and_ticket_of_its_own(how):
    model = dlth.wrap(mlp())
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    twin = COPIES[how](model)
    assert masking.chosen_ticket(twin) == masking.chosen_ticket(model) and same(weights(twin), weights(model))
    before = weights(model)
    train(compiled(twin, run_eagerly=True), [KeepMask()])
    assert largest_removed(twin) == 0.0 and same(weights(model), before) and not same(weights(twin), before)
    dlth.strip(twin)


@pytest.mark.parametrize("file", ["{epoch}.h5", "{epoch}.keras", pytest.param("{epoch}", marks=slow)])
def test_checkpoints_of_whole_models_hold_the_masks(file, tmp_path):
    model = compiled(dlth.wrap(mlp()))
    saver = tf_keras.callbacks.ModelCheckpoint(str(tmp_path / file))
    train(model, [RandomMask(0.5, remove=True), saver], epochs=2)
    loaded = tf_keras.models.load_model(tmp_path / file.format(epoch=2))
    images = IMAGES[:4]
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)
    assert masking.chosen_ticket(loaded) == masking.chosen_ticket(model)
    train(loaded, [KeepMask()])
    assert largest_removed(loaded) == 0.0


def test_a_network_is_built_pruned_and_thrown_away_in_a_loop():
    """Tuners do so in one process, with the same names again and again."""
    tickets = []
    for width, clear in ((6, False), (4, True), (6, False)):
        if clear:
            tf_keras.backend.clear_session()
        layers = [L.Input((8,)), L.Dense(width, "relu"), L.Dense(3)]
        model = compiled(dlth.wrap(tf_keras.Sequential(layers)), run_eagerly=True)
        mask = RandomMask(0.5, remove=True)
        train(model, [mask], steps=2)
        tickets.append(next(iter(mask.ticket.values())))
        assert largest_removed(model) == 0.0
    assert np.array_equal(tickets[0], tickets[2]) and tickets[1].shape == (8, 4)


def pretrained(trainable: bool = False) -> tf_keras.Model:
    """Builds a network of Keras applications, without its top and untrained, under a new head."""
    base = tf_keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    base.trainable = trainable
    inputs = L.Input((32, 32, 3))
    hidden = L.Dense(8, "relu", name="head")(L.GlobalAveragePooling2D()(base(inputs, training=False)))
    return tf_keras.Model(inputs, L.Dense(3, name="end")(hidden))


def pictures() -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32"), np.arange(8) % 3


@pytest.mark.slow
def test_a_network_of_keras_applications_is_fine_tuned_in_two_stages():
    model = compiled(dlth.wrap(pretrained()), run_eagerly=True)
    images, labels = pictures()
    base = model.layers[1]
    before = weights(model)
    first, second = RandomMask(0.5, remove=True), RandomMask(0.5, remove=True)
    model.fit(images, labels, verbose=0, callbacks=[first])
    assert list(first.ticket) == ["head/kernel"] and largest_removed(model) == 0.0
    after = weights(model)
    assert all(np.array_equal(before[name], after[name]) for name in before if not name.startswith(("head", "end")))
    base.trainable = True
    for layer in base.layers[:-12]:
        layer.trainable = False
    compiled(model, tf_keras.optimizers.Adam(1e-4), run_eagerly=True)
    model.fit(images, labels, verbose=0, callbacks=[second])
    assert {"Conv_1/kernel", "head/kernel"} < set(second.ticket) and len(second.ticket) < 8
    assert largest_removed(model) == 0.0
    plain = dlth.strip(model)
    np.testing.assert_allclose(plain(images), model(images), atol=1e-5)
    features = tf_keras.Model(plain.layers[1].inputs, plain.layers[1].get_layer("out_relu").output)
    assert features(images).shape[-1] == 1280


@pytest.mark.faults_cases("EfficientNetV2B0", "DenseNet121")
@slow
@pytest.mark.parametrize("name", ["ResNet50V2", "EfficientNetV2B0", "DenseNet121"])
def test_other_networks_of_keras_applications_are_pruned_too(name):
    base = getattr(tf_keras.applications, name)(input_shape=(32, 32, 3), include_top=False, weights=None, pooling="avg")
    model = dlth.wrap(tf_keras.Sequential([base, L.Dense(3, name="end")]))
    images, labels = pictures()
    compiled(model).fit(images, labels, verbose=0, callbacks=[RandomMask(0.5, remove=True)])
    assert largest_removed(model) == 0.0 and len(masking.chosen_ticket(model)) > 20
    np.testing.assert_allclose(dlth.strip(model)(images), model(images), atol=1e-4)


@slow
def test_a_backbone_of_keras_cv_is_pruned_under_a_head_of_ones_own():
    from dlth_tf.legacy_keras import import_keras_cv

    stages = {"stackwise_filters": [64, 4], "stackwise_blocks": [2, 2], "stackwise_strides": [1, 2]}
    options = {"include_rescaling": False, "block_type": "basic_block", "input_shape": (32, 32, 3)}
    backbone = import_keras_cv().models.ResNetV2Backbone(**stages, **options)
    model = dlth.wrap(tf_keras.Sequential([backbone, L.GlobalAveragePooling2D(), L.Dense(3, name="end")]))
    images, labels = pictures()
    compiled(model).fit(images, labels, verbose=0, callbacks=[RandomMask(0.5, remove=True)])
    assert largest_removed(model) == 0.0 and len(masking.chosen_ticket(model)) > 7
    np.testing.assert_allclose(dlth.strip(model)(images), model(images), atol=1e-4)


def sequences(*layers: Any) -> tf_keras.Model:
    return tf_keras.Sequential([L.Input((8,)), L.Reshape((4, 2)), *layers, L.Flatten(), L.Dense(3, name="end")])


def attention() -> tf_keras.Model:
    inputs = L.Input((8,))
    hidden = L.Dense(4, name="in")(L.Reshape((4, 2))(inputs))
    hidden = L.LayerNormalization()(hidden + L.MultiHeadAttention(2, 2, name="attend")(hidden, hidden))
    return tf_keras.Model(inputs, L.Dense(3, name="end")(L.GlobalAveragePooling1D()(hidden)))


def unet() -> tf_keras.Model:
    inputs = L.Input((8,))
    top = L.Conv2D(4, 3, padding="same", activation="relu", name="down")(L.Reshape((4, 2, 1))(inputs))
    low = L.Conv2D(6, 3, padding="same", activation="relu", name="low")(L.MaxPooling2D(2)(top))
    up = L.Conv2DTranspose(4, 2, strides=2, name="up")(low)
    both = L.SeparableConv2D(4, 3, padding="same", name="both")(L.Concatenate()([top, up]))
    return tf_keras.Model(inputs, L.Dense(3, name="end")(L.Flatten()(both)))


def siamese() -> tf_keras.Model:
    inputs = L.Input((8,))
    tower = tf_keras.Sequential([L.Input((4,)), L.Dense(6, "relu", name="t1"), L.Dense(4, name="t2")], name="tower")
    apart = tf.abs(tower(inputs[:, :4]) - tower(inputs[:, 4:]))
    return tf_keras.Model(inputs, L.Dense(3, name="end")(apart))


class Held(tf_keras.Model):
    """Holds its layers in a dictionary of lists and in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = {"low": [L.Dense(6, name="a"), L.Dense(6, name="b")], "high": {"c": L.Dense(5, name="c")}}
        self.end = (L.Dense(3, name="end"),)

    def call(self, x: Any) -> Any:
        for layer in self.parts["low"]:
            x = layer(x)
        return self.end[0](self.parts["high"]["c"](x))


def held() -> tf_keras.Model:
    model = Held()
    model(IMAGES[:2])
    return model


NETWORKS: dict[str, Callable[[], tf_keras.Model]] = {
    "attention": attention,
    "u-net": unet,
    "siamese": siamese,
    "lists and dictionaries": held,
    "lstm": lambda: sequences(L.LSTM(3, name="r")),
    "gru": lambda: sequences(L.GRU(3, return_sequences=True, name="r"), L.Dense(4, name="d")),
    "bidirectional": lambda: sequences(L.Bidirectional(L.LSTM(3, name="r"), name="bi")),
    "convlstm": lambda: sequences(L.Reshape((2, 2, 2, 1)), L.ConvLSTM2D(3, 2, name="r"), L.Flatten(), L.Dense(4)),
    "time distributed": lambda: sequences(L.TimeDistributed(L.Dense(4, name="d"), name="td")),
    "conv1d": lambda: sequences(L.Conv1D(4, 2, name="c"), L.Conv1D(5, 2, name="d")),
}
UNROLLED = ("lstm", "gru", "bidirectional", "convlstm", "time distributed")


@pytest.mark.fast_cases("siamese", "lists and dictionaries")
@pytest.mark.parametrize(
    "name", [name if name not in UNROLLED else pytest.param(name, marks=slow) for name in NETWORKS]
)
def test_a_kind_of_network_is_pruned_trained_and_stripped(name):
    tf_keras.utils.set_random_seed(0)
    plain = NETWORKS[name]()
    before = plain(IMAGES).numpy()
    model = dlth.wrap(plain)
    np.testing.assert_array_equal(model(IMAGES), before)
    mask = RandomMask(0.5, remove=True)
    train(compiled(model, run_eagerly=name not in UNROLLED), [mask], epochs=2)
    assert largest_removed(model) == 0.0 and len(mask.ticket) > 0
    why = dlth.layer_table(model).set_index("layer").why
    assert name != "convlstm" or why["r"] == "tf-mot does not know the layer type ConvLSTM2D"
    outputs = model(IMAGES).numpy()
    assert np.abs(outputs - before).max() > 1e-3
    np.testing.assert_allclose(dlth.strip(model)(IMAGES), outputs, atol=1e-5)


def test_a_network_of_several_inputs_and_outputs_is_trained_on_named_losses():
    one, other = L.Input((8,), name="one"), L.Input((8,), name="other")
    hidden = L.Concatenate()([L.Dense(6, "relu", name="a")(one), L.Dense(6, "relu", name="b")(other)])
    outputs = {"label": L.Dense(3, name="label")(hidden), "size": L.Dense(1, name="size")(hidden)}
    model = dlth.wrap(tf_keras.Model({"one": one, "other": other}, outputs))
    model.compile("sgd", {"label": LOSS, "size": "mse"}, loss_weights={"size": 0.1}, run_eagerly=True)
    data = {"one": IMAGES, "other": IMAGES[::-1]}, {"label": LABELS, "size": IMAGES[:, :1]}
    history = model.fit(*data, verbose=0, callbacks=[RandomMask(0.5, remove=True)]).history
    assert {"label_loss", "size_loss"} < set(history) and largest_removed(model) == 0.0
    assert dlth.strip(model).output_names == ["label", "size"]
