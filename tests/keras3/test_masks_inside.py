"""A pruned model of Keras 3 inside another one: under a new head, or as the student of a distillation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras.distillation import Distiller, LogitsDistillation

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import GradualMagnitude, KeepMask, StraightThrough
from tests.keras3.networks import LOSS, L, compiled, data, fit, mlp, removed, zeros

SPARSE = {"fc1/kernel": 0.75, "fc2/kernel": 0.75}


def pruned(sparsity: float = 0.75) -> Any:
    """Returns a network without the weights outside a random ticket."""
    model = dlth.wrap(mlp())
    dlth.apply_ticket(model, dlth.random_ticket(model, sparsity), remove=True)
    return model


def under_a_new_head(base: Any) -> Any:
    return keras.Sequential([keras.Input((6,)), base, L.Dense(3, name="head")])


def deeper(base: Any) -> Any:
    return under_a_new_head(keras.Sequential([keras.Input((6,)), base], name="middle"))


def subclassed(base: Any) -> Any:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.base = base

        def call(self, inputs: Any) -> Any:
            return self.base(inputs)

    model = Model()
    model(data()[0][:1])
    return model


@pytest.mark.parametrize("around", [under_a_new_head, deeper, subclassed])
def test_removed_weights_of_a_model_inside_are_kept_removed(around: Callable[[Any], Any]):
    base = pruned()
    model = compiled(around(base))
    fit(model, [KeepMask()], epochs=1)
    assert removed(model) == SPARSE == zeros(model) and removed(base) == SPARSE
    assert masking.chosen_ticket(model) == masking.chosen_ticket(base)
    dlth.strip(model)
    dlth.strip(base)


@pytest.mark.parametrize("callback", [GradualMagnitude, StraightThrough])
def test_what_prunes_more_prunes_within_them(callback):
    base = pruned(0.5)
    before = {name: entry.kept().copy() for name, entry in masking.prunable_weights(base).items()}
    model = compiled(under_a_new_head(base))
    options = {"every": 2} if callback is GradualMagnitude else {}
    fit(model, [callback(0.75, dense_layers="out,head", **options)])
    assert removed(model) == SPARSE
    for name, entry in masking.prunable_weights(model).items():
        assert name == "head/kernel" or not (entry.kept() & ~before[name]).any()


def test_a_pruned_student_is_distilled():
    student = pruned()
    teacher = keras.models.clone_model(student)
    distiller = Distiller(teacher, keras.Sequential([keras.Input((6,)), student], name="student"), LogitsDistillation())
    distiller.compile(dlth.keras3.SGD(0.05), LOSS)
    fit(distiller, [KeepMask()], epochs=1)
    assert zeros(student) == SPARSE
    dlth.strip(student)


def test_masks_of_ones_own_come_first():
    base = pruned()
    model = under_a_new_head(base)
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="out,head"))
    assert removed(model) == {} and removed(base) == SPARSE
