"""Two real processes, started once: they prepare digits at the same time, then share the batches as two workers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.data.conftest import ROOT

pytestmark = pytest.mark.slow  # two processes that each load TensorFlow

WORKER = """
import json, pathlib, sys, time

index, data_dir = int(sys.argv[1]), pathlib.Path(sys.argv[2])
from dlth_tf import files
from dlth_tf.data import BatchFormat, BatchOrder, DiskSplit, evaluation_batches, load, train_batches
from dlth_tf.data.disk_split import ImageFiles
import tensorflow as tf
from tests.data.conftest import RAW, numbered

strategy = tf.distribute.MultiWorkerMirroredStrategy()
(data_dir / f"ready{index}").touch()
while not (data_dir / f"ready{1 - index}").exists():
    time.sleep(.001)
test = load("digits", str(data_dir)).test

def shares(dataset, policy=None):
    if policy:
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy[policy]
        dataset = dataset.with_options(options)
    batches = strategy.experimental_distribute_dataset(dataset)
    return [strategy.experimental_local_results(labels)[0].numpy().tolist() for _, labels in batches]

numbers = numbered(40).labels
paths = [str(data_dir / f"{number}.png") for number in numbers]
disk = DiskSplit(ImageFiles(paths), numbers, numbers, (1, 1, 1), one_size=True)
order = BatchOrder(8, 0, "x", steps=7)
form = BatchFormat(RAW)
on_disk = train_batches(disk, order, form)
train = train_batches(numbered(40), order, form)
print(json.dumps({
    "digits": files.arrays_sha256({"images": test.images, "labels": test.labels}),
    "train": shares(train),
    "train from disk": shares(on_disk),
    "evaluation from disk": shares(evaluation_batches(disk, form, 12)),
    "unshared": shares(train, "OFF"),
    "evaluation": shares(evaluation_batches(numbered(40), form, 12)),
    "alone": [labels.numpy().tolist() for _, labels in train],
}))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shared")
    for number in range(40):
        (path / f"{number}.png").write_bytes(tf.io.encode_png(np.full((1, 1, 1), number, np.uint8)).numpy())
    return path


@pytest.fixture(scope="module")
def workers(data_dir: Path) -> list[dict[str, Any]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in sockets]
    for server in sockets:
        server.close()
    started = []
    for index in range(2):
        config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        environment = {**os.environ, "TF_CONFIG": config, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-c", WORKER, str(index), str(data_dir)]
        started.append(
            subprocess.Popen(
                command, env=environment, cwd=data_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    try:
        outputs = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], outputs
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


def test_digits_prepared_twice_at_the_same_time_are_whole(workers: list[dict[str, Any]], data_dir: Path) -> None:
    assert workers[0]["digits"] == workers[1]["digits"]
    assert [path.name for path in (data_dir / "digits").iterdir() if path.is_dir()] == ["1.0.0"]


@pytest.mark.parametrize("kind", ["train", "train from disk"])
def test_two_workers_share_every_training_batch(workers: list[dict[str, Any]], kind: str) -> None:
    together = [[*first, *second] for first, second in zip(workers[0][kind], workers[1][kind], strict=True)]
    assert together == workers[0]["alone"]


def test_without_the_shard_policy_they_would_see_the_same_examples(workers: list[dict[str, Any]]) -> None:
    assert workers[0]["unshared"] == workers[1]["unshared"]


@pytest.mark.parametrize("kind", ["evaluation", "evaluation from disk"])
def test_two_workers_evaluate_every_example_once(workers: list[dict[str, Any]], kind: str) -> None:
    seen = [label for worker in workers for batch in worker[kind] for label in batch]
    assert sorted(seen) == np.arange(40).tolist()
