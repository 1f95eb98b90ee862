"""Everything that the next step depends on is saved and restored; the state of another network is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import files, masking
from dlth_tf.errors import BadInput
from dlth_tf.runs.checkpointing.state import network_state, restore_network, restore_training, training_state
from tests.faults.networks import Noisy

IMAGES = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
LABELS = np.arange(16) % 3
layers = tf_keras.layers


@pytest.fixture(autouse=True)
def generators_that_can_be_saved():
    tf_keras.backend.experimental.enable_tf_random_generator()
    yield
    tf_keras.backend.experimental.disable_tf_random_generator()


def network(seed: int, units: int = 6, noise: bool = True) -> tf_keras.Model:
    """Dense, batch norm and dropout, also inside a layer, with a ticket chosen and removed; random by the seed."""
    tf_keras.utils.set_random_seed(seed)
    parts = [
        layers.Dense(units, name="a"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(),
        layers.Dropout(0.5),
        Noisy(name="noisy"),
    ]
    model = dlth.wrap(tf_keras.Sequential([layers.Input((4,)), *parts[: 5 if noise else 3], layers.Dense(3, name="b")]))
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, seed, dense_layers="none"), remove=True)
    optimizer = dlth.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def train(model: tf_keras.Model, steps: int = 3) -> None:
    masking.install(model)
    for _ in range(steps):
        model.train_on_batch(IMAGES, LABELS)


def digest(model: tf_keras.Model) -> str:
    return files.arrays_sha256({**network_state(model), **training_state(model)})


def test_what_goes_on_elsewhere_goes_on_the_same():
    first, second = network(0), network(1)
    train(first)
    state, training = network_state(first), training_state(first)
    assert digest(second) != digest(first)
    restore_network(second, state)
    masking.install(second)
    restore_training(second, training)
    for model in (first, second):
        model.reset_metrics()
        train(model)
    assert digest(second) == digest(first)


@pytest.mark.fast_cases("random/2")
@pytest.mark.parametrize(
    "kind",
    [
        "weight/norm/moving_mean",
        "random/2",
        "optimizer/2",
        *[pytest.param(kind, marks=pytest.mark.slow) for kind in ("weight/a/kernel", "random/0", "optimizer/0")],
    ],
)
def test_whatever_is_left_out_would_be_seen(kind):
    """The comparison in the previous test can fail, for every kind of state."""
    first, second = network(0), network(1)
    train(first)
    fresh = {**network_state(network(1)), **training_state(second)}
    state = {**network_state(first), **training_state(first)}
    state[kind] = np.zeros_like(state[kind]) if kind.startswith("optimizer") else fresh[kind]
    restore_network(second, state)
    masking.install(second)
    restore_training(second, state)
    for model in (first, second):
        model.reset_metrics()
        train(model, 1)
    assert digest(second) != digest(first)


def test_generators_inside_other_layers_are_found():
    assert [name for name in network_state(network(0)) if name.startswith("random/")] == [
        "random/0",
        "random/1",
        "random/2",
    ]
    assert not [name for name in network_state(network(0, noise=False)) if name.startswith("random/")]


def test_seeds_of_generators_are_those_of_the_run():
    first, again, other = (network_state(network(seed))["random/0"].tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("mine", "other"), [({}, {"units": 7}), ({}, {"noise": False}), ({"noise": False}, {})], ids=str
)
def test_the_state_of_another_network_is_refused_and_nothing_is_changed(mine, other):
    model = network(0, **mine)
    before = digest(model)
    with pytest.raises(BadInput, match=r"its checkpoint does not fit this network: .* there and .* here$"):
        restore_network(model, network_state(network(1, **other)))
    assert digest(model) == before


def test_the_state_of_another_optimizer_is_refused():
    model = network(0)
    train(model)
    state = {name: value for name, value in training_state(model).items() if name != "optimizer/3"}
    with pytest.raises(
        BadInput, match=r"^run_dir=optimizer: its checkpoint has \d+ such arrays, but this run has \d+$"
    ):
        restore_training(model, state)
