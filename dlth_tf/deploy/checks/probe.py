"""The probe of an export: a few examples and the Keras model's outputs for them, with which it is checked later."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlth_tf import files
from dlth_tf.deploy.examples import Examples, random_examples
from dlth_tf.deploy.serving import expected_outputs
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput

PROBE = "probe.npz"
EXAMPLES = 4  # one alone if more than FEW bytes
FEW = 256 * 2**10
MOST = 16 * 2**20  # bytes; without a probe above it
LENGTHS = "length/"  # prefix of the names of arrays of text, which are stored as bytes


@dataclass(frozen=True)
class Probe:
    """Inputs and outputs by name, as arrays of the same number of examples.

    Args:
      arrays: input/<name> and output/<name> -> array.
      origin: Short description of the examples.
    """

    arrays: Mapping[str, np.ndarray]
    origin: str

    def data(self) -> bytes:
        """Returns the content of probe.npz."""
        return files.npz_bytes(
            {key: value for name, array in self.arrays.items() for key, value in _stored(name, array)}
        )

    def facts(self) -> dict[str, Any]:
        """Returns the entry of export.json."""
        data = self.data()
        count = len(next(iter(self.arrays.values())))
        return {"on": self.origin, "examples": count, "bytes": len(data), "sha256": files.sha256(data)}


def make_probe(source: Source, examples: Examples) -> Probe | None:
    """Makes the probe of an export: random examples, or the first given ones if the network takes no random ones.

    Args:
      source: Network to export.
      examples: Examples on which the export is compared.

    Returns:
      The probe, or None if a single example is too large, or an output is complex.
    """
    model, serving = source.model, source.serving
    count = serving.batch or EXAMPLES
    # Given ones may be somebody's, so they do not become part of the export.
    if source.examples is not None or source.calibration is not None:
        with contextlib.suppress(BadInput):
            examples = random_examples(model, serving, count)
    for number in dict.fromkeys((count, serving.batch or 1)):
        inputs = {name: value[:number] for name, value in examples.inputs(serving.inputs(model)).items()}
        outputs = expected_outputs(model, serving, inputs)
        arrays = {f"input/{name}": value for name, value in inputs.items()}
        arrays |= {f"output/{name}": value for name, value in outputs.items()}
        size = sum(value.nbytes for value in arrays.values())
        if any(value.dtype.kind == "c" for value in arrays.values()):
            return None
        if size <= FEW or (number == (serving.batch or 1) and size <= MOST):
            return Probe(arrays, examples.origin)
    return None


def parse_probe(data: bytes) -> dict[str, np.ndarray]:
    """Reads the arrays of a probe.npz, which may be somebody else's.

    Raises:
      ValueError: If it is no probe. The message is the rest of a sentence about the file.
    """
    stored = files.parse_npz(data)
    arrays = {}
    for name, array in stored.items():
        if name.startswith(LENGTHS):
            continue
        text = LENGTHS + name in stored
        if text and (array.dtype != np.uint8 or not array.ndim or not array.shape[-1]):
            raise ValueError(f"its array {name} is not a text")
        arrays[name] = array.view(f"S{array.shape[-1]}")[..., 0] if text else array
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    kinds = {name.partition("/")[0] for name in arrays}
    if kinds != {"input", "output"} or len(counts) != 1 or not min(counts):
        raise ValueError("it does not hold inputs and outputs of the same number of examples")
    return arrays


def _stored(name: str, array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    if array.dtype.kind not in "SO":
        return [(name, array)]
    texts = np.asarray(array, dtype=np.bytes_)
    texts = texts.astype(f"S{max(1, texts.dtype.itemsize)}")
    as_bytes = np.ascontiguousarray(texts)[..., None].view(np.uint8)
    return [(name, as_bytes), (LENGTHS + name, np.array([texts.dtype.itemsize]))]
