"""Forms are checked, and timed, in fresh processes that have TensorFlow and nothing of this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.deploy.checks import standalone
from dlth_tf.deploy.forms import Written
from dlth_tf.deploy.serving import Serving, expected_logits
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights
from dlth_tf.randomness import generator

MOST_IMAGES, MOST_BYTES = 10_000, 256 * 2**20
PROBES = 256
SECONDS = 1.0  # of timing, for each size of a batch
LONGEST = 1800  # seconds that a process may take


@dataclass(frozen=True)
class Examples:
    """What forms are compared on.

    Args:
      images: [N, ...] as a client sends them.
      labels: int64 [N], class numbers; None: nothing is said about accuracy.
      origin: what they are, for the report.
    """

    images: np.ndarray
    labels: np.ndarray | None
    origin: str


def probes(spec: tf.TensorSpec) -> Examples:
    """256 random images."""
    random = generator(0, "export probe")
    shape = (PROBES, *(1 if size is None else size for size in spec.shape[1:]))
    images = random.integers(0, 256, shape) if spec.dtype.is_integer else random.random(shape)
    return Examples(images.astype(spec.dtype.as_numpy_dtype), None, "random images")


def check_examples(examples: Examples, spec: tf.TensorSpec) -> None:
    """Raises BadInput if the images are not what the signature takes, or the labels not one for each."""
    images, labels = examples.images, examples.labels
    if not len(images) or not spec.shape.is_compatible_with(images.shape) or images.dtype != spec.dtype.as_numpy_dtype:
        raise BadInput(
            "examples",
            f"{images.dtype}{list(images.shape)}",
            f"must be {spec.dtype.name} images of shape {list(spec.shape)}",
        )
    if labels is not None and labels.shape != images.shape[:1]:
        raise BadInput(
            "examples",
            f"labels of shape {list(labels.shape)}",
            f"must have one label for each of the {len(images)} images",
        )


def most(image_shape: tuple[int, ...], itemsize: int = 1) -> int:
    """How many images are looked at: 10,000 of small ones, 256 MB of large ones."""
    return max(1, min(MOST_IMAGES, MOST_BYTES // (int(np.prod(image_shape)) * itemsize)))


def verify(
    written: Mapping[str, Written], model: tf_keras.Model, serving: Serving, ticket: Ticket | None, examples: Examples
) -> tuple[dict[str, dict[str, Any]], float | None]:
    """Checks all forms in one fresh process.

    Returns:
      name -> what `standalone.checked` found, and the accuracy of the Keras model itself where labels are known.

    Raises:
      RuntimeError: a form does not do what the model does, or has numbers where the ticket has zeros.
    """
    logits = expected_logits(model, serving, examples.images)
    arrays = {"images": examples.images, "logits": logits}
    if examples.labels is not None:
        arrays["labels"] = examples.labels
    arrays |= {f"mask/{name}": mask for name, mask in (ticket or {}).items()}
    forms = [_form(*item, serving) for item in written.items()]
    found = in_a_fresh_process({"what": "check", "threads": 0, "forms": forms}, arrays)
    return found, None if examples.labels is None else float(np.mean(logits.argmax(-1) == examples.labels))


def measure(
    written: Mapping[str, Written], images: np.ndarray, seconds: float = SECONDS
) -> dict[str, dict[str, list[float]]]:
    """name -> batch -> milliseconds of each call, of all in turn, with one thread."""
    forms = [{"name": name, "kind": form.kind, "path": os.fspath(form.path)} for name, form in written.items()]
    return in_a_fresh_process(
        {"what": "time", "threads": 1, "seconds": seconds, "forms": forms}, {"images": images[:64]}
    )


def _form(name: str, form: Written, serving: Serving) -> dict[str, Any]:
    weights = {key: variable.numpy() for key, variable in named_weights(form.model).items()}
    found = (form.places or {}).items()
    places = [(key, [*place, list(weights[key].shape), weights[key].dtype.name]) for key, place in found]
    return {
        "name": name,
        "kind": form.kind,
        "path": os.fspath(form.path),
        "tolerance": form.tolerance,
        "label_names": None if serving.label_names is None else list(serving.label_names),
        "weights": list(weights),
        "places": None if form.places is None else dict(places),
        "nonzero": {key: int(np.count_nonzero(value)) for key, value in weights.items()},
        "same_weights": form.same_weights,
    }


def in_a_fresh_process(task: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Runs `standalone.py`; raises RuntimeError with its sentence if it finds something wrong, or if it fails itself."""
    with tempfile.TemporaryDirectory(prefix="dlth-export-") as folder:
        data, asked, answer = (Path(folder) / name for name in ("data.npz", "task.json", "result.json"))
        data.write_bytes(files.npz_bytes(arrays))
        asked.write_text(json.dumps({**task, "data": str(data), "packages": str(Path(tf.__file__).parents[1])}))
        command = [sys.executable, "-I", standalone.__file__, str(asked), str(answer)]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=LONGEST, env=_environment(), check=False
        )
        if ended.returncode or not answer.exists():
            raise RuntimeError(
                f"the process that checks the export failed (exit code {ended.returncode}): {_last_line(ended.stderr)}"
            )
        result = json.loads(answer.read_text())
    if "error" in result:
        raise RuntimeError(result["error"])
    return result["forms"]


def _environment() -> dict[str, str]:
    """Without the GPUs, of which this process holds the memory."""
    without = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    return {**without, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
