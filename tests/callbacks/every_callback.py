"""Every callback that changes how a network is trained, and a small `fit` for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import callbacks
from tests.callbacks.refusals import everything
from tests.callbacks.transforming import penalty
from tests.masking.networks import batches, compiled, mlp

PER_EPOCH = 4
EPOCHS = 6
Model = tf_keras.Model


def keep_mask(model: Model) -> list[Any]:
    """Removes a ticket now and keeps it removed."""
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, seed=3), remove=True)
    return [callbacks.KeepMask()]


CALLBACKS: dict[str, Callable[[Model], list[Any]]] = {
    "random mask": lambda model: [callbacks.RandomMask(0.5, remove=True)],
    "keep mask": keep_mask,
    "penalty": lambda model: [
        callbacks.RandomMask(0.5, pick="magnitude_min"),
        penalty(21, shorten_last_execution=True),
    ],
    "gradual": lambda model: [callbacks.GradualMagnitude(0.9, every=2)],
    "straight through": lambda model: [callbacks.StraightThrough(0.9)],
    "random growth": lambda model: [
        callbacks.RandomMask(0.8, remove=True),
        callbacks.DynamicSparsity("random", every=3),
    ],
    "growth by gradient": lambda model: [
        callbacks.RandomMask(0.8, remove=True, pick="magnitude_min"),
        callbacks.DynamicSparsity(every=3),
    ],
    "imp": lambda model: [callbacks.IMP(0.8, rounds=2, epochs_per_round=2)],
    "imp that rewinds to step 3": lambda model: [callbacks.IMP(0.8, rounds=2, epochs_per_round=2, rewind_step=3)],
    "early bird at the last epoch": lambda model: [callbacks.EarlyBird(0.8, threshold=0.0)],
    "early bird that settles": lambda model: [callbacks.EarlyBird(0.8, threshold=0.4, window=2)],
}


def quick_or_slow(*quick: str) -> pytest.MarkDecorator:
    """Parametrizes `name` with every callback; those that are not named here are marked as slow."""
    slow = [pytest.param(name, marks=pytest.mark.slow) for name in CALLBACKS if name not in quick]
    return pytest.mark.parametrize("name", [*quick, *slow])


def network(optimizer: Any = None, **options: Any) -> Model:
    """Returns the wrapped mlp, compiled to run eagerly, which is faster for a few steps."""
    return compiled(dlth.wrap(mlp()), optimizer, **{"run_eagerly": True, **options})


def fit(model: Model, several: list[Any], **options: Any) -> Model:
    """Trains on the same batches in every epoch."""
    model.fit(batches(PER_EPOCH), **{"epochs": EPOCHS, "verbose": 0, **options}, callbacks=several)
    return model


def difference(one: Model, other: Model) -> list[str]:
    """Returns the names of weights, masks, tickets and optimizer variables that are not equal to the last bit."""
    mine, theirs = everything(one), everything(other)
    assert len(mine) == len(theirs) > 10
    return [name for name in mine if mine[name].tobytes() != theirs[name].tobytes()]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns this package's own warnings; TensorFlow warns of slow callbacks on a busy machine."""
    return [each.getMessage() for each in caplog.records if each.name == "dlth_tf" and each.levelno >= logging.WARNING]
