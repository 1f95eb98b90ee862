"""The summary of a model agrees with its weights and masks before a ticket, with one, and after the removal."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking.macs import kernel_positions

LAYERS = tf_keras.layers


def network(shape: tuple[int | None, ...] = (8, 8, 1)) -> tf_keras.Model:
    """Two convolutions with batch norm, and a dense layer that is the last one."""
    parts = [
        LAYERS.Conv2D(4, 3, name="first"),
        LAYERS.BatchNormalization(name="norm"),
        LAYERS.Conv2D(5, 3, name="middle"),
        LAYERS.GlobalAveragePooling2D(name="pool"),
        LAYERS.Dense(3, name="last"),
    ]
    return dlth.wrap(tf_keras.Sequential([tf_keras.Input(shape), *parts], name="net"))


ALL = 3 * 3 * 4 + 4 + 4 * 4 + 3 * 3 * 4 * 5 + 5 + 5 * 3 + 3
MIDDLE = 3 * 3 * 4 * 5
MACS = 36 * 36 + 16 * MIDDLE + 15


def test_before_there_is_a_ticket_it_says_what_one_will_prune():
    found = dlth.summary(network())
    assert (found.numbers, found.bytes, found.prunable) == (ALL, 4 * ALL, MIDDLE)
    assert (found.chosen, found.removed, found.sparsity, found.macs) == (0, 0, 0.0, (MACS, MACS))
    status = {row.layer: (row.status, row.why) for row in found.layers.itertuples()}
    assert status["middle"] == ("prunable", "a ticket with the default dense_layers prunes it")
    assert (status["first"], status["last"]) == (("dense", "the first layer"), ("dense", "the last layer"))
    assert repr(found).splitlines()[0] == "net: no ticket yet"


@pytest.mark.parametrize("remove", [False, True], ids=["chosen", "removed"])
def test_with_a_ticket_it_counts_what_is_chosen_and_removed(remove):
    model = network()
    ticket = dlth.random_ticket(model, 0.9, seed=0)
    dlth.apply_ticket(model, ticket, remove=remove)
    found = dlth.summary(model)
    zeros = sum(int(np.count_nonzero(~entry.kept())) for entry in masking.prunable_weights(model).values())
    assert (found.prunable, found.chosen, found.removed) == (MIDDLE, ticket.removed, zeros)
    assert found.removed == (162 if remove else 0) and found.macs == (MACS, MACS - 16 * zeros)
    first = repr(found).splitlines()[0]
    text = "90.00% of the prunable weights removed"
    assert first == (
        f"net: {text}" if remove else f"net: a ticket for 90.00% of the prunable weights, {text.replace('90', '0', 1)}"
    )
    assert "162, 62.55% of all numbers" in repr(found) or not remove
    assert len(repr(found).splitlines()) == 5 + 3 and "middle/kernel  3x3x4x5, pruned: 90.00%" in repr(found)


def test_a_ticket_of_other_layers_counts_those():
    model = network()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, seed=0, dense_layers="middle"), remove=True)
    assert dlth.summary(model).prunable == 36 + 15


def test_without_a_fixed_size_of_the_input_there_are_no_multiply_adds():
    found = dlth.summary(network((None, None, 1)))
    assert found.macs is None and "multiply-adds" not in repr(found)
    assert sum(kernel_positions(network(), (8, 8, 1)).values()) == 36 + 16 + 1  # the twin with a size has them


def test_a_notebook_shows_the_same_text():
    found = dlth.summary(network())
    assert found._repr_html_() == f"<pre>{found!r}</pre>"


def test_a_model_that_is_not_wrapped_is_refused():
    with pytest.raises(dlth.BadInput, match="wrap"):
        dlth.summary(tf_keras.Sequential([LAYERS.Dense(3, input_shape=(4,))]))
