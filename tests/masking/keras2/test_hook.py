"""The hook in the optimizer's step: removed weights are zero after every step of every optimizer and network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.kinds import KINDS, Kind, fit_kind, functional, tokens
from tests.masking.networks import (
    LOSS,
    batches,
    jit_by_hand,
    watch,
    weights,
    wrapped,
)

keras = tf_keras.optimizers
L = tf_keras.layers
SGD = dlth.optimizers.SGD
KeepMask = dlth.callbacks.KeepMask


@dataclass(frozen=True)
class Setting:
    """A way to train: optimizer, options of `compile`, precision policy and number of steps."""

    optimizer: Callable[[], Any] = lambda: SGD(0.1, momentum=0.9)
    options: dict[str, Any] = field(default_factory=dict)
    policy: str = "float32"
    steps: int = 7


SETTINGS = {
    "published plain": Setting(lambda: SGD(0.1)),
    "published momentum": Setting(),
    "published nesterov": Setting(lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)),
    "keras sgd": Setting(lambda: keras.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)),
    "adam": Setting(lambda: keras.Adam(0.01)),
    "adamw": Setting(lambda: keras.AdamW(0.01, weight_decay=0.1)),
    "rmsprop": Setting(lambda: keras.RMSprop(0.01, momentum=0.9)),
    "clipnorm": Setting(lambda: SGD(0.1, momentum=0.9, clipnorm=0.1)),
    "clipvalue, schedule": Setting(
        lambda: SGD(keras.schedules.PiecewiseConstantDecay([3], [0.1, 0.01]), clipvalue=0.01)
    ),
    "eager": Setting(options={"run_eagerly": True}),
    "3 steps per execution": Setting(options={"steps_per_execution": 3}),
    "20 steps per execution": Setting(options={"steps_per_execution": 20}, steps=47),
    "jit": Setting(options={"jit_compile": True}),
    "jit by hand": Setting(jit_by_hand),
    "bfloat16": Setting(policy="mixed_bfloat16"),
    "float16": Setting(lambda: keras.Adam(0.01), {"steps_per_execution": 3}, "mixed_float16"),
    "float64": Setting(policy="float64"),
}


@pytest.mark.fast_cases("published momentum", "clipnorm", "3 steps per execution", "float16")
@pytest.mark.parametrize("name", SETTINGS, ids=str)
def test_removed_weights_are_zero_after_every_step(name):
    setting = SETTINGS[name]
    tf_keras.mixed_precision.set_global_policy(setting.policy)
    model = wrapped()
    before = weights(model)
    seen = watch(model)
    model.compile(setting.optimizer(), LOSS, **setting.options)
    model.fit(batches(setting.steps), verbose=0, callbacks=[KeepMask()])
    assert int(seen.steps) == setting.steps and int(model.optimizer.iterations) == setting.steps
    assert float(seen.largest) == 0.0
    after = weights(model)
    plain = weights(dlth.strip(model))
    for tensor, entry in masking.prunable_weights(model).items():
        assert (after[tensor] != before[tensor])[entry.kept()].mean() > 0.5, "the kept weights were trained"
        assert np.count_nonzero(plain[tensor][~entry.kept()]) == 0
    model.run_eagerly = True  # faster for a single step
    model.fit(batches(1), verbose=0)
    assert float(seen.largest) > 0, "the twin: without KeepMask they come back"


LSTM = Kind(
    lambda: functional((3,), L.Embedding(12, 4, mask_zero=True, name="embed"), L.LSTM(3, name="lstm")),
    tokens,
    ("embed/embeddings", "lstm/kernel", "lstm/recurrent_kernel"),
)
TRAINED = {**KINDS, "lstm, not unrolled": LSTM}


@pytest.mark.fast_cases("conv2d, batch norm, dropout", "attention", "subclassed inside functional")
@pytest.mark.parametrize("name", TRAINED, ids=str)
def test_removed_weights_are_zero_after_every_step_in_every_kind_of_network(name):
    kind = TRAINED[name]
    model = dlth.wrap(kind.model())
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    before = weights(model)
    seen = watch(model)
    fit_kind(kind, model, [KeepMask()], steps=3, run_eagerly=name in KINDS)
    assert int(seen.steps) == 3 and float(seen.largest) == 0.0
    after = weights(model)
    assert all((after[tensor] != before[tensor]).any() for tensor in kind.prunable)
    fit_kind(kind, model, [], steps=1, run_eagerly=True)
    assert float(seen.largest) > 0, "the twin: without KeepMask they come back"


def test_sparse_gradients_of_an_embedding_are_masked_and_penalised():
    kind = KINDS["embedding, lstm"]
    model = dlth.wrap(kind.model())
    table = masking.prunable_weights(model)["embed/embeddings"].weight
    ticket = dlth.random_ticket(model, 0.5, dense_layers="none")
    dlth.apply_ticket(model, ticket)
    before = table.numpy()
    dropped = ~ticket["embed/embeddings"]
    untouched = np.setdiff1d(np.arange(12), kind.inputs())
    assert len(untouched), "some word never occurs, so that its gradient is the penalty alone"
    penalty = dlth.callbacks.RSTPenalty(step=0.5, every=1, limit=0.5, hold_steps=0, remove_at_end=False)
    fit_kind(kind, model, [penalty], keras.SGD(0.125), steps=penalty.steps)
    expected = np.where(dropped, before * np.float32(1 - 0.125 * 0.5) * np.float32(1 - 0.125 * 1.0), before)
    np.testing.assert_allclose(table.numpy()[untouched], expected[untouched], rtol=1e-6)
    assert (table.numpy()[untouched] == before[untouched]).any()
