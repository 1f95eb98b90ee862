"""What export.json holds: sizes beside the bound and beside the same exporter's dense model, work, and measured times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import tf_keras

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.deploy.forms import Written
from dlth_tf.deploy.report.size_bound import size_of
from dlth_tf.masking import named_weights

FASTER = 1.2  # times the dense network's speed: what two equal models differ by on a busy machine is less


def network_facts(model: tf_keras.Model, ticket: Ticket | None, image_shape: tuple[int | None, ...]) -> dict[str, Any]:
    """Parameters, bound and multiply-adds of the network as it is."""
    weights = {name: variable.numpy() for name, variable in named_weights(model).items()}
    size = size_of(weights, ticket)
    return {
        "weights_sha256": files.arrays_sha256(weights),
        "parameters": {
            "total": sum(value.size for value in weights.values()),
            "nonzero": sum(int(np.count_nonzero(value)) for value in weights.values()),
            "prunable": size.prunable,
            "removed": size.removed,
        },
        "bound_bytes": size.bound,
        "multiply_adds": multiply_adds(model, image_shape),
    }


def multiply_adds(model: tf_keras.Model, image_shape: tuple[int | None, ...]) -> dict[str, int] | None:
    """Of one image: {"dense": what a runtime that does not skip zeros computes, "nonzero": what one that does would}.

    None for images of no fixed size.
    """
    from dlth_tf.masking.macs import kernel_positions

    if None in image_shape:
        return None
    weights, positions = named_weights(model), kernel_positions(model, cast("tuple[int, ...]", image_shape))
    return {
        "dense": sum(weights[name].shape.num_elements() * times for name, times in positions.items()),
        "nonzero": sum(int(np.count_nonzero(weights[name].numpy())) * times for name, times in positions.items()),
    }


def form_facts(
    written: Written,
    dense: Written,
    found: Mapping[str, Any],
    network: Mapping[str, Any],
    image_shape: tuple[int | None, ...],
) -> dict[str, Any]:
    """Of one form.

    Args:
      written: the form.
      dense: the same form of the dense twin.
      found: of its verification.
      network: what `network_facts` said.
      image_shape: without the batch.
    """
    contents, total = listing(written.path), bytes_of(written.path)
    work = multiply_adds(written.model, image_shape)
    weights = [variable.numpy() for variable in named_weights(written.model).values()]
    return {
        "bytes": total,
        "times_bound": round(total / network["bound_bytes"], 4),
        "dense_bytes": bytes_of(dense.path),
        "parameters": sum(value.size for value in weights),
        "nonzero": sum(int(np.count_nonzero(value)) for value in weights),
        "multiply_adds": work and work["dense"],
        **found,
        **written.facts,
        "files": contents,
    }


def listing(path: Path) -> dict[str, dict[str, Any]]:
    """name -> bytes and SHA-256 of every file."""
    return {
        name: {"bytes": len(data := file.read_bytes()), "sha256": files.sha256(data)} for name, file in _files(path)
    }


def bytes_of(path: Path) -> int:
    """Of all files."""
    return sum(file.stat().st_size for _, file in _files(path))


def _files(path: Path) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    return [(str(file.relative_to(path)), file) for file in sorted(path.rglob("*")) if file.is_file()]


def latency(mine: Sequence[float], dense: Sequence[float]) -> dict[str, float]:
    """Of calls that took turns with those of the dense network: median milliseconds of both, and the median of the ratios.

    The ratio of two neighbouring calls says more than that of the medians: on a busy machine both are slow at the same time.
    """
    ratios = np.divide(dense, mine)
    return {"ms": float(np.median(mine)), "dense_ms": float(np.median(dense)), "speedup": float(np.median(ratios))}


def speed_note(form: str, measured: Mapping[str, Mapping[str, float]], skips_zeros: bool) -> str:
    """One honest sentence on what was measured.

    Args:
      form: its name.
      measured: batch -> what `latency` said.
      skips_zeros: whether the form holds fewer weights than the dense network, or its runtime leaves zeros out.
    """
    ratios = {batch: times["speedup"] for batch, times in measured.items()}
    said = ", ".join(f"{ratio:.2f}x at batch {batch}" for batch, ratio in ratios.items())
    if max(ratios.values()) >= FASTER:
        return f"{form}: {said} the speed of the dense network in the same form."
    why = "" if skips_zeros else "; zeros are multiplied like any other number"
    return f"{form}: sparsity brings no speed here ({said} that of the dense network in the same form){why}."
