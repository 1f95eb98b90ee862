"""Tickets on a model: drawing, choosing, removing, and what is refused without a trace."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, files, masking
from tests.masking.networks import (
    KINDS,
    compiled,
    functional,
    kept_whole,
    kernels,
    largest_removed,
    mlp,
    same,
    train,
    weights,
    wrapped,
)

L = tf_keras.layers


def digest(model: tf_keras.Model) -> list[bytes]:
    """Everything that a ticket could change."""
    return [variable.numpy().tobytes() for variable in model.variables]


# drawing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.98])
def test_a_random_ticket_removes_the_exact_count_of_every_tensor(sparsity):
    ticket = dlth.random_ticket(dlth.wrap(mlp()), sparsity)
    expected = {
        name: min(int(np.ceil(round(sparsity * size, 9))), size - 1)
        for name, size in (("fc1/kernel", 96), ("fc2/kernel", 120))
    }
    assert {name: count["removed"] for name, count in ticket.counts().items()} == expected


def test_a_random_ticket_is_a_function_of_seed_and_names_alone():
    def build(order: str) -> tf_keras.Model:
        units = {"a": 7, "b": 6, "c": 2}
        made = {name: L.Dense(units[name], name=name) for name in order}
        return dlth.wrap(functional((5,), made["a"], made["b"], made["c"]))

    one, other = build("abc"), build("cba")
    assert not same(weights(one), weights(other)), "the weights are not looked at"
    ticket = dlth.random_ticket(one, 0.5, seed=4)
    assert dlth.random_ticket(other, 0.5, seed=4) == ticket
    assert dlth.random_ticket(one, 0.5, seed=5) != ticket
    renamed = dlth.wrap(functional((5,), L.Dense(7, name="a2"), L.Dense(6, name="b"), L.Dense(2, name="c")))
    other = dlth.random_ticket(renamed, 0.5, seed=4)
    assert not np.array_equal(other["a2/kernel"], ticket["a/kernel"]) and np.array_equal(
        other["b/kernel"], ticket["b/kernel"]
    )


def test_a_random_ticket_is_the_same_in_every_process():
    """Recorded once; Python's hash() is another in every process."""
    ticket = dlth.random_ticket(dlth.wrap(mlp()), 0.5, seed=4)
    assert files.arrays_sha256(ticket.masks) == "c9c808cd014fe314b179fd8e6286504d4f7b6316080f5f37fcb9d71a8b1d2911"


@pytest.mark.parametrize(("remove", "worse"), [("smallest", np.less), ("largest", np.greater)])
def test_a_magnitude_ticket_removes_the_smallest_or_the_largest(remove, worse):
    model = dlth.wrap(mlp())
    ticket = dlth.magnitude_ticket(model, 0.5, remove=remove)
    for name, mask in ticket.items():
        size = np.abs(weights(model)[name])
        extreme_kept = size[mask].min() if remove == "smallest" else size[mask].max()
        assert worse(size[~mask], extreme_kept).all() and (~mask).sum() == mask.size // 2
    assert ticket != dlth.random_ticket(model, 0.5)


@pytest.mark.parametrize(
    ("kind", "dense_layers", "pruned"),
    [
        ("sequential", "auto", kernels("a")),
        ("conv2d, batch norm, dropout", "none", kernels("c", "out")),
        ("embedding, lstm", "auto", ("mix/kernel", "conv/kernel", "lstm/kernel", "lstm/recurrent_kernel")),
        ("attention", "mha", kernels("out")),
        ("subclassed", "first,block_*", kernels("pair_0", "pair_1", "head")),
        (
            "subclassed",
            ["last", "pair_0"],
            kernels("stem", "block_0", "block_1", "block_left", "block_more", "block_gate", "pair_1"),
        ),
    ],
)
def test_dense_layers_are_left_out_of_a_ticket(kind, dense_layers, pruned):
    ticket = dlth.random_ticket(dlth.wrap(KINDS[kind].model()), 0.5, dense_layers=dense_layers)
    assert tuple(ticket) == pruned


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sparsity": 1.0}, "sparsity=1.0: must be a number|sparsity=1.0: must be at least 0 and below 1"),
        ({"sparsity": -0.1}, "must be at least 0 and below 1"),
        ({"sparsity": "much"}, "sparsity=much: must be a number"),
        ({"sparsity": 0.5, "allocation": "fair"}, "allocation=fair"),
        ({"sparsity": 0.5, "granularity": "atom"}, "granularity=atom"),
        (
            {"sparsity": 0.5, "dense_layers": "fc*,out"},
            "leaves nothing to prune; the prunable layers are fc1, fc2, out",
        ),
        (
            {"sparsity": 0.5, "dense_layers": "conv1"},
            "dense_layers=conv1: matches no prunable layer; use none, first, last",
        ),
        ({"sparsity": 0.5, "dense_layers": "none,fc1"}, "none cannot be combined with other names"),
    ],
)
def test_a_ticket_that_cannot_be_drawn_is_refused(arguments, sentence):
    model = dlth.wrap(mlp())
    for draw in (dlth.random_ticket, dlth.magnitude_ticket):
        with pytest.raises(BadInput, match=sentence):
            draw(model, **arguments)


def test_a_magnitude_ticket_refuses_another_direction():
    with pytest.raises(BadInput, match="remove=middle: must be one of smallest, largest"):
        dlth.magnitude_ticket(dlth.wrap(mlp()), 0.5, remove="middle")


# choosing and removing ---------------------------------------------------------------------------------------------


def test_choosing_changes_no_weight_and_no_mask():
    model = dlth.wrap(mlp())
    before, ticket = weights(model), dlth.random_ticket(model, 0.5)
    dlth.apply_ticket(model, ticket)
    assert masking.chosen_ticket(model) == ticket
    assert same(weights(model), before) and kept_whole(model)


def test_removing_makes_exact_positive_zeros_and_leaves_the_kept_bits_alone():
    model = dlth.wrap(mlp())
    before, ticket = weights(model), dlth.random_ticket(model, 0.5)
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
    assert masking.chosen_ticket(model) == other and kept_whole(model), "what the first removed may grow again"


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
