"""A method is refused for no flag that its phases do not read, and for every one that they do."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest

from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS, Phase
from dlth_tf.runs import network as network_module
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.config_checks import READ_BY_SOME
from dlth_tf.runs.devices.strategies import check_batches
from dlth_tf.runs.plan import make_phases, make_recipe
from dlth_tf.runs.recipe import ConfiguredRecipe, lay_out
from tests.methods.tiny_network import slow
from tests.runs.tiny import tiny, train

EXAMPLES = 1097
NAN = math.nan
INVALID = {  # flag -> values that no method can use
    "ticket_pick": ("best", None),
    "penalty_schedule": ("x^4", 2),
    "penalty_step": (0, -1e-4, NAN, "much", 1e-12, 1e39),
    "penalty_every": (0, -5, 1.5, "often"),
    "penalty_limit": (0, math.inf, NAN),
    "hold_steps": (-1, "long", 2.5),
    "transform_epochs": (0, -1, "soon", 2.5),
    "transform_lr": (0, -1, NAN, math.inf, "fast"),
    "transform_batch_size": (0, -64, 64.0, "all"),
    "cycles": (0, -1, 2.0, "many"),
    "round_epochs": (0, "short", 1.5),
    "rewind_step": (-1, "early", 0.5),
}
PRUNING = {  # flag -> the same, for the flags that a method without tickets does not read
    "sparsity": (1.0, -0.1, 98, NAN, "abc"),
    "allocation": ("even", "{", '{"*": 2}'),
    "granularity": ("row", "4:2", "block:0x1"),
}
PENALTY = {"penalty_schedule", "penalty_step", "penalty_every", "penalty_limit", "hold_steps"}
PENALTY |= {"transform_epochs", "transform_batch_size"}
READ = {  # method -> flags of INVALID that it reads; methods that are not named here read none
    "scratch": {"ticket_pick"},
    "set": {"ticket_pick"},
    "rigl": {"ticket_pick"},
    "lth_long": PENALTY,
    "scratch_long": {"ticket_pick", *PENALTY},
    "rst": {"ticket_pick", "transform_lr", *PENALTY},
    "rst_iter": {"ticket_pick", "transform_lr", "cycles", *PENALTY},
    "lth_iter": {"cycles", "round_epochs", "rewind_step"},
    "l1_iter": {"cycles", "round_epochs"},
}
CASES = [(method, flag) for method in METHODS.names() for flag in INVALID]


def config(method: str, **changes: object) -> RunConfig:
    shared = {"dataset": "digits", "model": "lenet_300_100", "sparsity": 0.9, "epochs": 2, "hold_steps": 3}
    return RunConfig(**{**shared, "method": method, "penalty_step": 0.2, "penalty_every": 1, **changes})


def phases(config: RunConfig) -> list[tuple[object, ...]]:
    return [row(phase) for phase in make_phases(config.method, make_recipe(config, EXAMPLES))]


def row(phase: Phase) -> tuple[object, ...]:
    return phase.name, phase.steps, phase.batch_size, phase.learning_rate, phase.first_step


def test_every_flag_that_only_some_methods_read_is_tried_here():
    assert set(INVALID) == set(READ_BY_SOME) and set(READ) <= set(METHODS.names())


@pytest.mark.parametrize(("method", "flag"), CASES)
def test_a_value_that_nothing_can_use_is_refused_where_it_is_read_and_nowhere_else(method, flag):
    plain = phases(config(method))
    for value in INVALID[flag]:
        if flag in READ.get(method, ()):
            with pytest.raises(BadInput) as refused:
                config(method, **{flag: value})
            assert refused.value.thing == flag and "\n" not in str(refused.value)
        else:
            accepted = config(method, **{flag: value})
            assert phases(accepted) == plain
            again = RunConfig(**json.loads(json.dumps(accepted.to_json(), allow_nan=False)))
            assert again.to_json() == accepted.to_json() and again.differences(accepted.to_json()) == []


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("flag", PRUNING)
def test_a_pruning_choice_that_nothing_can_use_is_refused_where_something_is_pruned(method, flag):
    for value in PRUNING[flag]:
        if METHODS.load(method).needs_sparsity:
            with pytest.raises(BadInput):
                config(method, **{flag: value})
        else:
            assert phases(config(method, **{flag: value})) == phases(config(method))


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"transform_batch_size": 1098}, "transform_batch_size"),
        ({"transform_batch_size": 10**9, "hold_steps": "2ep"}, "transform_batch_size"),
        ({"rewind_step": 16}, "rewind_step"),
        ({"rewind_step": "1ep", "round_epochs": "8it"}, "rewind_step"),
    ],
)
def test_a_flag_that_does_not_fit_the_data_is_refused_where_it_is_read_and_nowhere_else(method, changes, flag):
    mine = config(method, **changes)
    if flag in READ.get(method, ()):
        with pytest.raises(BadInput) as refused:
            make_recipe(mine, EXAMPLES)
        assert refused.value.thing == flag
    elif "round_epochs" not in READ.get(method, ()):
        assert phases(mine) == phases(config(method))
    else:
        assert make_recipe(mine, EXAMPLES)


@pytest.mark.parametrize("method", METHODS.names())
def test_only_the_batches_of_its_own_phases_must_be_divided_among_the_replicas(method):
    changes = {"transform_batch_size": 33, "strategy": "mirrored"}
    transforms = "transform_lr" in READ.get(method, ())
    if transforms:
        with pytest.raises(BadInput, match=r"^transform_batch_size=33: must be a multiple of the 2 replicas$"):
            config(method, **changes, num_replicas=2)
        with pytest.raises(BadInput, match=r"^transform_batch_size=33: must be a multiple of the 2 replicas$"):
            check_batches(config(method, **changes), 2)
    else:
        check_batches(config(method, **changes, num_replicas=2), 2)
    with pytest.raises(BadInput, match=r"^batch_size=31: must be a multiple of the 2 replicas$"):
        config(method, batch_size=31, strategy="mirrored", num_replicas=2)


def test_what_a_method_reads_depends_on_its_other_flags():
    assert config("rst_iter", round_epochs=0)
    with pytest.raises(BadInput, match=r"^round_epochs=0: must be a positive"):
        config("rst_iter", round_epochs=0, finetune_between_cycles=True)
    assert config("l1_iter", round_epochs=0, cycles=1)
    assert config("scratch", lr=0, lr_values="1,.1,.01")
    with pytest.raises(BadInput, match=r"^lr=0: must be a finite number above 0"):
        config("scratch", lr=0)


def test_a_value_that_is_not_read_keeps_its_single_form_if_it_has_one():
    assert config("scratch", hold_steps=500) == config("scratch", hold_steps="500 it")
    assert config("scratch", hold_steps="long").hold_steps == "long"
    assert config("dense", sparsity=0.5).sparsity == 0.0


class Recording(ConfiguredRecipe):
    """A recipe that notes the flags that are read while the run is under way."""

    reads: Counter[str]

    def __getattribute__(self, name):
        if name in READ_BY_SOME or name == "penalty":
            object.__getattribute__(self, "reads")[name] += 1
        return super().__getattribute__(name)


@pytest.mark.fast_cases("scratch")
@pytest.mark.slow_cases("rst", "lth_iter", "l1", "small_dense", "early_bird", "snip", "rigl")
@pytest.mark.parametrize(
    "method",
    [name if name in ("scratch", "rst_iter", "lth_iter") else slow(name) for name in METHODS.names()],
)
def test_a_run_reads_nothing_that_was_not_checked_before_it_began(method, tmp_path, monkeypatch):
    recipes = []

    def recorded(config, examples):
        recipe = Recording(config, examples)
        vars(recipe)["reads"] = Counter()
        lay_out(config.method, recipe)
        recipes.append((recipe, set(recipe.reads)))
        return recipe

    monkeypatch.setattr(network_module, "make_recipe", recorded)
    train(tiny(method, tmp_path / "run", rewind_step=3))
    ((recipe, before),) = recipes
    assert set(recipe.reads) == before


@pytest.mark.slow
def test_a_run_is_the_same_whatever_flags_say_that_it_does_not_read(tmp_path, tiny_runs):
    nonsense = {flag: values[-1] for flag, values in INVALID.items() if flag not in READ["scratch"]}
    done = train(
        tiny("scratch", tmp_path / "scratch", **{**nonsense, "transform_lr": NAN, "transform_batch_size": 5000})
    )
    assert done.result["weights_sha256"] == tiny_runs["scratch"].result["weights_sha256"]
    choice = {"sparsity": 7, "allocation": "even", "granularity": "row", "dense_layers": "no such layer"}
    nonsense = {flag: values[-1] for flag, values in INVALID.items()}
    done = train(tiny("dense", tmp_path / "dense", **choice, **nonsense))
    assert done.result["weights_sha256"] == tiny_runs["dense"].result["weights_sha256"]
    assert done.result["sparsity"] == tiny_runs["dense"].result["sparsity"]
    assert done.result["parameters"] == tiny_runs["dense"].result["parameters"]
