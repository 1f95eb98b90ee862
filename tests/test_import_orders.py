"""The package selects no Keras: every order of imports works, and the process keeps its own choice."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("dlth_tf", "tensorflow", "keras", "tf_keras")
LEGACY = ("1", "0", None)  # TF_USE_LEGACY_KERAS
NIGHTLY = pytest.mark.faults

CODE = """
import os, sys

order, touch, legacy = {order!r}, {touch!r}, {legacy!r}


def state():
    tensorflow = sys.modules.get("tensorflow")
    return dict(os.environ), sys.modules.get("tensorflow.keras"), tensorflow and id(vars(tensorflow)["keras"])


for name in order:
    if name == "dlth_tf" and touch and "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.Model
    before = state()
    __import__(name)
    if name == "dlth_tf":
        assert state() == before, "import dlth_tf changed the process"

import dlth_tf as dlth, numpy as np, tensorflow as tf, tf_keras, keras
from dlth_tf.masking import prunable_weights

x, y = np.ones((16, 4), "float32"), np.zeros((16, 2), "float32")
before = state()
model = dlth.wrap(tf_keras.Sequential([tf_keras.layers.Dense(6, input_shape=(4,)), tf_keras.layers.Dense(2)]))
model.compile(dlth.optimizers.SGD(0.1), "mse")
model.fit(x, y, verbose=0, callbacks=[dlth.callbacks.RandomMask(0.5, remove=True)])
kept = [int(entry.kept().sum()) for entry in prunable_weights(model).values()]
assert kept == [12, 12], kept
assert state() == before, "using the package changed the process"

theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
theirs.compile("sgd", "mse")
theirs.fit(x, y, verbose=0)
theirs.fit(x, y, verbose=0, callbacks=[dlth.callbacks.RandomMask(0.5, dense_layers="none", remove=True)])
kept = [int(entry.kept().sum()) for entry in prunable_weights(theirs).values()]
assert kept == [4], kept
assert state() == before, "using the package on Keras 3 changed the process"

chosen = "tf_keras" if legacy == "1" else "keras"
assert tf.keras.Model.__module__.split(".")[0] == chosen, tf.keras.Model.__module__
print("fine")
"""


def run(order: tuple[str, ...], touch: bool, legacy: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    environment |= {} if legacy is None else {"TF_USE_LEGACY_KERAS": legacy}
    code = CODE.format(order=order, touch=touch, legacy=legacy).replace("dlth.masking.prunable", "prunable")
    code = code.replace(
        "import dlth_tf as dlth,", "from dlth_tf.masking import prunable_weights\nimport dlth_tf as dlth,"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.stdout.endswith("fine\n"), done.stdout[-500:] + done.stderr[-2000:]


@pytest.mark.fast_cases("first")
@pytest.mark.parametrize(
    ("order", "touch", "legacy"),
    [
        (("dlth_tf", "tensorflow", "keras", "tf_keras"), False, None),
        (("tensorflow", "keras", "dlth_tf", "tf_keras"), True, "0"),
    ],
    ids=["first", "tf.keras is Keras 3 before"],
)
def test_an_order_of_imports_works_and_selects_nothing(order, touch, legacy):
    run(order, touch, legacy)


def every_order() -> list[Any]:
    """Returns every order with every setting: each order once, and each setting equally often, in the slow tests."""
    return [
        pytest.param(order, legacy, marks=pytest.mark.slow if (number + number // 6 + turn) % 3 == 0 else NIGHTLY)
        for number, order in enumerate(itertools.permutations(MODULES))
        for turn, legacy in enumerate(LEGACY)
    ]


@pytest.mark.slow_cases(
    "('dlth_tf', 'tensorflow', 'keras', 'tf_keras')-1",
    "('dlth_tf', 'keras', 'tf_keras', 'tensorflow')-1",
    "('tensorflow', 'dlth_tf', 'tf_keras', 'keras')-0",
    "('tensorflow', 'keras', 'tf_keras', 'dlth_tf')-None",
    "('keras', 'dlth_tf', 'tensorflow', 'tf_keras')-0",
)
@pytest.mark.parametrize(("order", "legacy"), every_order(), ids=str)
def test_every_order_of_imports_works_and_selects_nothing(order, legacy):
    """`tf.keras` is used before `import dlth_tf` in every second order."""
    run(order, order.index("tensorflow") < order.index("dlth_tf") and order.index("keras") % 2 == 0, legacy)


@pytest.mark.faults_cases("train-0", "train-1", "sweep-0", "sweep-1")
@pytest.mark.parametrize(
    ("command", "legacy"),
    [
        *[pytest.param(*case, marks=pytest.mark.slow) for case in (("train", "1"), ("train", "0"), ("sweep", None))],
        *[pytest.param(*case, marks=NIGHTLY) for case in (("train", None), ("sweep", "1"), ("sweep", "0"))],
    ],
)
def test_commands_work_in_every_setting(command, legacy, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    environment |= {"KERAS_BACKEND": "jax"} | ({} if legacy is None else {"TF_USE_LEGACY_KERAS": legacy})
    flags = ["--dataset=digits", "--model=lenet_300_100", "--epochs=1", "--batch_size=64"]
    chosen = {
        "train": [
            "--method=scratch",
            "--sparsity=.9",
            "--augment=randaugment",
            f"--run_dir={tmp_path}/run",
            "--tensorboard",
        ],
        "sweep": ["--methods=scratch", "--sparsities=.9", "--seeds=0", f"--sweep_dir={tmp_path}/sweep"],
    }
    code = [sys.executable, "-m", f"dlth_tf.{command}", *flags, *chosen[command]]
    done = subprocess.run(code, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    assert list(tmp_path.glob("**/result.json"))


@pytest.mark.parametrize("thing", [None, object(), "model"], ids=["None", "object", "text"])
def test_a_thing_that_is_no_model_is_refused_in_one_sentence(thing):
    import dlth_tf as dlth

    with pytest.raises(dlth.BadInput, match=r"is not a Keras model: build it with keras"):
        dlth.wrap(thing)
