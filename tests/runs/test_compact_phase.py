"""--finetune=compact trains the network without removed filters, and ends with the weights of the masked training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.runs import runner
from dlth_tf.runs.compact_phase import weight_decay_alone
from tests.runs.interrupted import interrupt
from tests.runs.test_resume import went_on
from tests.runs.tiny import Finished, tiny, train

L = tf_keras.layers
UNITS = {"sparsity": 0.5, "granularity": "filter", "epochs": 3, "precision": "float64", "steps_per_execution": 1}
FILTERS = {**UNITS, "model": "tests.runs.test_compact_phase:network", "model_args": "{}"}
KINDS = {"units": UNITS, "filters": FILTERS, "channels": {**FILTERS, "granularity": "channel"}}


def network(shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    """A residual network: the filters of `inner` can be taken out, so can the units of `dense`."""
    x = inputs = L.Input(shape)
    x = L.ReLU()(L.BatchNormalization(name="n0")(L.Conv2D(6, 3, 2, padding="same", use_bias=False, name="first")(x)))
    y = L.ReLU()(L.BatchNormalization(name="n1")(L.Conv2D(8, 3, padding="same", use_bias=False, name="inner")(x)))
    y = L.BatchNormalization(name="n2")(L.Conv2D(6, 3, padding="same", use_bias=False, name="outer")(y))
    x = L.Dense(10, activation="relu", name="dense")(L.GlobalAveragePooling2D()(L.ReLU()(L.Add()([x, y]))))
    return tf_keras.Model(inputs, L.Dense(classes, name="last")(x), name="residual")


def sigmoid(shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    x = inputs = L.Input(shape)
    x = L.Dense(4, activation="sigmoid", name="dense")(L.Flatten()(x))
    return tf_keras.Model(inputs, L.Dense(classes, name="last")(x))


class Own(tf_keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def own_step(shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    plain = network(shape, classes)
    return Own(plain.inputs, plain.outputs)


def regularized(shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    x = inputs = L.Input(shape)
    x = L.Dense(4, kernel_regularizer="l2", name="dense")(L.Flatten()(x))
    return tf_keras.Model(inputs, L.Dense(classes, name="last")(x))


class Subclassed(tf_keras.Model):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.flat, self.one, self.two = L.Flatten(), L.Dense(4, name="one"), L.Dense(classes, name="two")

    def call(self, x):
        return self.two(self.one(self.flat(x)))


def subclassed(shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    model = Subclassed(classes)
    model.build((None, *shape))
    return model


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Finished, Finished]]:
    """Kind and method -> the run with masks and the run with compact networks, trained once."""
    found: dict[tuple[str, str], tuple[Finished, Finished]] = {}

    def runs(kind: str, method: str) -> tuple[Finished, Finished]:
        if (kind, method) not in found:
            folder = tmp_path_factory.mktemp("runs")
            ways = (tiny(method, folder / way, **KINDS[kind], finetune=way) for way in ("masked", "compact"))
            found[kind, method] = train(next(ways)), train(next(ways))
        return found[kind, method]

    return runs


def unlike(masked: Finished, compact: Finished) -> list[str]:
    """The weights that differ by more than rounding; running statistics of removed channels are nobody's."""
    different = []
    for name, value in masked.weights.items():
        theirs = np.ones(value.shape[-1:], bool)
        if name.startswith("n1/moving"):
            inner, outer = (masked.weights[f"{name}/kernel"] != 0 for name in ("inner", "outer"))
            theirs = inner.any((0, 1, 2)) & outer.any((0, 1, 3))
        if not np.allclose(value[..., theirs], compact.weights[name][..., theirs], rtol=1e-9, atol=1e-12):
            different.append(name)
    return different


@pytest.mark.faults_cases("units-lth", "units-snip", "filters-lth*", "filters-snip", "channels-lth*", "channels-snip")
@pytest.mark.fast_cases("units-scratch")
@pytest.mark.parametrize("method", ["scratch", "lth", "lth_iter", "snip"])
@pytest.mark.parametrize("kind", KINDS)
def test_from_initial_weights_it_is_the_masked_training_to_rounding(kind, method, both):
    masked, compact = both(kind, method)
    assert compact.result["phases"][-1]["steps"] >= 20
    assert compact.watched.batches == masked.watched.batches
    assert unlike(masked, compact) == []
    ours, theirs = (done.history.drop(columns="seconds") for done in (compact, masked))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-3)
    assert ours["sparsity"].tolist() == theirs["sparsity"].tolist()
    for key in ("sparsity", "effective_sparsity", "parameters"):
        assert compact.result[key] == masked.result[key]
    assert compact.result["cost"]["training_macs_theoretical"] == masked.result["cost"]["training_macs_theoretical"]


@pytest.mark.slow
def test_removed_channels_leave_no_constants_after_a_transformation_either(both):
    assert unlike(*both("channels", "rst")) == []


@pytest.mark.slow
def test_after_a_transformation_the_constants_of_removed_filters_make_the_difference(both):
    masked, compact = both("filters", "rst")
    assert "n1/beta" in unlike(masked, compact)
    removed = ~(compact.weights["inner/kernel"] != 0).any((0, 1, 2))
    assert np.all(compact.weights["n1/beta"][removed] == 0) and np.any(masked.weights["n1/beta"][removed] != 0)


@pytest.mark.faults_cases("units-rst", "filters-scratch", "channels-*")
@pytest.mark.fast_cases("units-scratch")
@pytest.mark.parametrize("method", ["scratch", "rst"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_interrupted_inside_ends_with_the_same_digest(kind, method, both, tmp_path, log):
    _, straight = both(kind, method)
    config = tiny(method, tmp_path / "run", **KINDS[kind], finetune="compact", checkpoint_every="3it")
    interrupt(config, "finetune", 12)
    resumed = runner.run(config)
    assert went_on(log) == ["resuming from a checkpoint: phase finetune, step 12"]
    assert resumed["weights_sha256"] == straight.result["weights_sha256"]
    assert any("phase finetune trains the compact network" in message for message in log.messages)


@pytest.mark.slow
def test_where_nothing_can_be_taken_out_it_says_so_and_trains_with_masks(tmp_path, log):
    tied = {**UNITS, "model": f"{__name__}:sigmoid", "model_args": "{}", "epochs": "2it", "finetune": "compact"}
    runner.run(tiny("scratch", tmp_path, **tied))
    assert any("nothing can be taken out of the network in phase finetune" in message for message in log.messages)


def test_a_method_without_such_a_phase_says_so(tmp_path, log):
    config = tiny("gmp", tmp_path, **{**FILTERS, "epochs": "4it"}, finetune="compact")
    runner.prepare(config)
    expected = "--finetune=compact has no effect: no phase begins after all has been removed (phases: train)"
    assert expected in log.messages


def test_single_weights_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"^finetune=compact: takes .* requires --granularity=filter or channel$"):
        tiny("scratch", tmp_path, finetune="compact")
    with pytest.raises(BadInput, match=r"^finetune=small: must be one of masked, compact$"):
        tiny("scratch", tmp_path, finetune="small")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("subclassed", "has no known graph"),
        ("own_step", "has a train_step of its own"),
        ("regularized", "has regularizers or losses of its own"),
    ],
)
def test_networks_that_cannot_be_built_anew_are_refused_before_anything_is_written(model, reason, tmp_path):
    config = tiny("scratch", tmp_path / "run", **{**FILTERS, "model": f"{__name__}:{model}"}, finetune="compact")
    with pytest.raises(BadInput, match=f"^finetune=compact: cannot be used with the model .*, which {reason}"):
        runner.run(config)
    assert not (tmp_path / "run").exists()


def test_weight_decay_alone_is_the_published_step_without_a_loss():
    rates = [0.1] * 5 + [0.01] * 5
    weight, velocity = np.float64(1), 0.0
    for rate in rates:
        velocity = 0.9 * velocity + 5e-4 * weight
        weight = weight - rate * velocity
    assert weight_decay_alone(rates, 0.9, 5e-4) == pytest.approx(weight, rel=1e-15)
    assert weight_decay_alone(rates, 0.9, 0.0) == 1.0
