"""Rules for layers of any kind, in models of both Kerases."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import KeepMask, RandomMask, RSTPenalty

KERASES = pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras3", "keras2"])


def fit(model: Any, *callbacks: Any, **options: Any) -> None:
    model.fit(np.ones((16, 6)), np.ones((16, 3)), batch_size=4, verbose=0, callbacks=list(callbacks), **options)


def compiled(library: Any, model: Any) -> Any:
    model.compile(library.optimizers.SGD(0.05), "mse")
    return model


def mlp(library: Any) -> Any:
    names = {"a": 10, "b": 8, "c": 3}
    layers = [library.layers.Dense(units, name=name) for name, units in names.items()]
    return compiled(library, dlth.wrap(library.Sequential([library.Input((6,)), *layers])))


def removed(model: Any) -> dict[str, float]:
    shares = {name: float(1 - entry.kept().mean()) for name, entry in masking.prunable_weights(model).items()}
    return {name: share for name, share in shares.items() if share}


def test_layers_made_from_those_of_keras_3_are_of_their_kind():
    class Up(keras.layers.Conv2DTranspose):
        pass

    class Scan(keras.layers.Conv2D):
        pass

    def tickets(up: Any, scan: Any) -> dict[str, np.ndarray]:
        layers = [scan(4, 3, name="first"), up(8, 3, name="up"), scan(4, 1, name="middle"), scan(2, 1, name="last")]
        model = dlth.wrap(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
        return dict(dlth.random_ticket(model, 0.5, granularity="filter"))

    mine = tickets(Up, Scan)
    stock = tickets(keras.layers.Conv2DTranspose, keras.layers.Conv2D)
    assert list(mine) == list(stock) == ["up/kernel", "middle/kernel"], "first and last stay whole: it has convolutions"
    for name, mask in mine.items():
        np.testing.assert_array_equal(mask, stock[name])
    assert (~mine["up/kernel"]).all(axis=(0, 1, 3)).sum() == 4


@KERASES
def test_a_layer_that_nothing_calls_has_nothing_to_prune(library):
    class Model(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.out = library.layers.Dense(10, name="a"), library.layers.Dense(3, name="out")
            self.unused = library.layers.Dense(5, name="unused")

        def call(self, x):
            return self.out(self.a(x))

    model = Model()
    with pytest.raises(BadInput, match=r"is not built yet \(layer a\)"):
        masking.prunable_weights(dlth.wrap(Model()))
    model(np.ones((1, 6), "float32"))
    model = compiled(library, dlth.wrap(model))
    fit(model, RandomMask(0.5, remove=True, dense_layers="none"))
    assert removed(model) == {"a/kernel": 0.5, "out/kernel": 0.5}
    table = dlth.layer_table(model).set_index("layer")
    assert table.loc["unused", "why"] == "not built: nothing has called it"


@pytest.mark.fast_cases("removed at once-keras3", "transformed-keras2")
@KERASES
@pytest.mark.parametrize("transformed", [False, True], ids=["removed at once", "transformed"])
def test_removed_weights_of_frozen_layers_stay_removed(transformed, library):
    model = mlp(library)
    fit(model, RandomMask(0.5, remove=True))
    frozen = masking.chosen_ticket(model)["a/kernel"]
    model.get_layer("a").trainable = False
    if library is tf_keras:
        model.layers[0].trainable = False
    compiled(library, model)
    if transformed:
        fit(model, RandomMask(0.75), RSTPenalty(step=0.1, every=1, hold_steps=2), epochs=4)
    else:
        fit(model, RandomMask(0.75, remove=True))
    assert removed(model) == {"a/kernel": 0.5, "b/kernel": 0.75}
    np.testing.assert_array_equal(masking.chosen_ticket(model)["a/kernel"], frozen)
    for layer in model.layers:
        layer.trainable = True
    fit(compiled(library, model), KeepMask())
    assert removed(model) == {"a/kernel": 0.5, "b/kernel": 0.75}
    masking.check_removed(model)


def test_a_transformation_whose_steps_a_loss_scale_skips_says_so():
    model = mlp(keras)
    scale = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-9), initial_scale=2.0**127)
    model.compile(scale, lambda y, p: (y - p) ** 2 * 1e6)
    rst = RSTPenalty.for_epochs(2, steps_per_epoch=4)
    skipped = r"of 8 steps \(its loss scale skips steps .* resume=True\): nothing was removed"
    with pytest.raises(RuntimeError, match=skipped):
        fit(model, RandomMask(0.5), rst, epochs=2)
    fit(model, RSTPenalty(**rst.penalty.arguments, resume=True), epochs=20)
    assert removed(model) == {"a/kernel": 0.5, "b/kernel": 0.5}
