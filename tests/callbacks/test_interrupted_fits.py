"""A `fit` that is interrupted leaves nothing behind: a later one without the callback is a plain one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks.exact_steps import ExactSteps
from dlth_tf.callbacks.snapshot_at import SnapshotAt
from tests.callbacks.every_callback import CALLBACKS, PER_EPOCH, difference, fit, network, quick_or_slow
from tests.masking.networks import LOSS, batches, compiled, largest_removed, mlp

GRAPH = {"run_eagerly": False}


class Breaks(tf_keras.callbacks.Callback):
    """Raises an exception after a batch, counted over all epochs."""

    def __init__(self, after: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        super().__init__()
        self.left = after
        self.error = error

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error("stopped")


def interrupted(name: str, after: int, error: type[BaseException] = KeyboardInterrupt, **options: Any) -> Any:
    """Returns a model whose `fit` with callbacks was interrupted after some batches or executions."""
    model = network(tf_keras.optimizers.Adam(0.01), **options)
    with pytest.raises(error, match="stopped"):
        fit(model, [*CALLBACKS[name](model), Breaks(after, error)])
    return model


def twin(model: tf_keras.Model, **options: Any) -> tf_keras.Model:
    """Returns a model that no callback has ever seen, with the same weights, masks and optimizer variables."""
    other = network(tf_keras.optimizers.Adam(0.01), **options)
    other.set_weights(model.get_weights())
    for ours, theirs in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        ours.assign(theirs)
    return other


def trained_plainly(model: tf_keras.Model, epochs: int = 2) -> tf_keras.Model:
    model.fit(batches(PER_EPOCH), epochs=epochs, verbose=0)
    return model


@pytest.mark.fast_cases("imp-KeyboardInterrupt")
@pytest.mark.slow_cases(
    "random mask-ValueError",
    "gradual-KeyboardInterrupt",
    "straight through-ValueError",
    "growth by gradient-KeyboardInterrupt",
    "early bird that settles-ValueError",
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, pytest.param(ValueError, marks=pytest.mark.slow)])
@quick_or_slow("penalty", "straight through", "growth by gradient", "imp")
def test_a_plain_fit_after_an_interrupted_one_is_plain(name, error):
    model = interrupted(name, 14, error)
    other = twin(model)
    assert difference(model, other) == []
    trained_plainly(model)
    trained_plainly(other)
    assert difference(model, other) == [] and masking.installed(model) is None
    assert not {"update_step", "apply_gradients"} & set(vars(model.optimizer))
    assert vars(model).keys() == vars(other).keys()


@pytest.mark.parametrize("name", ["growth by gradient"])
def test_so_it_is_in_a_graph(name):
    model = interrupted(name, 7, **GRAPH)
    other = twin(model, **GRAPH)
    assert difference(trained_plainly(model), trained_plainly(other)) == []


@pytest.mark.slow_cases(
    "random mask-1",
    "penalty-4",
    "gradual-9",
    "straight through-17",
    "growth by gradient-4",
    "imp that rewinds to step 3-9",
    "early bird at the last epoch-1",
    "early bird that settles-4",
)
@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4, 9, 17])
@pytest.mark.parametrize("name", CALLBACKS)
def test_so_it_is_in_a_graph_wherever_it_was_interrupted(name, after):
    model = interrupted(name, after, **GRAPH)
    other = twin(model, **GRAPH)
    assert difference(trained_plainly(model), trained_plainly(other)) == []


def test_without_the_callback_the_interrupted_state_would_act():
    """The negative twin: a hook that is installed by hand is no callback's, and stays."""
    model = network()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    masking.install(model)
    trained_plainly(model)
    assert largest_removed(model) == 0.0 and masking.installed(model) is not None
    masking.uninstall(model)
    trained_plainly(model)
    assert largest_removed(model) > 0.0


@pytest.mark.fast_cases("penalty-5")
@pytest.mark.parametrize(
    ("name", "after"), [("penalty", 5), ("imp that rewinds to step 3", 1), ("imp that rewinds to step 3", 4)]
)
def test_executions_that_were_shortened_have_their_length_again(name, after):
    options = {"run_eagerly": False, "steps_per_execution": 4}
    model = interrupted(name, after, **options)
    other = twin(model, **options)
    trained_plainly(model)
    trained_plainly(other)
    assert int(model._steps_per_execution.numpy()) == 4 and difference(model, other) == []


@pytest.mark.parametrize(
    "build", [lambda: ExactSteps(7), lambda: SnapshotAt(7, lambda: None)], ids=["exact", "snapshot"]
)
def test_callbacks_that_only_count_restore_it_too(build):
    model = network(run_eagerly=False, steps_per_execution=4)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [build(), Breaks(2)], epochs=3)
    trained_plainly(model, epochs=1)
    assert int(model._steps_per_execution.numpy()) == 4


@pytest.mark.fast_cases("straight through")
@pytest.mark.parametrize("name", ["penalty", "straight through"])
def test_a_model_that_is_compiled_again_is_plain_at_once(name):
    model = interrupted(name, 5)
    weights = model.get_weights()
    compiled(model, tf_keras.optimizers.Adam(0.01), run_eagerly=True)
    other = network(tf_keras.optimizers.Adam(0.01))
    other.set_weights(weights)
    assert difference(trained_plainly(model), trained_plainly(other)) == []


@quick_or_slow("straight through")
def test_evaluation_and_prediction_after_an_interruption_are_plain(name):
    model = interrupted(name, 6)
    other = twin(model)
    images = next(iter(batches(1)))[0]
    np.testing.assert_array_equal(model.predict(images, verbose=0), other.predict(images, verbose=0))
    assert model.evaluate(batches(2), verbose=0) == other.evaluate(batches(2), verbose=0)


@pytest.mark.parametrize("name", ["straight through", "growth by gradient"])
def test_the_same_callbacks_can_fit_again_after_an_interruption(name):
    model = network()
    callbacks = CALLBACKS[name](model)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [*callbacks, Breaks(5)])
    fresh = compiled(model, run_eagerly=True)
    fit(fresh, callbacks)
    assert largest_removed(model) == 0.0 and masking.installed(model) is None


def test_a_fit_that_is_refused_leaves_nothing_either():
    model = network()
    callbacks = [dlth.callbacks.RandomMask(0.5, remove=True), dlth.callbacks.DynamicSparsity(stop=None)]
    data = batches(PER_EPOCH).filter(lambda *_: True)
    with pytest.raises(dlth.BadInput, match="must be given in steps"):
        model.fit(data, verbose=0, callbacks=callbacks)
    other = network()
    other.set_weights(model.get_weights())
    assert difference(trained_plainly(model), trained_plainly(other)) == []


def test_a_custom_loop_after_an_interruption_is_plain_from_the_next_compile():
    model = interrupted("random mask", 3)
    model.compile(tf_keras.optimizers.SGD(0.1), LOSS)
    assert masking.installed(model) is None and "update_step" not in vars(model.optimizer)


def test_a_model_that_was_interrupted_can_be_saved_stripped_and_wrapped_again(tmp_path):
    model = interrupted("random mask", 3)
    model.save(tmp_path / "m.keras")
    assert difference(tf_keras.models.load_model(tmp_path / "m.keras"), model) == []
    plain = dlth.strip(model)
    assert mlp().count_params() == plain.count_params()
    again = compiled(dlth.wrap(plain), run_eagerly=True)
    assert "make_train_function" not in vars(again)
    trained_plainly(again)
