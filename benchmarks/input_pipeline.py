"""Does the input pipeline keep up with the training step, on one core and on two?

    python benchmarks/input_pipeline.py [--rounds=7] [--models=lenet5,resnet8,resnet20] [--augments=none,crop_flip]
    [--quick]

Three tables:

    Images/s of every pipeline and augmentation, and their ratio to the rate at which a training step of each network
    consumes images, by processor time: at 9.0, a tenth of a training's work on these cores goes to the images.
    crop_flip for the whole batch at once, and the same recipe for one image after the other with tf.image.
    Peak memory of loading and reading, in addition to the uint8 images themselves.

Every number of cores is measured in a separate process that may use no other cores. In every round each pipeline runs
one burst, in turn, and a ratio is computed within its round; the table shows medians, followed by the 10th and 90th
percentile. Ratios are of processor time, which other programs on the machine affect less than wall time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 7, "Bursts per pipeline.", lower_bound=2)
flags.DEFINE_list("models", ["lenet5", "resnet8", "resnet20"], "Networks whose training step is compared.")
flags.DEFINE_list("augments", None, "Augmentations of images in memory, in addition to crop_flip; default: all kinds.")
flags.DEFINE_bool("quick", False, "Little data and short bursts: a check that it works, not a measurement.")
flags.DEFINE_integer("child", None, "(internal) Measure in this process, on this number of cores.")
flags.DEFINE_bool("memory", False, "(internal) Measure the memory of this process.")

BATCH = 128
LARGE_BATCH = 32
CLASSES = 10
LARGE = "resnet18"  # the network of the recipe for large pictures
IN_MEMORY = (
    "none",
    "crop_flip",
    "crop_flip+cutout",
    "crop_flip+cutmix",
    "crop_flip+mixup",
    "resized_crop",
    "crop_flip+randaugment",
)
ON_DISK = ("none", "resized_crop")
PICTURE = (375, 500, 3)  # shape of a stored JPEG, about ImageNet's average


def cifar_like(count: int) -> Any:
    """Returns a split of random 32 x 32 images in memory that TensorFlow can share."""
    from dlth_tf.data import Split
    from dlth_tf.data.host_memory import aligned

    drawn = np.random.default_rng(0)
    images = aligned((count, 32, 32, 3))
    for start in range(0, count, 1000):
        images[start : start + 1000] = drawn.integers(0, 256, images[start : start + 1000].shape, dtype=np.uint8)
    return Split(images, np.arange(count, dtype=np.int64) % CLASSES)


def pictures(count: int, folder: str) -> Any:
    """Returns a split on disk of JPEG files of ImageNet's size, decoded to 224 x 224."""
    import tensorflow as tf

    from dlth_tf.data import DiskSplit
    from dlth_tf.data.disk_split import ImageFiles

    paths = [f"{folder}/{number}.jpg" for number in range(count)]
    drawn = np.random.default_rng(0)
    for path in paths:
        rough = tf.constant(drawn.integers(0, 256, (24, 32, 3)), tf.float32)
        # Enlarged, it is about as compressible as a photograph.
        picture = tf.cast(tf.image.resize(rough, PICTURE[:2], "bicubic"), tf.uint8)
        Path(path).write_bytes(tf.io.encode_jpeg(picture, quality=90).numpy())
    return DiskSplit(ImageFiles(paths), np.arange(count), np.arange(count) % CLASSES, (224, 224, 3))


def batches(split: Any, augment: str, batch_size: int) -> Iterator[Any]:
    """Returns endless batches, as a run reads them."""
    from dlth_tf.data import BatchFormat, BatchOrder, Normalization, train_batches

    scale = Normalization(1 / 255, (0.5,) * 3, (0.25,) * 3)
    form = BatchFormat(scale, augment, num_classes=CLASSES)
    return iter(train_batches(split, BatchOrder(batch_size, 0, "bench"), form))


def per_image(split: Any) -> Iterator[Any]:
    """Returns `crop_flip` as commonly written: image after image with tf.image, then batched and scaled alike."""
    import tensorflow as tf

    def augment(image: Any) -> Any:
        padded = tf.image.resize_with_crop_or_pad(image, 40, 40)
        cut = tf.image.random_flip_left_right(tf.image.random_crop(padded, [32, 32, 3]))
        return (tf.cast(cut, tf.float32) / 255 - 0.5) / 0.25

    images = tf.constant(split.images)
    numbers = tf.data.Dataset.range(len(split)).shuffle(len(split)).repeat()
    augmented = numbers.map(lambda number: augment(images[number]), num_parallel_calls=tf.data.AUTOTUNE)
    return iter(augmented.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def reader(iterator: Iterator[Any], batch_size: int, seconds: float) -> Callable[[], tuple[float, float]]:
    """Returns a burst: it takes batches for some time and returns images per second, of wall and of processor time."""

    def take(until: float) -> int:
        number = 0
        while time.perf_counter() < until:
            next(iterator)
            number += 1
        return number

    def burst() -> tuple[float, float]:
        take(time.perf_counter() + seconds / 4)  # batches that wait in buffers are not counted
        wall = time.perf_counter()
        cpu = time.process_time()
        images = take(wall + seconds) * batch_size
        return images / (time.perf_counter() - wall), images / (time.process_time() - cpu)

    return burst


def trainer(name: str, steps: int, side: int = 32, batch_size: int = BATCH) -> Callable[[], tuple[float, float]]:
    """Returns a burst: `steps` training steps on images in memory; images per second, of wall and of processor time."""
    import tensorflow as tf
    import tf_keras

    import dlth_tf as dlth
    from dlth_tf.models import build

    model = build(name, (side, side, 3), CLASSES, seed=0)
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(dlth.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4), loss)
    images = np.zeros((batch_size, side, side, 3), np.float32)
    labels = np.zeros(batch_size, np.int64)
    data = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()
    model.fit(data, epochs=1, steps_per_epoch=2, verbose=0)

    def burst() -> tuple[float, float]:
        wall = time.perf_counter()
        cpu = time.process_time()
        model.fit(data, epochs=1, steps_per_epoch=steps, verbose=0)
        images = steps * batch_size
        return images / (time.perf_counter() - wall), images / (time.process_time() - cpu)

    return burst


def measure(names: list[str], rounds: int, quick: bool) -> dict[str, list[tuple[float, float]]]:
    """Returns measured thing -> images per second in each round, of wall and of processor time."""
    split = cifar_like(1_000 if quick else 50_000)
    seconds = 0.05 if quick else 1.0
    with tempfile.TemporaryDirectory() as folder:
        disk = pictures(LARGE_BATCH if quick else 256, folder)
        bursts = {
            f"memory {text}": reader(batches(split, text, BATCH), BATCH, seconds)
            for text in dict.fromkeys(("crop_flip", *(FLAGS.augments or IN_MEMORY)))
        }
        bursts |= {f"disk {text}": reader(batches(disk, text, LARGE_BATCH), LARGE_BATCH, seconds) for text in ON_DISK}
        bursts["per image"] = reader(per_image(split), BATCH, seconds)
        bursts |= {f"train {name}": trainer(name, 2 if quick else 8) for name in names}
        if not quick:
            bursts[f"train {LARGE}"] = trainer(LARGE, 1, 224, LARGE_BATCH)
        for burst in bursts.values():
            burst()
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in bursts}
        for _ in range(rounds):
            for name, burst in bursts.items():
                rates[name].append(burst())
        return rates


def memory(count: int) -> dict[str, float]:
    """Returns the MB of the images, and by how many more MB this process grows at its peak."""
    import resource

    import tensorflow as tf

    from dlth_tf.data import pixel_statistics

    del tf, pixel_statistics
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    split = cifar_like(count)
    reader(batches(split, "crop_flip", BATCH), BATCH, 2.0)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images MB": split.images.nbytes / 2**20, "beyond MB": peak - before - split.images.nbytes / 2**20}


def in_child(cores: int, *, of_memory: bool) -> Any:
    """Returns the measurements of another process that may use `cores` cores."""
    options = [f"--child={cores}", f"--rounds={FLAGS.rounds}", f"--models={','.join(FLAGS.models)}"]
    options += [f"--augments={','.join(FLAGS.augments)}"] if FLAGS.augments else []
    options += ["--quick"] if FLAGS.quick else []
    options += ["--memory"] if of_memory else []
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True, env=environment, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def speed(rows: list[list[float]]) -> str:
    """Returns the median over the rounds, images per second of wall time."""
    return f"{np.median(np.array(rows)[:, 0]):,.0f}"


def ratio(rows: list[list[float]], others: list[list[float]]) -> str:
    """Returns median and 10th to 90th percentile of the ratios within each round, of processor time."""
    low, middle, high = np.quantile(np.array(rows)[:, 1] / np.array(others)[:, 1], [0.1, 0.5, 0.9])
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def tables(rates: dict[int, dict[str, list[list[float]]]], used: dict[str, float], names: list[str]) -> Iterator[Table]:
    """Yields the three tables."""
    large = [LARGE] if all(f"train {LARGE}" in rows for rows in rates.values()) else []
    steps = [f"times {name}'s step" for name in [*names, *large]]
    table = Table("pipeline", "cores", "images/s", *steps, title="Reading, to what training consumes")
    for text in [key for key in next(iter(rates.values())) if key.split()[0] in ("memory", "disk")]:
        for cores, rows in rates.items():
            # Large pictures are not compared with networks for small ones.
            ratios = [ratio(rows[text], rows[f"train {name}"]) if text.startswith("memory") else "-" for name in names]
            ratios += [ratio(rows[text], rows[f"train {name}"]) if text.startswith("disk") else "-" for name in large]
            table.add_row(text, str(cores), speed(rows[text]), *ratios)
    for name in [*names, *large]:
        for cores, rows in rates.items():
            table.add_row(
                f"training step of {name}", str(cores), speed(rows[f"train {name}"]), *["-"] * len([*names, *large])
            )
    yield table
    table = Table("cores", "images/s, whole batch", "images/s, per image", "ratio", title="crop_flip")
    for cores, rows in rates.items():
        speeds = (speed(rows[key]) for key in ("memory crop_flip", "per image"))
        table.add_row(str(cores), *speeds, ratio(rows["memory crop_flip"], rows["per image"]))
    yield table
    table = Table("uint8 images, MB", "peak beyond them, MB", title="Memory of a set in memory, read with crop_flip")
    table.add_row(f"{used['images MB']:.0f}", f"{used['beyond MB']:.0f}")
    yield table


def main(_: list[str]) -> None:
    """Measures and prints the tables."""
    if FLAGS.child is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: FLAGS.child])
        small = 1_000 if FLAGS.quick else 200_000
        print(json.dumps(memory(small) if FLAGS.memory else measure(FLAGS.models, FLAGS.rounds, FLAGS.quick)))
        return
    cores = [1] if FLAGS.quick else sorted({1, min(2, len(os.sched_getaffinity(0)))})
    rates = {number: in_child(number, of_memory=False) for number in cores}
    for table in tables(rates, in_child(cores[-1], of_memory=True), FLAGS.models):
        Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    app.run(main)
