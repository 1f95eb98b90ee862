"""The hook in the optimizer's step of Keras 3: where it stands, and that it stands there for every optimizer."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import GradualMagnitude, KeepMask, RandomMask
from dlth_tf.core import PenaltySchedule
from tests.keras3.networks import BACKEND, L, assert_equal, compiled, data, fit, mlp, removed, state, transform, zeros

SPARSE = {"fc1/kernel": 0.75, "fc2/kernel": 0.75}
OPTIMIZERS = (
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "Nadam",
    "Lion",
    "Ftrl",
    "Lamb",
    "Muon",
    "Adafactor",
    "ScheduleFreeAdamW",
)
REPRESENTATIVES = ("Adam", "SGD")


def linear(optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Returns y = x W with a gradient that does not depend on W: mean over x of the outputs' sum."""
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, use_bias=False, name="w")])
    model.compile(optimizer, loss=lambda y, p: keras.ops.sum(p, axis=-1))
    model.get_layer("w").kernel.assign(np.arange(1, 13).reshape(4, 3) / 4)
    return model


X = np.array([[1.0, 2.0, 3.0, 4.0]] * 8, "float32")
GRADIENT = np.repeat([[1.0], [2.0], [3.0], [4.0]], 3, axis=1)
KEPT = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], bool)


def penalized(gradient: np.ndarray, weight: np.ndarray, strength: float) -> np.ndarray:
    return gradient + strength * ~KEPT * weight


@pytest.mark.parametrize(
    ("options", "of_gradient"),
    [
        ({}, lambda g: g),
        ({"clipvalue": 2.5}, lambda g: np.minimum(g, 2.5)),
        ({"clipnorm": 3.0}, lambda g: g * 3 / np.linalg.norm(g)),
        ({"global_clipnorm": 3.0}, lambda g: g * 3 / np.linalg.norm(g)),
        ({"loss_scale_factor": 64.0}, lambda g: g),
    ],
    ids=lambda value: next(iter(value), "plain") if isinstance(value, dict) else "",
)
def test_the_penalty_is_added_after_clipping_and_unscaling(options, of_gradient):
    model = linear(keras.optimizers.SGD(0.1, **options))
    weight = model.get_layer("w").kernel.numpy().copy()
    dlth.apply_ticket(model, dlth.Ticket.from_masks({"w/kernel": KEPT}))
    masking.install(model, PenaltySchedule("x", 0.5, 1, 1.0, 0))
    model.fit(X, np.zeros(8), batch_size=8, epochs=1, verbose=0)
    masking.uninstall(model)
    strength = PenaltySchedule("x", 0.5, 1, 1.0, 0).at(0)
    expected = weight - 0.1 * penalized(of_gradient(GRADIENT), weight, strength)
    np.testing.assert_allclose(model.get_layer("w").kernel.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_variables_that_are_excluded_from_weight_decay_get_none(momentum):
    kernel, bias = (keras.Variable(np.ones(2, "float32"), name=name) for name in ("kernel", "bias"))
    optimizer = dlth.keras3.SGD(0.5, momentum=momentum, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([kernel, bias])
    optimizer.apply([np.zeros(2, "float32")] * 2)
    assert kernel.numpy().tolist() == [0.75, 0.75] and bias.numpy().tolist() == [1.0, 1.0]


def test_gradient_accumulation_takes_one_step_for_several_batches():
    model = linear(keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    weight = model.get_layer("w").kernel.numpy().copy()
    dlth.apply_ticket(model, dlth.Ticket.from_masks({"w/kernel": KEPT}), remove=True)
    model.fit(X, np.zeros(8), batch_size=2, epochs=1, verbose=0, callbacks=[KeepMask()])
    assert masking.steps_made(model) == 1
    np.testing.assert_allclose(model.get_layer("w").kernel.numpy(), KEPT * (weight - 0.1 * GRADIENT), rtol=1e-5)


def test_a_transformation_counts_optimizer_steps_not_batches():
    model = compiled(mlp(), keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))
    with pytest.raises(BadInput, match=r"epochs=5: are too few: 30 steps of transformation need 6 epochs"):
        fit(model, transform(), epochs=5)
    fit(compiled(model, keras.optimizers.SGD(0.05, gradient_accumulation_steps=2)), transform(), epochs=6)
    assert masking.steps_made(model) == 15
    assert removed(model) == SPARSE == zeros(model)


@pytest.mark.fast_cases("every second step")
@pytest.mark.parametrize("overwrite", [None, 2], ids=["at the end", "every second step"])
def test_moving_averages_bring_no_removed_weight_back(overwrite):
    average = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": overwrite}
    model = compiled(mlp(), keras.optimizers.SGD(0.05, **average))
    fit(model, transform())
    assert removed(model) == SPARSE == zeros(model)
    model = compiled(mlp(), keras.optimizers.Adam(0.01, **average))
    fit(model, [dlth.callbacks.GradualMagnitude(0.75, every=2)])
    assert removed(model) == SPARSE == zeros(model)


@pytest.mark.parametrize(
    "name", [name if name in REPRESENTATIVES else pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS]
)
def test_removed_weights_stay_zero_with_every_stock_optimizer(name):
    model = compiled(mlp(), getattr(keras.optimizers, name)(0.01))
    before = state(model)["fc1/kernel"]
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    assert removed(model) == SPARSE
    masking.check_removed(model)  # Ftrl makes more zeros of its own
    assert not np.array_equal(before, state(model)["fc1/kernel"])


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_mixed_precision_and_its_loss_scale(dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        model = compiled(mlp(), keras.optimizers.SGD(0.05))
    finally:
        keras.config.set_dtype_policy("float32")
    fit(model, transform())
    assert removed(model) == SPARSE == zeros(model)


def test_an_explicit_loss_scale_and_its_file(tmp_path):
    model = compiled(mlp(), keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)))
    saving = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    fit(model, [*transform(), saving])
    assert removed(model) == SPARSE == zeros(model)
    restored = keras.saving.load_model(tmp_path / "1.keras")
    assert int(restored.optimizer.inner_optimizer.iterations) == 5


def several_optimizers() -> keras.optimizers.Optimizer:
    """Returns one that trains fc1 by SGD, and the other layers by Adam."""
    by_name = keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.01), {"fc1/.*": keras.optimizers.SGD(0.05)})
    return keras.optimizers.MultiOptimizer(by_name)


@pytest.mark.fast_cases("rst")
@pytest.mark.parametrize(
    "callbacks",
    [
        pytest.param(transform, id="rst"),
        pytest.param(lambda: [RandomMask(0.75, remove=True)], id="random"),
        pytest.param(lambda: [dlth.callbacks.GradualMagnitude(0.75, every=2)], id="gradual", marks=pytest.mark.slow),
        pytest.param(
            lambda: [RandomMask(0.75, remove=True), dlth.callbacks.DynamicSparsity("gradient", every=3)],
            id="dynamic",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_one_optimizer_for_each_layer(callbacks, tmp_path):
    model = compiled(mlp(), several_optimizers())
    before = state(model)
    fit(model, callbacks())
    model.save(tmp_path / "last.keras")
    assert removed(model) == SPARSE == zeros(model)
    assert all(not np.array_equal(before[f"{name}/kernel"], state(model)[f"{name}/kernel"]) for name in ("fc1", "out"))
    again = dlth.keras3.load_model(tmp_path / "last.keras")
    fit(again, [KeepMask()])
    assert removed(again) == SPARSE == zeros(again)


def two_sided(built: bool) -> keras.Model:
    """Returns a model that trains its two layers by optimizers of its own, not by that of `compile`.

    Args:
      built: Whether the optimizers are built before `fit`; otherwise in the first compiled step.
    """
    import tensorflow as tf

    class TwoSided(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2, self.out = (L.Dense(*each) for each in ((16, "relu"), (12, "relu"), (3,)))
            for name, layer in (("fc1", self.fc1), ("fc2", self.fc2), ("out", self.out)):
                layer.name = name

        def compile(self, first, second):
            super().compile()
            self.first, self.second = first, second

        def call(self, x):
            return self.out(self.fc2(self.fc1(x)))

        def train_step(self, data):
            x, y = data
            for optimizer, layers in self.sides():
                weights = [weight for layer in layers for weight in layer.trainable_variables]
                with tf.GradientTape() as tape:
                    loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, self(x), from_logits=True))
                optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return {"loss": loss}

        def sides(self):
            return (self.first, [self.fc1]), (self.second, [self.fc2, self.out])

    keras.utils.set_random_seed(0)
    model = TwoSided()
    model(data()[0])
    model.compile(keras.optimizers.SGD(0.05), keras.optimizers.Adam(0.01))
    if built:
        for optimizer, layers in model.sides():
            optimizer.build([weight for layer in layers for weight in layer.trainable_variables])
    return model


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a step of the user's own is written for TensorFlow here")
@pytest.mark.parametrize("eager", [False, True], ids=["compiled", "eager"])
@pytest.mark.parametrize("name", ["random", "rst", "gradual", "ste", "dynamic"])
@pytest.mark.fast_cases("rst-compiled")
def test_optimizers_that_are_built_in_the_first_step_get_the_hook_there(name, eager):
    callbacks = {
        "random": lambda: [RandomMask(0.75, remove=True)],
        "rst": transform,
        "gradual": lambda: [GradualMagnitude(0.75, every=2)],
        "ste": lambda: [dlth.callbacks.StraightThrough(0.75)],
        "dynamic": lambda: [RandomMask(0.75, remove=True), dlth.callbacks.DynamicSparsity("gradient", every=3)],
    }
    ends = []
    for built in (True, False):
        model = two_sided(built)
        model.run_eagerly = eager
        fit(model, callbacks[name]())
        masking.check_removed(model)
        assert removed(model) == SPARSE and masking.steps_made(model) == 15
        ends.append({key: value for key, value in state(model).items() if "/" in key})
    assert_equal(*ends)


def test_a_constraint_brings_no_removed_weight_back():
    class AtLeast(keras.constraints.Constraint):
        def __call__(self, weight):
            return keras.ops.maximum(weight, 0.1)

    keras.utils.set_random_seed(0)
    layers = [L.Dense(16, "relu", name="fc1", kernel_constraint=AtLeast()), L.Dense(3, name="out")]
    model = compiled(keras.Sequential([keras.Input((6,)), *layers]))
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    assert zeros(model) == {"fc1/kernel": 0.75}
    assert masking.prunable_weights(model)["fc1/kernel"].weight.numpy().max() >= 0.1


@pytest.mark.fast_cases("the model's own")
@pytest.mark.parametrize("assigned", [False, True], ids=["the class's", "the model's own"])
def test_the_step_is_compiled_anew_for_every_hook(assigned):
    """A step that JAX has traced with another optimizer of the same shapes must not be used again."""
    model = compiled(mlp(), keras.optimizers.SGD(0.05, momentum=0.9))
    step = model.train_step
    if assigned:
        model.train_step = step
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    compiled(model, keras.optimizers.SGD(0.5, momentum=0.9))
    fit(model, [KeepMask()], epochs=1)
    twin = compiled(mlp(), keras.optimizers.SGD(0.05, momentum=0.9))
    fit(twin, [RandomMask(0.75, remove=True)], epochs=1)
    other = compiled(mlp(seed=5), keras.optimizers.SGD(0.5, momentum=0.9))
    dlth.apply_ticket(other, masking.chosen_ticket(twin), remove=True)
    other.set_weights(twin.get_weights())
    fit(other, [KeepMask()], epochs=1)
    for first, second in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not assigned or vars(model)["train_step"] is step


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch" and not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_without_compilation_the_result_is_the_same_but_for_rounding():
    found = []
    for jit_compile in (True, False):
        model = compiled(mlp(), jit_compile=jit_compile)
        fit(model, transform())
        found.append(state(model))
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "torch" or not shutil.which("g++"), reason="torch.compile with a C++ compiler")
def test_torch_does_not_compile_the_pruning_within_a_step_again_and_again():
    import torch

    model = compiled(mlp(), jit_compile=True)
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        fit(model, [GradualMagnitude(0.5, begin=1, end=20, every=2)], epochs=5)
    assert removed(model) == {"fc1/kernel": 0.5, "fc2/kernel": 0.5}


def test_an_own_train_step_with_an_optimizer_that_never_updates_is_noticed():
    class Idle(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc1, self.out = L.Dense(16, name="fc1"), L.Dense(3, name="out")

        def call(self, x):
            return self.out(self.fc1(x))

        def train_step(self, *args):
            return ({"loss": 0.0}, args[0]) if BACKEND == "jax" else {"loss": keras.ops.zeros(())}

    if BACKEND == "torch":
        pytest.skip("an eager step may only collect gradients")
    model = Idle()
    model(data()[0])
    compiled(model)
    with pytest.raises(RuntimeError, match="no optimizer of the model has updated fc1/kernel in the first step"):
        fit(model, transform())


def test_the_optimizer_of_the_other_keras_is_refused():
    model = mlp()
    with pytest.raises(ValueError, match="optimizer"):
        model.compile(dlth.optimizers.SGD(0.1))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in ("Adam", "Lion", "SGD")])
def test_two_fits_make_the_same_steps_as_two_fits_without_a_hook_where_nothing_is_removed(name):
    model, plain = (compiled(mlp(), getattr(keras.optimizers, name)(0.01)) for _ in range(2))
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.0), remove=True)
    masking.install(model, always_mask=True)
    for each in (model, plain):
        fit(each, epochs=1)
        fit(each, epochs=1)
    masking.uninstall(model)
    first, second = state(model), state(plain)
    assert_equal({n: first[n] for n in first if "/" in n}, {n: second[n] for n in second if "/" in n})
