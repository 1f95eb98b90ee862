"""The layer table: a row for every layer, with the reason why it is dense."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from tests.masking.kinds import functional

L = tf_keras.layers


@pytest.fixture
def mixed() -> tf_keras.Model:
    return functional(
        (6, 6, 2),
        L.Conv2D(4, 3, name="conv"),
        L.BatchNormalization(name="bn"),
        L.ReLU(name="relu"),
        L.DepthwiseConv2D(3, name="depthwise"),
        L.Reshape((4, 4), name="rows"),
        L.LSTM(3, unroll=True, name="lstm"),
        L.EinsumDense("ab,bc->ac", 5, name="einsum"),
        L.Dense(4, name="left_out"),
        L.Dense(2, name="out"),
    )


def rows(table) -> dict[tuple[str, str], tuple]:
    return {
        (row.layer, row.weight): (row.type, row.shape, row.parameters, row.kept, row.status, row.why)
        for row in table.itertuples()
    }


def test_every_layer_is_listed_with_its_reason(mixed):
    model = dlth.wrap(mixed, skip="left_out")
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75))
    table = dlth.layer_table(model)
    assert tuple(table.columns) == ("layer", "type", "weight", "shape", "parameters", "kept", "status", "why")
    assert rows(table) == {
        ("conv", "kernel"): ("Conv2D", "3x3x2x4", 72, 72, "dense", "kept whole by the ticket, or no ticket yet"),
        ("bn", ""): ("BatchNormalization", "", 16, 16, "dense", "tf-mot prunes no weight of a BatchNormalization"),
        ("relu", ""): ("ReLU", "", 0, 0, "dense", "has no weights"),
        ("depthwise", ""): ("DepthwiseConv2D", "", 40, 40, "dense", "tf-mot prunes no weight of a DepthwiseConv2D"),
        ("rows", ""): ("Reshape", "", 0, 0, "dense", "has no weights"),
        ("lstm", "kernel"): ("LSTM", "4x12", 48, 12, "pruned", "75.00% by the ticket"),
        ("lstm", "recurrent_kernel"): ("LSTM", "3x12", 36, 9, "pruned", "75.00% by the ticket"),
        ("einsum", ""): ("EinsumDense", "", 15, 15, "dense", "tf-mot does not know the layer type EinsumDense"),
        ("left_out", ""): ("Dense", "", 24, 24, "dense", "left out by skip or only"),
        ("out", "kernel"): ("Dense", "4x2", 8, 8, "dense", "kept whole by the ticket, or no ticket yet"),
    }
    assert list(table.layer) == ["conv", "bn", "relu", "depthwise", "rows", "lstm", "lstm", "einsum", "left_out", "out"]


def test_kept_weights_that_lie_on_a_path_are_counted():
    layers = [L.Dense(3, "relu", name="a"), L.Dense(2, name="b"), L.ReLU(name="relu")]
    model = dlth.wrap(functional((2,), *layers))
    masks = {"a/kernel": [[0, 1, 1], [0, 1, 0]], "b/kernel": [[1, 0], [0, 0], [0, 1]]}
    dlth.apply_ticket(model, dlth.Ticket({name: np.array(mask, bool) for name, mask in masks.items()}), remove=False)
    table = dlth.layer_table(model, effective=True)
    assert list(table.columns[5:7]) == ["kept", "effective"]
    found = {row.layer: (row.kept, row.effective) for row in table.itertuples()}
    assert found == {"a": (3, 1), "b": (2, 1), "relu": (0, 0)}


def test_paths_that_are_not_known_are_refused(mixed):
    for model in (mixed, dlth.wrap(mixed)):  # einsum and lstm
        with pytest.raises(dlth.BadInput, match="effective=True: needs a wrapped Sequential or Functional model"):
            dlth.layer_table(model, effective=True)


def test_a_model_that_is_not_wrapped_yet_has_a_table_too(mixed):
    table = rows(dlth.layer_table(mixed))
    assert table["conv", ""] == ("Conv2D", "", 76, 76, "dense", "not wrapped yet: tf-mot can prune it")
    assert table["lstm", ""][-1] == "not wrapped yet: tf-mot can prune it"
    assert table["einsum", ""][-1] == "tf-mot does not know the layer type EinsumDense"


def test_the_table_follows_the_ticket(mixed):
    model = dlth.wrap(mixed)
    assert set(dlth.layer_table(model).status) == {"dense"}
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"))
    table = dlth.layer_table(model)
    pruned = table[table.status == "pruned"]
    assert list(pruned.layer) == ["conv", "lstm", "lstm", "left_out", "out"]
    assert (pruned.kept * 2 == pruned.parameters).all()
