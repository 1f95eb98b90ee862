"""From flags to phases: whole steps, batch sizes, and values that no run could use."""

from __future__ import annotations

import pytest

from dlth_tf.core import PenaltySchedule
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS, LearningRate, Phase
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.dry_run import describe
from dlth_tf.runs.plan import epochs_of, evaluations_of, is_evaluated, make_phases, make_recipe, out_of_proportion

EXAMPLES = 1097
FINETUNE = ("finetune", 16, 128)
PHASES = {  # method -> (name, steps, batch size), for two epochs and a transformation of 6 stairs and 3 more steps
    "dense": [("train", 16, 128)],
    "scratch": [FINETUNE],
    "lth": [("train", 16, 128), FINETUNE],
    "rst": [("transform", 9, 64), FINETUNE],
    "rst_iter": [*((f"transform_{cycle}", 9, 64) for cycle in range(1, 6)), FINETUNE],
    "lth_iter": [*((f"round_{number}", 16, 128) for number in range(1, 6)), FINETUNE],
    "l1": [("train", 16, 128), FINETUNE],
    "l1_iter": [("train", 16, 128), *((f"finetune_{cycle}", 16, 128) for cycle in range(1, 5)), FINETUNE],
    **{name: [("train", 16, 128)] for name in ("small_dense", "early_bird", "gmp", "ste")},
    **{name: [FINETUNE] for name in ("snip", "grasp", "synflow", "set", "rigl")},
    "lth_long": [("train", 16, 128), FINETUNE],  # 9 x 64 images are fewer than those of a training
    "scratch_long": [("finetune", 21, 128)],  # 16 x 128 + 9 x 64 images
}


def config(**changes) -> RunConfig:
    run = {"method": "rst", "dataset": "digits", "model": "lenet_300_100", "sparsity": 0.9, "epochs": 2}
    return RunConfig(**{**run, "penalty_step": 0.2, "penalty_every": 1, "hold_steps": 3, **changes})


def phases(**changes) -> list[Phase]:
    mine = config(**changes)
    return make_phases(mine.method, make_recipe(mine, EXAMPLES))


@pytest.mark.parametrize("method", METHODS.names())
def test_phases_of_every_method(method):
    found = [(phase.name, phase.steps, phase.batch_size) for phase in phases(method=method)]
    assert found == PHASES[method]
    images = [steps * size for _, steps, size in found]
    assert [row["examples"] for row in describe(phases(method=method), EXAMPLES, 7)] == images


@pytest.mark.parametrize(
    ("batch_size", "epochs", "steps"),
    [(128, 2, 16), (128, "17it", 17), (1097, 3, 3), (549, 3, 3), (548, 3, 6), (1, 1, 1097), (1000, "2ep", 2)],
)
def test_an_epoch_is_as_many_whole_batches_as_there_are(batch_size, epochs, steps):
    assert phases(batch_size=batch_size, epochs=epochs)[-1].steps == steps


def test_hold_in_epochs_counts_the_transformations_own_batches():
    assert phases(hold_steps="2ep")[0].steps == 6 + 2 * 17  # 1097 // 64
    assert phases(hold_steps="2ep", transform_batch_size=1000)[0].steps == 6 + 2


def test_a_phase_that_ends_within_an_epoch_touches_it():
    whole, part = phases(epochs="16it")[-1], phases(epochs="17it")[-1]
    assert (epochs_of(whole, EXAMPLES), epochs_of(part, EXAMPLES)) == (2, 3)


def test_the_transformation_has_its_own_batch_size_and_one_rate():
    transform, finetune = phases(transform_batch_size=32, transform_lr=0.003, lr=0.5)
    assert (transform.batch_size, transform.learning_rate) == (32, LearningRate((0.003,)))
    assert (finetune.batch_size, finetune.learning_rate) == (128, LearningRate((0.5, 0.05, 0.005), (8, 12)))


@pytest.mark.parametrize("name", ["batch_size", "transform_batch_size"])
def test_a_batch_larger_than_the_data_is_refused(name):
    with pytest.raises(BadInput, match=f"^{name}=1098: must be at most 1097, the number of training images of digits$"):
        phases(**{name: 1098})
    assert phases(**{name: 1097})


@pytest.mark.parametrize(
    ("length", "steps"),
    [(20, 340), ("3ep", 51), ("100it", 100), ("published", 89_996), (None, 9)],
)
def test_the_transformation_has_the_length_that_is_asked_for(length, steps):
    transform = phases(transform_epochs=length)[0]
    assert (transform.name, transform.steps) == ("transform", steps)
    if length is not None:  # what it replaces is not read, so not refused either
        assert phases(transform_epochs=length, penalty_step=-1, penalty_every=0, hold_steps=-1)[0].steps == steps


def test_the_length_keeps_the_power_and_the_limit_and_published_has_its_own():
    own = {"penalty_schedule": "x^2", "penalty_limit": 0.5}
    stretched = make_recipe(config(transform_epochs=20, **own), EXAMPLES).penalty
    assert (stretched.schedule, stretched.limit) == ("x^2", 0.5)
    assert make_recipe(config(transform_epochs="published", **own), EXAMPLES).penalty == PenaltySchedule()


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({"transform_epochs": "published"}, "transform (89,996 steps) sees 2,812 times"),
        ({"transform_epochs": "published", "method": "scratch_long"}, "finetune (45,014 steps) sees 2,813 times"),
        ({"transform_epochs": 2}, None),
        ({"transform_epochs": "published", "epochs": 600}, None),
        ({"method": "lth"}, None),
    ],
    ids=str,
)
def test_a_phase_out_of_proportion_to_the_training_is_named_with_the_alternative(changes, phase):
    mine = config(**changes)
    recipe = make_recipe(mine, EXAMPLES)
    sentence = out_of_proportion(make_phases(mine.method, recipe), recipe)
    assert (sentence is None) == (phase is None)
    if phase:
        assert sentence.startswith(f"phase {phase}") and "--transform_epochs=2 " in sentence and "\n" not in sentence


@pytest.mark.parametrize(
    ("epochs", "every", "evaluated"),
    [(3, 1, [1, 2, 3]), (3, 9, [1, 2, 3]), (9, 3, [3, 5, 6, 7, 8, 9]), (12, 4, [4, 8, 9, 10, 11, 12])],
)
def test_every_few_epochs_and_each_of_the_last_five_are_evaluated(epochs, every, evaluated):
    assert [epoch for epoch in range(1, epochs + 1) if is_evaluated(epoch, epochs, every)] == evaluated
    phase = Phase("finetune", 8 * epochs - 3, 128, LearningRate((0.1,)))  # the last epoch is a part of one
    assert evaluations_of(phase, EXAMPLES, every) == len(evaluated)
