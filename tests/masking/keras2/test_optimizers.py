"""The published update against an independent computation, the optimizer as a Keras optimizer, and optimizer slots."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput
from dlth_tf.masking.keras2.optimizers import slots_of
from tests.masking.networks import LOSS, batches, compiled, mlp, same, train, weights, wrapped

SGD = dlth.optimizers.SGD
SETTINGS = {
    "plain": {},
    "weight decay": {"weight_decay": 0.0078125},
    "momentum": {"momentum": 0.9},
    "momentum, weight decay": {"momentum": 0.9, "weight_decay": 0.0078125},
    "nesterov": {"momentum": 0.75, "nesterov": True},
    "nesterov, weight decay": {"momentum": 0.75, "nesterov": True, "weight_decay": 0.0078125},
}
RATES = [0.5] * 4 + [0.0625] * 4 + [0.25] * 4  # exact in float32; the velocity persists through the changes
SHAPES = [(4, 3), (5,)]


def gradients() -> list[list[np.ndarray]]:
    rng = np.random.default_rng(2)
    return [[rng.normal(size=shape) for shape in SHAPES] for _ in RATES]


def by_hand(
    momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0, *, inside: bool = False
) -> list[np.ndarray]:
    """Computes torch.optim.SGD's update in NumPy; `inside` puts the learning rate into the velocity, as Keras does."""
    values = [np.linspace(-1, 1, int(np.prod(shape))).reshape(shape) for shape in SHAPES]
    velocities = [np.zeros(shape) for shape in SHAPES]
    for rate, step in zip(RATES, gradients(), strict=True):
        for index, gradient in enumerate(step):
            direction = gradient + weight_decay * values[index]
            velocities[index] = momentum * velocities[index] + (rate if inside else 1) * direction
            move = direction + momentum * velocities[index] if nesterov else velocities[index]
            values[index] = values[index] - (1 if inside else rate) * move
    return values


def by_optimizer(optimizer: tf_keras.optimizers.Optimizer, rates: list[float] | None = None) -> list[np.ndarray]:
    variables = [tf.Variable(np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)) for shape in SHAPES]
    for index, step in enumerate(gradients()):
        if rates:
            optimizer.learning_rate = rates[index]
        optimizer.apply_gradients(zip([tf.constant(gradient) for gradient in step], variables, strict=True))
    return [variable.numpy() for variable in variables]


def distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_update_is_the_published_one_through_changes_of_the_learning_rate(setting):
    expected = by_hand(**SETTINGS[setting])
    assert distance(by_optimizer(SGD(0.5, **SETTINGS[setting]), RATES), expected) < 1e-12
    piecewise = tf_keras.optimizers.schedules.PiecewiseConstantDecay([3, 7], [0.5, 0.0625, 0.25])
    assert distance(by_optimizer(SGD(piecewise, **SETTINGS[setting])), expected) < 1e-12


@pytest.mark.parametrize(
    ("setting", "twist"),
    [
        ("momentum", {"inside": True}),
        ("momentum", {"nesterov": True}),
        ("plain", {"momentum": 0.01}),
        ("nesterov", {"nesterov": False}),
        ("weight decay", {"weight_decay": 0.0}),
    ],
)
def test_another_update_would_be_seen(setting, twist):
    assert (
        distance(by_optimizer(SGD(0.5, **SETTINGS[setting]), RATES), by_hand(**{**SETTINGS[setting], **twist})) > 1e-3
    )


def test_keras_own_sgd_is_another_optimizer():
    keras = tf_keras.optimizers.SGD
    assert distance(by_optimizer(keras(0.5, momentum=0.9), RATES), by_hand(momentum=0.9)) > 1e-2
    decay = {"momentum": 0.9, "weight_decay": 0.0078125}
    assert distance(by_optimizer(keras(0.5, **decay), RATES), by_hand(momentum=0.9, inside=True)) > 1e-3
    assert distance(by_optimizer(keras(0.5, **decay), RATES), by_hand(**decay, inside=True)) > 1e-3, (
        "its weight decay is decoupled"
    )


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("by", ["variable", "name"])
def test_variables_that_are_excluded_from_weight_decay_get_none(by, momentum):
    optimizer = SGD(0.5, momentum=momentum, weight_decay=0.25)
    initial = [np.linspace(-1, 1, int(np.prod(shape))).reshape(shape) for shape in SHAPES]
    kernel, bias = (tf.Variable(value, name=name) for value, name in zip(initial, ("kernel", "bias"), strict=True))
    optimizer.exclude_from_weight_decay(**({"var_list": [bias]} if by == "variable" else {"var_names": ["bias"]}))
    for step in gradients():
        optimizer.apply_gradients(zip([tf.constant(each) for each in step], (kernel, bias), strict=True))
    without = by_optimizer(SGD(0.5, momentum=momentum))
    assert distance([kernel.numpy()], by_optimizer(SGD(0.5, momentum=momentum, weight_decay=0.25))[:1]) == 0.0
    assert distance([bias.numpy()], without[1:]) == 0.0 and distance([kernel.numpy()], without[:1]) > 1e-3


def test_exclusion_from_weight_decay_lasts_through_a_fit_with_callbacks():
    ends = []
    for decay in (0.0, 0.25):
        model = dlth.wrap(mlp())
        optimizer = SGD(0.1, momentum=0.9, weight_decay=decay)
        optimizer.exclude_from_weight_decay(var_names=["kernel", "bias"])
        compiled(model, optimizer)
        train(model, [dlth.callbacks.RandomMask(0.5, remove=True)])
        ends.append(weights(model))
    assert same(*ends)


def test_a_callable_is_asked_at_every_step():
    rate = tf.Variable(0.5)
    optimizer = SGD(lambda: rate.read_value(), momentum=0.9)
    variables = [tf.Variable(np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)) for shape in SHAPES]

    @tf.function
    def step(*pairs):
        optimizer.apply_gradients(zip(pairs, variables, strict=True))

    optimizer.build(variables)
    for value, pairs in zip(RATES, gradients(), strict=True):
        rate.assign(value)
        step(*(tf.constant(gradient) for gradient in pairs))
    assert distance([variable.numpy() for variable in variables], by_hand(momentum=0.9)) < 1e-12


def test_sparse_gradients_decay_every_row():
    table = tf.Variable(np.ones((4, 2)))
    rows = tf.IndexedSlices(tf.constant([[1.0, 1.0], [1.0, 1.0]], tf.float64), tf.constant([2, 2]), tf.constant([4, 2]))
    SGD(0.5, weight_decay=0.25).apply_gradients([(rows, table)])
    np.testing.assert_allclose(
        table, 1 - 0.5 * (0.25 + np.array([0, 0, 2, 0])[:, None] * np.ones(2)), rtol=0, atol=1e-12
    )


def test_plain_sgd_keeps_no_velocity():
    for momentum, count in ((0.0, 0), (0.9, 6)):
        optimizer = SGD(0.1, momentum=momentum)
        optimizer.build(mlp().trainable_variables)
        assert len(optimizer.velocities) == count


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"learning_rate": -0.1}, "learning_rate=-0.1: must be a finite number, at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: must be a finite number"),
        ({"learning_rate": np.float32("inf")}, "learning_rate=inf: must be a finite number"),
        ({"momentum": -0.1}, "momentum=-0.1: must be at least 0 and below 1"),
        ({"momentum": 1.0}, "momentum=1.0: must be at least 0 and below 1"),
        ({"momentum": float("nan")}, "momentum=nan: must be at least 0"),
        ({"nesterov": True}, "nesterov=True: needs a momentum above 0"),
        ({"weight_decay": -1e-4}, "weight_decay=-0.0001: must be a finite number, at least 0"),
        ({"weight_decay": float("inf")}, "weight_decay=inf: must be a finite number"),
    ],
)
def test_bad_values_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        SGD(**arguments)


@pytest.mark.parametrize(
    "rate", [0.0, 0.25, tf_keras.optimizers.schedules.CosineDecay(0.5, 10)], ids=["zero", "number", "schedule"]
)
def test_config_round_trip(rate):
    optimizer = SGD(rate, momentum=0.75, nesterov=True, weight_decay=0.125, clipnorm=2.0, name="mine")
    copy = SGD.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert (copy.momentum, copy.nesterov, copy.l2, copy.clipnorm, copy.name) == (0.75, True, 0.125, 2.0, "mine")
    again = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(optimizer))
    assert type(again) is SGD and again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_model_brings_the_optimizer_back(name, tmp_path):
    schedule = tf_keras.optimizers.schedules.PiecewiseConstantDecay([7], [0.25, 0.0625])
    model = compiled(mlp(), SGD(schedule, momentum=0.75, weight_decay=0.125))
    train(model, [])
    model.save(tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    assert type(loaded.optimizer) is SGD and loaded.optimizer.get_config() == model.optimizer.get_config()
    assert int(loaded.optimizer.iterations) == 6
    for network in (model, loaded):
        train(network, [])
    assert same(weights(loaded), weights(model))


def test_gradient_clipping_comes_before_weight_decay():
    value = tf.Variable(np.array([4.0, 0.0]))
    SGD(1.0, weight_decay=0.5, clipvalue=0.25).apply_gradients([(tf.constant([8.0, 8.0], tf.float64), value)])
    np.testing.assert_array_equal(value, [4 - (0.25 + 2), -0.25])


def test_learning_rate_callbacks_reach_the_optimizer():
    model = mlp()
    model.compile(SGD(0.5), LOSS)
    halving = tf_keras.callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch)
    history = model.fit(batches(2), epochs=3, verbose=0, callbacks=[halving])
    assert history.history["lr"] == [1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (lambda: dlth.optimizers.SGD(0.1), 0),
        (lambda: dlth.optimizers.SGD(0.1, momentum=0.9), 1),
        (lambda: tf_keras.optimizers.SGD(0.1, momentum=0.9), 1),
        (lambda: tf_keras.optimizers.Adam(), 2),
        (lambda: tf_keras.optimizers.AdamW(), 2),
        (lambda: tf_keras.optimizers.Adam(amsgrad=True), 3),
        (lambda: tf_keras.optimizers.RMSprop(), 1),
        (lambda: tf_keras.optimizers.RMSprop(momentum=0.9, centered=True), 3),
        (lambda: tf_keras.optimizers.Adagrad(), 1),
        (lambda: tf_keras.optimizers.Nadam(), 2),
    ],
)
def test_the_slots_of_a_weight_are_found_for_every_optimizer(optimizer, slots):
    model = compiled(wrapped(), optimizer())
    for place, variable in enumerate(model.trainable_variables):
        own = slots_of(model.optimizer, variable)
        assert len(own) == slots and all(slot.shape == variable.shape for slot in own)
        others = [id(slot) for other in model.trainable_variables[:place] for slot in slots_of(model.optimizer, other)]
        assert not {id(slot) for slot in own} & set(others), "slots of other weights"
        assert not {id(slot) for slot in own} & {id(weight) for weight in model.weights}
