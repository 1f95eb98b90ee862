"""Compares accuracy, bytes and speed of the networks of several sweeps.

    python benchmarks/accuracy_and_speed.py --sweeps=runs/deploy/filters,runs/deploy/small_dense,runs/deploy/weights

For every method and sparsity of the sweeps it exports the run of the first seed: as `packed` if single weights were
removed, and as `compact` if whole filters or nothing was removed. Accuracy is the mean over all seeds; bytes and times
are those of the exports. All exports are loaded into one process on one thread and run one burst each in every round,
in turn. A speed-up over the dense network is computed within its round, and the table shows medians with the smallest
and the largest. TFLite is the float32 file of the same run.

Prints the table. With --out=DIR it also writes the table, and a plot of accuracy against latency, to that directory.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from dlth_tf.tensorflow_start import start_tensorflow

start_tensorflow()

import matplotlib
import numpy as np
import pandas as pd
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure

from dlth_tf.analysis.plotting.figures import STYLE, WIDTH, png
from dlth_tf.analysis.results import read_results
from dlth_tf.export_options import ExportOptions
from dlth_tf.files import read_json_object
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.exporting.export_run import export_run

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bursts import burst, repetitions

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "sweeps", None, "Sweep directories to compare; one of them must contain the dense network.", required=True
)
flags.DEFINE_string("out", None, "Directory for table.csv and accuracy_vs_latency.png.")
flags.DEFINE_integer("rounds", 15, "Bursts of every export.", lower_bound=3)

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("*", "o", "s", "^", "D")
# Points from a marker to its label; random filters and the smallest ones are often neighbors.
LABEL_OFFSETS = ((6, 4), (6, -10), (-6, 4), (6, 4), (6, -3))
Run = Callable[[], object]


def candidates(sweep: str) -> pd.DataFrame:
    """Returns one row per method and sparsity: accuracy over seeds in percent, and the directory of the first seed."""
    results = read_results(sweep).sort_values("seed")
    results["accuracy"] = 100 * results["test_accuracy_last"]
    rows = results.groupby(["method", "sparsity"], sort=False, as_index=False).agg(
        accuracy=("accuracy", "mean"),
        deviation=("accuracy", "std"),
        seeds=("seed", "size"),
        run_dir=("run_dir", "first"),
    )
    rows["run_dir"] = [str(Path(sweep) / name) for name in rows["run_dir"]]
    configs = [RunDirectory(Path(folder)).config for folder in rows["run_dir"]]
    groups = [read_json_object(path, "sweeps")["config"]["granularity"] for path in configs]
    rows["what"], rows["form"] = zip(*map(described, rows["method"], groups), strict=True)
    return rows


def described(method: str, group: str) -> tuple[str, str]:
    """Returns a name for the runs of a method, and the form in which they are exported."""
    if method.endswith("dense"):
        return method, "compact"
    return f"{method}, {group}s", "packed" if group == "weight" else "compact"


def exported(row: pd.Series, folder: Path) -> dict[str, object]:
    """Exports a run and returns the bytes and multiply-adds of its forms."""
    options = ExportOptions((row["form"], "tflite"), measure_latency=False)
    forms = export_run(row["run_dir"], folder, options)["forms"]
    facts = forms[row["form"]]
    return {
        "bytes": facts["bytes"],
        "TFLite bytes": forms["tflite/float32"]["bytes"],
        "multiply-adds": facts["multiply_adds"],
    }


def in_tensorflow(folder: Path, batch: int) -> Run:
    """Loads a SavedModel and returns a call of it on random images."""
    loaded = tf.saved_model.load(os.fspath(folder))
    serve = loaded.signatures["serving_default"]
    spec = serve.structured_input_signature[1]["images"]
    images = tf.cast(tf.random.stateless_uniform([batch, *spec.shape[1:]], [0, 0], 0, 256, tf.int32), spec.dtype)
    return lambda _keep=loaded: serve(images=images)["logits"].numpy()


def in_tflite(file: Path) -> Run:
    """Loads a LiteRT model and returns a call of it on one image."""
    interpreter = tf.lite.Interpreter(model_path=os.fspath(file), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter.invoke


def times(runs: dict[int, Run], rounds: int) -> pd.DataFrame:
    """Measures milliseconds per call, with one row per round and one column per run."""
    counts = {key: repetitions(run) for key, run in runs.items()}
    return pd.DataFrame([{key: burst(run, counts[key])[0] for key, run in runs.items()} for _ in range(rounds)])


def add_times(table: pd.DataFrame, name: str, runs: dict[int, Run], rounds: int) -> None:
    """Adds median times, and speed-ups over the dense network with their spread."""
    measured = times(runs, rounds)
    (dense,) = table.index[table["method"] == "dense"]
    speed = measured[dense].to_numpy()[:, None] / measured
    table[f"{name}, ms"] = measured.median()
    table[f"{name}, speed-up"] = [
        f"{speed[key].median():.2f} ({speed[key].min():.2f} to {speed[key].max():.2f})" for key in table.index
    ]


def picture(table: pd.DataFrame, columns: tuple[str, ...]) -> bytes:
    """Plots accuracy against latency as a PNG, with one panel per column and one line per method."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.0 * len(columns)), layout="constrained")
        for axes, column in zip(np.atleast_1d(figure.subplots(len(columns), 1)), columns, strict=True):
            styles = zip(table.groupby("what", sort=False), COLORS, MARKERS, LABEL_OFFSETS, strict=False)
            for (what, rows), color, marker, offset in styles:
                axes.errorbar(
                    rows[column],
                    rows["accuracy"],
                    rows["deviation"],
                    color=color,
                    marker=marker,
                    capsize=2,
                    label=what,
                )
                for _, row in rows.iterrows():
                    axes.annotate(
                        "" if what.endswith("dense") else f"{100 * row['sparsity']:g} %",
                        (row[column], row["accuracy"]),
                        offset,
                        textcoords="offset points",
                        fontsize=7,
                        color=color,
                        horizontalalignment="left" if offset[0] > 0 else "right",
                    )
            axes.margins(y=0.12)  # room for the labels
            axes.set_xlim(0, 1.12 * table[column].max())
            axes.set_xlabel(f"{column.removesuffix(', ms')}: milliseconds per call")
            axes.set_ylabel("test accuracy, %")
            axes.grid(color="0.92")
        figure.axes[0].legend(fontsize=8, loc="lower left")
        return png(figure)


def main(_: list[str]) -> None:
    """Exports and measures all runs, then prints and writes the results."""
    table = pd.concat([candidates(sweep) for sweep in FLAGS.sweeps], ignore_index=True)
    with tempfile.TemporaryDirectory() as folder:
        places = {key: Path(folder, str(key)) for key in table.index}
        facts = pd.DataFrame({key: exported(table.loc[key], place) for key, place in places.items()}).T
        table = table.join(facts)
        for batch in (1, 64):
            add_times(
                table,
                f"TensorFlow, batch {batch}",
                {k: in_tensorflow(p / table.loc[k, "form"], batch) for k, p in places.items()},
                FLAGS.rounds,
            )
        add_times(
            table,
            "TFLite, batch 1",
            {key: in_tflite(place / "tflite/float32.tflite") for key, place in places.items()},
            FLAGS.rounds,
        )
    shown = table.drop(columns=["method", "run_dir"]).set_index(["what", "sparsity"])
    print(shown.round(3).to_string())
    if FLAGS.out:
        Path(FLAGS.out).mkdir(parents=True, exist_ok=True)
        shown.round(4).to_csv(Path(FLAGS.out, "table.csv"))
        panels = tuple(f"{name}, ms" for name in ("TensorFlow, batch 1", "TensorFlow, batch 64", "TFLite, batch 1"))
        Path(FLAGS.out, "accuracy_vs_latency.png").write_bytes(picture(table, panels))


if __name__ == "__main__":
    app.run(main)
