"""Measures the speed-up of sparse networks at inference over the same networks dense in the same runtime.

    python benchmarks/inference.py [--rounds=15] [--only=vgg16] [--quick]

Every case runs in a fresh process on one thread. In every round the dense and the sparse network run one burst each, in
turn. A speed-up is computed within its round, so other load on the machine affects both alike. The table shows the
median over rounds with the smallest and the largest, and the median in CPU time. Weights are random, and batch norms
and biases are as after training (none is 0), so removed filters leave constants behind, of which `compact` keeps one
channel where it must. The outputs of both networks are compared with the Keras model first.

    compact       filters removed, in TensorFlow (the signature of a SavedModel) and in TensorFlow Lite, compared with
                  the dense network written by the same exporter: the effect of the removal
    with plain    the same compared with the dense network as a plain SavedModel: the gain for a user who has saved
                  plain SavedModels so far
    random        zeros anywhere in fully connected layers, TensorFlow Lite
    1x4 blocks    zeros in blocks of four inputs (granularity block:4x1), TensorFlow Lite
    unstructured  zeros anywhere in convolutions: no gain is expected, and no loss is acceptable
    packed        the packed SavedModel compared with the plain one: latency, load time, and bytes relative to the
                  size bound
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dlth_tf as dlth
from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras
from absl import app, flags

from dlth_tf.deploy.compaction import compact
from dlth_tf.deploy.report.size_bound import size_of
from dlth_tf.deploy.savedmodel.constant_weights import save_constant
from dlth_tf.deploy.savedmodel.packed import save_packed
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.serving import Serving
from dlth_tf.deploy.tflite.convert import write_tflite
from dlth_tf.masking import named_weights
from dlth_tf.models import build
from dlth_tf.randomness import generator

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bursts import burst, repetitions

warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 15, "Bursts per network and case.", lower_bound=3)
flags.DEFINE_string("only", "", "Run only the cases whose names contain this text.")
flags.DEFINE_bool("quick", False, "Run three rounds of narrow networks, one case of each kind.")

Run = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
      kind: Kind of comparison, one of those in this file's docstring.
      network: Name of a network in `dlth_tf.models`, or "mlp_1024" for three layers of 1024 x 1024.
      sparsity: Fraction of the weights that is removed.
      runtime: "TensorFlow" or "TFLite".
      batch: Images per call.
      aim: Targeted speed-up.
    """

    kind: str
    network: str
    sparsity: float
    runtime: str
    batch: int
    aim: float

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.network}, {self.sparsity:.0%}, {self.runtime} b{self.batch}"


CASES = [
    *(Case("compact", "vgg16", sparsity, "TensorFlow", 1, aim) for sparsity, aim in ((0.5, 3.5), (0.7, 6.5))),
    *(Case("compact", "resnet56", sparsity, "TensorFlow", 1, aim) for sparsity, aim in ((0.5, 1.15), (0.9, 1.3))),
    *(Case("compact", "resnet56", sparsity, "TensorFlow", 64, aim) for sparsity, aim in ((0.5, 1.35), (0.9, 1.8))),
    *(Case("with plain", "vgg16", sparsity, "TensorFlow", 1, aim) for sparsity, aim in ((0.5, 3.5), (0.7, 6.5))),
    *(Case("with plain", "resnet56", sparsity, "TensorFlow", 1, aim) for sparsity, aim in ((0.5, 1.15), (0.9, 1.3))),
    *(Case("with plain", "resnet56", sparsity, "TensorFlow", 64, aim) for sparsity, aim in ((0.5, 1.35), (0.9, 1.8))),
    *(Case("compact", "resnet56", sparsity, "TFLite", 1, aim) for sparsity, aim in ((0.5, 1.4), (0.9, 2.05))),
    *(
        Case(kind, network, sparsity, "TFLite", 1, aim)
        for network in ("lenet_300_100", "mlp_1024")
        for kind, aims in (("random", (1.4, 2.5, 4.5)), ("1x4 blocks", (3.5, 5.5, 9.0)))
        for sparsity, aim in zip((0.9, 0.95, 0.98), aims, strict=True)
    ),
    *(Case("unstructured", "resnet20", 0.9, runtime, 1, 1.0) for runtime in ("TensorFlow", "TFLite")),
    *(
        Case("packed", network, sparsity, "TensorFlow", 1, 1.0)
        for network in ("lenet_300_100", "resnet56")
        for sparsity in (0.9, 0.95)
    ),
]


def as_compact(model: tf_keras.Model, folder: Path, serving: Serving) -> None:
    """Writes the SavedModel like the form `compact`."""
    save_constant(model, folder, serving, "compact")


QUICK = (
    "compact, vgg16, 50%",
    "compact, resnet56, 90%, TFLite",
    "1x4 blocks, mlp_1024, 95%",
    "packed, lenet_300_100, 90%",
)
GRANULARITY = {"compact": "filter", "with plain": "filter", "1x4 blocks": "block:4x1"}


SAVED = {  # kind -> writers of the dense and of the sparse network
    "compact": (as_compact, as_compact),
    "with plain": (save_plain, as_compact),
    "packed": (save_plain, save_packed),
}


def mlp_1024(width: float) -> tf_keras.Model:
    """Builds three layers of 1024 x 1024."""
    units = round(1024 * width)
    x = inputs = tf_keras.Input((units,))
    for name in ("fc1", "fc2"):
        x = tf_keras.layers.Dense(units, "relu", name=name)(x)
    return tf_keras.Model(inputs, tf_keras.layers.Dense(units, name="fc3")(x))


def network(case: Case, width: float) -> tf_keras.Model:
    """Builds the network; weights depend on their names alone, batch norms and biases are as after training."""
    image_shape = (28, 28, 1) if case.network.startswith("lenet") else (32, 32, 3)
    arguments = {} if width == 1 else {"width": width}
    model = mlp_1024(width) if case.network == "mlp_1024" else build(case.network, image_shape, 10, 0, arguments)
    for layer in model.layers:
        random = generator(0, "benchmark", layer.name)
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            shape = (2, layer.gamma.shape[0])
            gamma, variance = random.uniform(size=shape)
            beta, mean = random.normal(size=shape)
            layer.set_weights([0.5 + gamma, 0.3 * beta, 0.3 * mean, 0.5 + variance])
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(0.1 * random.normal(size=layer.bias.shape))
    return model


def pruned(case: Case, width: float) -> tf_keras.Model:
    """Builds the network with a random ticket of the case's granularity; published networks keep a dense last layer."""
    wrapped = dlth.wrap(network(case, width))
    dense_layers = "none" if case.network == "mlp_1024" else "last"
    granularity = GRANULARITY.get(case.kind, "weight")
    ticket = dlth.random_ticket(wrapped, case.sparsity, granularity=granularity, dense_layers=dense_layers)
    dlth.apply_ticket(wrapped, ticket, remove=True)
    return dlth.strip(wrapped)


def in_tensorflow(
    model: tf_keras.Model, folder: Path, images: np.ndarray, save: Callable[..., object] = save_plain
) -> Run:
    """Writes a SavedModel to `folder` and returns a call of its signature on the images."""
    save(model, folder, Serving())
    return _loaded(folder, images)


def _loaded(folder: Path, images: np.ndarray) -> Run:
    loaded, tensor = tf.saved_model.load(os.fspath(folder)), tf.constant(images)
    return lambda: loaded.signatures["serving_default"](images=tensor)["logits"].numpy()


def in_tflite(model: tf_keras.Model, folder: Path, images: np.ndarray) -> Run:
    """Writes LiteRT files to `folder` and returns a call of the float32 file on one image."""
    write_tflite(model, folder, serving=Serving())
    (folder / "float16.tflite").unlink()
    interpreter = tf.lite.Interpreter(model_path=os.fspath(folder / "float32.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    logits = interpreter.get_signature_runner().get_output_details()["logits"]["index"]

    def run() -> np.ndarray:
        interpreter.invoke()
        return interpreter.get_tensor(logits)

    return run


def runs(case: Case, width: float, folder: Path) -> tuple[Run, Run, str]:
    """Returns the dense and the sparse network as calls, and a remark."""
    sparse = pruned(case, width)
    images = generator(0, "benchmark images").random((case.batch, *sparse.input_shape[1:]), np.float32)
    dense = sparse if case.kind == "packed" else network(case, width)
    small = compact(sparse) if GRANULARITY.get(case.kind) == "filter" else sparse
    if case.runtime == "TFLite":
        first = in_tflite(dense, folder / "first", images)
        second = in_tflite(small, folder / "second", images)
    else:
        before, after = SAVED.get(case.kind, (save_plain, save_plain))
        first = in_tensorflow(dense, folder / "first", images, before)
        second = in_tensorflow(small, folder / "second", images, after)
    expected = sparse(images, training=False).numpy()
    difference = np.abs(second() - expected).max()
    if difference > 1e-4 * np.abs(expected).max():
        raise RuntimeError(f"{case.name}: the outputs differ from the Keras model's by {difference:g}")
    return first, second, remark(case, sparse, folder, images)


def remark(case: Case, sparse: tf_keras.Model, folder: Path, images: np.ndarray) -> str:
    """Compares the bytes on disk with the other network's; for `packed`, with the bound, and measures the load time."""
    first, second = (
        sum(file.stat().st_size for file in (folder / name).rglob("*") if file.is_file())
        for name in ("first", "second")
    )
    if case.kind != "packed":
        return f"{second / first:.2f} of the bytes"
    bound = size_of({name: weight.numpy() for name, weight in named_weights(sparse).items()}, None).bound
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        _loaded(folder / "second", images)()
        seconds.append(time.perf_counter() - start)
    return f"{second:,} bytes, {second / bound:.2f} of the bound; loading and first call {np.median(seconds):.2f} s"


def measure(case: Case, rounds: int, width: float) -> dict[str, object]:
    """Runs one case in this process and returns a line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        first, second, note = runs(case, width, Path(folder))
        bursts = [repetitions(run) for run in (first, second)]
        rows = []
        for number in range(rounds):
            order = (0, 1) if number % 2 else (1, 0)
            times = {place: burst((first, second)[place], bursts[place]) for place in order}
            rows.append([*times[0], *times[1]])
    wall, cpu, wall_after, cpu_after = np.array(rows).T
    speed = wall / wall_after
    return {
        "case": case.name,
        "ms before": f"{np.median(wall):.3f}",
        "ms after": f"{np.median(wall_after):.3f}",
        "speed-up": f"{np.median(speed):.2f} ({speed.min():.2f} to {speed.max():.2f})",
        "in CPU time": f"{np.median(cpu / cpu_after):.2f}",
        "aim": case.aim,
        "remark": note,
    }


def main(_: list[str]) -> None:
    """Measures the cases and prints one table."""
    rounds, width = (3, 0.25) if FLAGS.quick else (FLAGS.rounds, 1.0)
    cases = [case for case in CASES if FLAGS.only in case.name and (not FLAGS.quick or case.name.startswith(QUICK))]
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as fresh:
        rows = [fresh.submit(measure, case, rounds, width).result() for case in cases]
    print(
        f"\none thread, {rounds} rounds; median (smallest to largest)\n{pd.DataFrame(rows).to_string(index=False)}",
        flush=True,
    )


if __name__ == "__main__":
    app.run(main)
