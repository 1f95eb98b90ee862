"""Tickets in a model: chosen, removed, replaced, and refused without a trace."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from tests.masking.networks import compiled, kept_whole, largest_removed, mlp, same, train, weights, wrapped

L = tf_keras.layers


def digest(model: tf_keras.Model) -> list[bytes]:
    """Returns the bytes of everything that a ticket could change."""
    return [variable.numpy().tobytes() for variable in model.variables]


def test_choosing_changes_no_weight_and_no_mask():
    model = dlth.wrap(mlp())
    before = weights(model)
    ticket = dlth.random_ticket(model, 0.5)
    dlth.apply_ticket(model, ticket)
    assert masking.chosen_ticket(model) == ticket
    assert same(weights(model), before) and kept_whole(model)


def test_removing_makes_exact_positive_zeros_and_leaves_the_kept_bits_alone():
    model = dlth.wrap(mlp())
    before = weights(model)
    ticket = dlth.random_ticket(model, 0.5)
    dlth.apply_ticket(model, ticket, remove=True)
    assert masking.chosen_ticket(model) == ticket
    for name, value in weights(model).items():
        mask = ticket[name] if name in ticket else np.ones(value.shape, bool)
        assert value.tobytes() == np.where(mask, before[name], 0).astype(value.dtype).tobytes()
    assert np.signbit(before["fc1/kernel"][~ticket["fc1/kernel"]]).any(), (
        "a product with the mask would leave negative zeros"
    )


def test_a_second_ticket_takes_the_place_of_the_first():
    model = wrapped()
    other = dlth.random_ticket(model, 0.5, seed=8)
    dlth.apply_ticket(model, other)
    assert masking.chosen_ticket(model) == other and kept_whole(model), "weights that the first removed may grow again"


def test_choose_leaves_what_is_removed_removed():
    model = wrapped(seed=0)
    masks = {name: entry.kept() for name, entry in masking.prunable_weights(model).items()}
    masking.choose(model, dlth.random_ticket(model, 0.5, seed=8))
    assert all(np.array_equal(entry.kept(), masks[name]) for name, entry in masking.prunable_weights(model).items())


def test_tensors_that_a_ticket_does_not_name_are_kept_whole():
    model = wrapped()
    dlth.apply_ticket(model, dlth.Ticket.from_masks({"out/kernel": np.eye(10, 3)}), remove=True)
    kept = {name: int(entry.kept().sum()) for name, entry in masking.prunable_weights(model).items()}
    assert kept == {"fc1/kernel": 96, "fc2/kernel": 120, "out/kernel": 3}


def test_a_ticket_goes_through_its_file_into_another_model(tmp_path):
    model = wrapped()
    masking.chosen_ticket(model, method="rst").save(tmp_path / "ticket.npz")
    other = dlth.wrap(mlp(seed=1))
    dlth.apply_ticket(other, dlth.Ticket.load(tmp_path / "ticket.npz"), remove=True)
    assert masking.chosen_ticket(other) == masking.chosen_ticket(model)
    assert largest_removed(other) == 0.0 and not kept_whole(other)


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        (
            {"fc1/kernel": np.eye(8, 12), "conv1/kernel": np.eye(3)},
            "ticket=conv1/kernel: the model has no such prunable weight; it has fc1/k",
        ),
        (
            {"fc1/kernel": np.eye(8, 12), "fc1/bias": np.ones(12)},
            "ticket=fc1/bias: the model has no such prunable weight",
        ),
        (
            {"fc1/kernel": np.eye(8, 12), "fc2/kernel": np.eye(10, 12)},
            r"fc2/kernel: its mask has shape \[10, 12\], .* weight \[12, 10\]",
        ),
    ],
)
def test_a_ticket_of_another_model_is_refused_and_changes_nothing(masks, sentence):
    model = wrapped()
    before = digest(model)
    for write in (dlth.apply_ticket, masking.choose):
        with pytest.raises(BadInput, match=sentence):
            write(model, dlth.Ticket.from_masks(masks))
    with pytest.raises(BadInput, match=sentence):
        dlth.apply_ticket(model, dlth.Ticket.from_masks(masks), remove=True)
    assert digest(model) == before
    dlth.apply_ticket(model, dlth.Ticket.from_masks({"fc1/kernel": masks["fc1/kernel"]}))
    assert digest(model) != before, "the twin: a ticket that fits is seen"


@pytest.mark.parametrize(
    ("ticket", "sentence"),
    [
        ("ticket.npz", r"^ticket=ticket.npz: must map tensor names to masks \(Ticket.load reads a file\)$"),
        (None, "^ticket=.*: must map tensor names to masks"),
        ({"fc1/kernel": np.zeros((8, 12), bool)}, "^ticket=fc1/kernel: its mask keeps nothing"),
        ({"fc1/kernel": np.full((8, 12), 0.5)}, "^ticket=fc1/kernel: its mask must be boolean"),
    ],
    ids=["a file", "nothing", "nothing kept", "numbers"],
)
def test_what_is_no_ticket_is_refused_and_changes_nothing(ticket, sentence):
    model = wrapped()
    before = digest(model)
    for remove in (False, True):
        with pytest.raises(BadInput, match=sentence):
            dlth.apply_ticket(model, ticket, remove=remove)
    assert digest(model) == before


def test_masks_by_name_are_a_ticket():
    model = wrapped()
    masks = {"fc1/kernel": np.eye(8, 12).tolist()}
    dlth.apply_ticket(model, masks, remove=True)
    assert masking.chosen_ticket(model) == dlth.Ticket.from_masks(masks) and largest_removed(model) == 0.0


@pytest.mark.parametrize(
    "use", [lambda model: dlth.random_ticket(model, 0.5), lambda model: dlth.apply_ticket(model, dlth.Ticket({}))]
)
def test_tickets_need_a_wrapped_and_built_model(use):
    with pytest.raises(BadInput, match=r"is not wrapped \(call model = dlth_tf.wrap\(model\) before compile\)"):
        use(mlp())
    unbuilt = dlth.wrap(tf_keras.Sequential([L.Dense(4, name="a"), L.Dense(2, name="b")]))
    with pytest.raises(BadInput, match=r"is not built yet \(layer a\): call it once on a batch"):
        use(unbuilt)
    unbuilt(np.ones((1, 3)))
    use(unbuilt)


def test_a_model_that_was_wrapped_before_it_was_built_trains_with_zeros():
    model = dlth.wrap(tf_keras.Sequential([L.Dense(12, name="fc1"), L.Dense(3, name="out")]))
    model(np.ones((1, 8)))
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5), remove=True)
    train(compiled(model), [dlth.callbacks.KeepMask()])
    assert largest_removed(model) == 0.0 and not kept_whole(model)


def test_the_ticket_can_follow_the_masks():
    model = dlth.wrap(mlp())
    entry = masking.prunable_weights(model)["fc1/kernel"]
    mask = np.arange(96).reshape(8, 12) % 3 > 0
    entry.mask.assign(mask)
    assert masking.chosen_ticket(model).removed == 0
    masking.choose_what_is_kept(model)
    assert masking.chosen_ticket(model) == dlth.Ticket.from_masks({"fc1/kernel": mask})
