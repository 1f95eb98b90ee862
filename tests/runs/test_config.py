"""RunConfig: the defaults of the contract, one sentence for every refused value, and one form of equivalent values."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from dlth_tf.analysis.settings import WHERE_ONLY
from dlth_tf.commands import kind_of
from dlth_tf.errors import MOST_LETTERS, BadInput, shown
from dlth_tf.methods import METHODS
from dlth_tf.runs.config import RunConfig

RUN = {"method": "rst", "dataset": "digits", "model": "lenet_300_100", "sparsity": 0.98}
DEFAULTS = {
    "task": "classification",
    "label_column": None,
    "eval_examples": None,
    "evaluate_every": 1,
    "finetune": "masked",
    "data_dir": None,
    "model_args": "{}",
    "init_weights": None,
    "seed": 0,
    "allocation": "uniform",
    "granularity": "weight",
    "dense_layers": "auto",
    "ticket_pick": "random",
    "epochs": "200ep",
    "batch_size": 128,
    "lr": 0.1,
    "lr_values": "0.1,0.01,0.001",
    "lr_boundaries": None,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "penalty_schedule": "x",
    "penalty_step": 1e-4,
    "penalty_every": 5,
    "penalty_limit": 1.0,
    "hold_steps": "40000it",
    "transform_epochs": None,
    "transform_lr": 0.001,
    "transform_batch_size": 64,
    "cycles": 5,
    "round_epochs": None,
    "rewind_step": "0it",
    "delete_between_cycles": False,
    "finetune_between_cycles": False,
    "augment": None,
    "normalization": None,
    "precision": "float32",
    "jit_compile": False,
    "steps_per_execution": 20,
    "strategy": "auto",
    "num_replicas": None,
    "deterministic": False,
    "run_dir": "runs/digits-lenet_300_100-rst-0.98-s0",
    "resume": "auto",
    "checkpoint_every": "5min",
    "on_nan": "stop",
    "tensorboard": False,
    "verbosity": 1,
    "export_dir": None,
    "shared_dir": None,
    "scale_lr": False,
}
NAN, INFINITY = float("nan"), float("inf")
AT_LEAST_1 = "must be a whole number, at least 1"
REFUSED = [
    ("sparsity", 1.0, "must be above 0 and below 1"),
    ("sparsity", -0.1, "must be above 0 and below 1"),
    ("sparsity", 98, "must be above 0 and below 1"),
    ("sparsity", NAN, "must be a number"),
    ("sparsity", "abc", "must be a number"),
    ("penalty_step", 0, "must be a finite number above 0"),
    ("penalty_step", 0.0, "must be a finite number above 0"),
    ("penalty_step", -1e-4, "must be a finite number above 0"),
    ("penalty_step", NAN, "must be a finite number above 0"),
    ("penalty_step", 1e-12, "is too small"),
    ("penalty_limit", 0, "must be a finite number above 0"),
    ("penalty_limit", INFINITY, "must be a finite number above 0"),
    ("penalty_every", 0, AT_LEAST_1),
    ("transform_epochs", 0, "must be a positive whole number of epochs (160ep) or steps (500it)"),
    ("transform_epochs", "publishd", "must be a positive whole number of epochs (160ep) or steps (500it)"),
    ("penalty_schedule", "x^4", "must be one of x, x^2, x^3"),
    ("hold_steps", -1, "must be a whole number of epochs (160ep) or steps (500it)"),
    ("epochs", 0, "must be a positive whole number of epochs (160ep) or steps (500it)"),
    ("epochs", "0it", "must be a positive whole number"),
    ("epochs", "-3", "must be a positive whole number"),
    ("epochs", 1.5, "must be a positive whole number"),
    ("epochs", "many", "must be a positive whole number"),
    ("batch_size", 0, AT_LEAST_1),
    ("batch_size", 64.0, AT_LEAST_1),
    ("transform_batch_size", -64, AT_LEAST_1),
    ("steps_per_execution", 0, AT_LEAST_1),
    ("lr", 0, "must be a finite number above 0"),
    ("lr", -0.1, "must be a finite number above 0"),
    ("lr", NAN, "must be a finite number above 0"),
    ("transform_lr", INFINITY, "must be a finite number above 0"),
    ("lr_values", ".1,0", "must be numbers above 0, separated by commas"),
    ("lr_values", ".1,fast", "must be numbers above 0, separated by commas"),
    ("lr_boundaries", "50", "1 boundaries do not fit 3 learning rates: give 2"),
    ("lr_boundaries", "50,75,90", "3 boundaries do not fit 3 learning rates: give 2"),
    ("lr_boundaries", "later", "must be a positive whole number of epochs (160ep) or steps (500it)"),
    ("momentum", 1, "must be at least 0 and below 1"),
    ("momentum", -0.5, "must be at least 0 and below 1"),
    ("weight_decay", -1e-4, "must be a finite number, at least 0"),
    ("seed", -1, "must be a whole number, at least 0"),
    ("seed", 1.0, "must be a whole number, at least 0"),
    ("model_args", "{", 'must be a JSON object such as {"width": 2}'),
    ("model_args", "[1]", 'must be a JSON object such as {"width": 2}'),
    ("model_args", "[" * 100_000, 'must be a JSON object such as {"width": 2}'),
    ("allocation", "even", "must be one of uniform"),
    ("granularity", "row", "must be one of weight"),
    ("ticket_pick", "best", "must be one of random, magnitude, magnitude_min, magnitude_max"),
    ("augment", "cutmix+mixup", "exclude each other"),
    ("normalization", "cifar", "must be one of unit, standard"),
    ("checkpoint_every", "5h", "must be a number of steps (500it), epochs (1ep) or minutes (5min)"),
    ("checkpoint_every", "0it", "must be a number of steps"),
    ("on_nan", "ignore", "must be one of stop, rollback"),
    ("precision", "float16", "must be one of float32, float64, mixed_float16, mixed_bfloat16"),
    ("strategy", "cluster", "must be one of auto, one_device, mirrored, multi_worker, tpu"),
    ("num_replicas", 2, "requires --strategy=mirrored"),
    ("resume", "always", "must be one of auto, never"),
    ("verbosity", 3, "must be one of 0, 1, 2"),
]


def config(**changes) -> RunConfig:
    return RunConfig(**{**RUN, **changes})


def refusal(**changes) -> BadInput:
    with pytest.raises(BadInput) as refused:
        config(**changes)
    return refused.value


@pytest.mark.parametrize(
    ("method", "granularity", "allocation"),
    [(name, "weight", "global") for name in ("snip", "grasp", "synflow")]
    + [
        ("snip", "filter", "global"),
        ("snip", "2:4", "uniform"),
        ("rigl", "weight", "uniform"),
        ("lth", "2:4", "uniform"),
    ],
)
def test_the_default_allocation_is_the_methods_own(method, granularity, allocation):
    changes = {"method": method, "granularity": granularity, "sparsity": 0.5}
    assert config(**changes).allocation == allocation
    assert granularity == "2:4" or config(**changes, allocation="erk").allocation == "erk"


@pytest.mark.parametrize("method", ["gmp", "ste", "set", "rigl"])
def test_what_cannot_be_counted_beforehand_is_refused_where_masks_change_in_training(method):
    assert str(refusal(method=method, allocation="global")).startswith(
        f"allocation=global: cannot be combined with {method}, "
        "which needs the number of weights of each tensor beforehand: use uniform"
    )
    assert str(refusal(method=method, granularity="2:4", sparsity=0.5)) == (
        f"granularity=2:4: cannot be combined with {method}, whose masks change during training: "
        "use weight, filter, channel or a block"
    )
    assert config(method=method, granularity="filter", allocation="erk").allocation == "erk"


@pytest.mark.parametrize("sparsity", [0, 0.0, -0.0, "0", ".0", "1e-400"])
@pytest.mark.parametrize("method", [name for name in METHODS.names() if name != "dense"])
def test_a_sparsity_of_0_is_refused_by_every_method_but_dense(method, sparsity):
    assert str(refusal(method=method, sparsity=sparsity)) == (
        f"sparsity={sparsity}: must be above 0 and below 1 (the fraction of the weights that is removed): the method "
        "that removes nothing is dense"
    )
    assert config(method="dense", sparsity=sparsity).sparsity == 0.0


@pytest.mark.parametrize("allocation", [{"*": 0}, '{"fc1": 0.0, "fc2": 0}'])
def test_a_map_that_removes_nothing_is_refused_too(allocation):
    assert "must have a sparsity above 0: the method that removes nothing is dense" in str(
        refusal(method="lth", allocation=allocation)
    )
    assert config(method="lth", allocation='{"fc1": 0, "fc2": 0.5}').sparsity == RUN["sparsity"]


def test_a_sparsity_that_rounds_to_1_is_refused():
    assert "must be above 0 and below 1" in str(refusal(sparsity="." + 20 * "9"))


@pytest.mark.parametrize(("sparsity", "text"), [(0.9, "0.9"), (0.9800001, "0.9800001"), (0.9999999, "0.9999999")])
def test_the_default_directory_names_the_sparsity_exactly(sparsity, text):
    assert config(sparsity=sparsity).run_dir == f"runs/digits-lenet_300_100-rst-{text}-s0"


def test_only_methods_that_begin_with_a_trained_network_take_weights():
    for method in ("l1", "l1_iter", "rst", "rst_iter"):
        assert config(method=method, init_weights="weights.npz").init_weights == "weights.npz"
    assert str(refusal(method="lth", init_weights="weights.npz")) == (
        "init_weights=weights.npz: cannot be combined with lth, which starts from new weights; "
        "only rst, rst_iter, l1, l1_iter accept trained ones"
    )


def test_defaults_are_those_of_the_contract():
    assert config().to_json() == {**RUN, **DEFAULTS}


@pytest.mark.parametrize(
    ("flag", "value", "allowed"),
    [
        ("cycles", 0, AT_LEAST_1),
        ("round_epochs", 0, "must be a positive whole number of epochs"),
        ("rewind_step", -1, "must be a whole number of epochs"),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_method_that_reads_it(flag, value, allowed):
    assert allowed in str(refusal(method="lth_iter", **{flag: value}))


@pytest.mark.parametrize(("flag", "value", "allowed"), REFUSED, ids=lambda value: str(value)[:20])
def test_a_value_out_of_range_is_refused_in_one_sentence(flag, value, allowed):
    sentence = str(refusal(**{flag: value}))
    assert (
        sentence.startswith(f"{flag}={shown(str(value), MOST_LETTERS)}: ")
        and allowed in sentence
        and "\n" not in sentence
    )


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("sparsity", 1e-9),
        ("sparsity", 0.999999),
        ("epochs", "1it"),
        ("hold_steps", 0),
        ("momentum", 0),
        ("weight_decay", 0),
        ("penalty_step", 2.0),
        ("lr_values", "0.5"),
    ],
)
def test_the_ends_of_the_ranges_are_allowed(flag, value):
    assert config(**{flag: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "rts"}, "method=rts: no such method; did you mean rst or grasp?"),
        ({"model": "lenet_300"}, "model=lenet_300: no such model; did you mean lenet_300_100"),
        ({"model": "xyz"}, "model=xyz: no such model; available: "),
        ({"dataset": "a:b:c"}, "dataset=a:b:c: must have the form package.module:function"),
        ({"method": None}, "method=(missing): is required"),
        ({"dataset": ""}, "dataset=(missing): is required"),
        ({"model": None}, "model=(missing): is required"),
        ({"sparsity": None}, "sparsity=(missing): is required by rst"),
    ],
)
def test_names_are_checked_with_the_nearest_ones(changes, message):
    assert message in str(refusal(**changes))


def test_names_are_checked_before_values():
    bad = {"sparsity": 7, "epochs": 0, "lr": -1}
    assert refusal(**bad, method="rts", dataset="a:b:c", model="lenet").thing == "method"
    assert refusal(**bad, dataset="a:b:c", model="lenet").thing == "dataset"
    assert refusal(**bad, model="lenet").thing == "model"
    assert refusal(**bad).thing == "sparsity"


def test_dense_needs_no_sparsity_and_takes_none():
    assert config(method="dense", sparsity=None).sparsity == config(method="dense", sparsity=0.5).sparsity == 0.0
    assert config(method="dense").run_dir == "runs/digits-lenet_300_100-dense-0-s0"


def test_replicas_must_divide_the_batches():
    assert config(strategy="mirrored", num_replicas=2)
    assert str(refusal(strategy="mirrored", num_replicas=3)) == "batch_size=128: must be a multiple of the 3 replicas"
    assert refusal(strategy="mirrored", num_replicas=2, transform_batch_size=33).thing == "transform_batch_size"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"epochs": 3}, {"epochs": "3ep"}),
        ({"epochs": "3"}, {"epochs": "3 ep"}),
        ({"hold_steps": 500}, {"hold_steps": "500it"}),
        ({"lr": 0.5}, {"lr": 0.5, "lr_values": "0.5,.05,5e-3"}),
        ({"lr_boundaries": "100,150"}, {"lr_boundaries": [100, "150ep"]}),
        ({"model_args": '{"a": 1, "width": 2}'}, {"model_args": {"width": 2, "a": 1}}),
        ({"sparsity": ".98"}, {"sparsity": 0.98}),
    ],
)
def test_what_means_the_same_is_the_same_configuration(one, other):
    assert config(**one) == config(**other)
    assert config(**one) != config(**one, seed=1)


def test_epochs_and_steps_are_not_the_same():
    assert config(epochs="3ep") != config(epochs="3it")


def test_two_rates_need_one_boundary():
    assert "no boundaries do not fit 2 learning rates: give 1" in str(refusal(lr_values=".5,.1"))


def test_json_gives_the_same_configuration_back():
    mine = config(epochs=3, lr_boundaries=[1, "9it"], model_args={"width": 0.5}, jit_compile=True, run_dir="here")
    assert RunConfig(**json.loads(json.dumps(mine.to_json()))) == mine
    assert RunConfig(**{**mine.to_json(), "seed": 1}) != mine


def test_differences_are_of_what_comes_out_and_not_of_where():
    mine = config()
    where = {
        "data_dir": "d",
        "run_dir": "r",
        "resume": "never",
        "tensorboard": True,
        "verbosity": 0,
        "export_dir": "e",
        "shared_dir": "s",
    }
    elsewhere = dataclasses.replace(mine, **where, checkpoint_every="1ep", on_nan="rollback")
    assert set(WHERE_ONLY) == {*where, "checkpoint_every", "on_nan"}
    assert mine.differences(elsewhere.to_json()) == []
    assert mine.differences(config(seed=3, epochs=2).to_json()) == [
        "seed is 3 there and 0 here",
        "epochs is 2ep there and 200ep here",
    ]
    assert "method is None there and rst here" in mine.differences({})
    older = {name: value for name, value in mine.to_json().items() if name != "cycles"}
    assert mine.differences(older) == []
    assert config(cycles=3).differences(older) == ["cycles is 5 there and 3 here"]


def test_float64_weights_take_one_more_stair_as_in_the_official_code():
    assert config().penalty(1).steps == 89_996  # the published 10,000 growths of 5 steps, then 40,000
    assert config(precision="float64").penalty(1).steps == 90_001
    assert config(precision="mixed_bfloat16").weight_dtype == "float32"


def test_flags_are_checked_without_tensorflow():
    code = (
        "import sys, dlth_tf.train, dlth_tf.sweep, dlth_tf.export, dlth_tf.runs.config as config\n"
        "config.RunConfig(method='rst', sparsity=.5, dataset='digits', model='lenet5')\n"
        "print([name for name in ('tensorflow', 'tf_keras', 'tensorflow_datasets', 'pandas') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_kind_of_a_flag_is_read_off_the_annotation_of_its_field():
    kinds: dict[str, set[str]] = {}
    for item in dataclasses.fields(RunConfig):
        kinds.setdefault(kind_of(item), set()).add(item.name)
    assert kinds["list"] == {"lr_values", "lr_boundaries"}
    assert kinds["float"] == {
        *("sparsity", "lr", "momentum", "weight_decay", "penalty_step", "penalty_limit", "transform_lr")
    }
    assert kinds["int"] == {
        *("seed", "batch_size", "penalty_every", "transform_batch_size", "cycles"),
        *("steps_per_execution", "num_replicas", "verbosity", "eval_examples", "evaluate_every"),
    }
    assert kinds["bool"] == {
        *("delete_between_cycles", "finetune_between_cycles", "jit_compile", "scale_lr", "deterministic", "tensorboard")
    }
