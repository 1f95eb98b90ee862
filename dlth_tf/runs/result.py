"""result.json: the outcome of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlth_tf import masking
from dlth_tf.methods import Network, Phase
from dlth_tf.runs.checkpointing.manager import RunState
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import versions


def accuracies(split: str, rows: list[dict[str, Any]], network: Network) -> dict[str, float | None]:
    """The accuracies of one split, as fractions; best and last5 are over the final finetune, from when it is as sparse as at its end."""
    last = [row for row in rows if row["phase"] == rows[-1]["phase"] and row["sparsity"] == rows[-1]["sparsity"]]
    found = [row[f"{split}_accuracy"] for row in last]
    return {
        "accuracy_last": found[-1],
        "accuracy_best": max(found),
        "accuracy_last5_mean": float(np.mean(found[-5:])),
        "accuracy_before_removal": network.before_removal.get(f"{split}_accuracy"),
        "accuracy_after_removal": network.after_removal.get(f"{split}_accuracy"),
        "loss_last": last[-1][f"{split}_loss"],
    }


def sparsities(config: RunConfig, network: Network) -> dict[str, Any]:
    """Sparsity as it really is: fractions of exact zeros in the masks, per tensor and over all."""
    kept = {name: entry.kept() for name, entry in masking.prunable_weights(network.model).items()}
    kernels = [
        variable
        for name, variable in masking.named_weights(network.model).items()
        if name not in kept and len(variable.shape) > 1
    ]
    prunable = masking.prunable_of_ticket(network.model, network.recipe.spec)
    removed = {name: int(mask.size - mask.sum()) for name, mask in kept.items()}
    total = sum(mask.size for mask in kept.values()) + sum(int(np.prod(kernel.shape)) for kernel in kernels)
    return {
        "target": config.sparsity,
        "global": sum(removed.values()) / total,
        "prunable": sum(removed[name] for name in prunable) / sum(kept[name].size for name in prunable),
        "per_tensor": {name: removed[name] / mask.size for name, mask in kept.items()},
    }


def parameters(config: RunConfig, network: Network) -> dict[str, int]:
    """Trainable parameters: all, those that the method may prune, and those that are not zero."""
    model = network.model
    weights = {id(variable): variable.numpy() for variable in model.trainable_variables}.values()
    return {
        "total": sum(weight.size for weight in weights),
        "prunable": sum(
            int(np.prod(entry.shape)) for entry in masking.prunable_of_ticket(model, network.recipe.spec).values()
        ),
        "nonzero": sum(int(np.count_nonzero(weight)) for weight in weights),
    }


def cost(phases: list[dict[str, Any]], macs: list[tuple[int, float]], seconds: float) -> dict[str, Any]:
    """What the training took: images, multiply-adds if nothing were sparse, and if every removed weight cost nothing.

    Args:
      phases: rows of result.json.
      macs: (dense, sparse) multiply-adds of training on one image, per phase.
      seconds: of the whole run.
    """
    images = [phase["images"] for phase in phases]
    return {
        "images_seen": sum(images),
        "training_macs_dense": sum(dense * count for (dense, _), count in zip(macs, images, strict=True)),
        "training_macs_theoretical": sum(
            round(sparse * count) for (_, sparse), count in zip(macs, images, strict=True)
        ),
        "wall_seconds": seconds,
    }


def phase_row(phase: Phase, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One entry of result.json's list of phases."""
    images, seconds = phase.steps * phase.batch_size, rows[-1]["seconds"]
    return {"name": phase.name, "steps": phase.steps, "epochs": len(rows), "images": images, "seconds": seconds}


def make_result(config: RunConfig, network: Network, state: RunState, seconds: float, digest: str) -> dict[str, Any]:
    """The whole of result.json.

    `rollback` is there if the run went back to a checkpoint once (--on_nan), and `cost.reused` if another run of the sweep had made
    its first phase: its images and multiply-adds are counted all the same, and its seconds are not in `wall_seconds`.
    """
    return {
        **{name: getattr(config, name) for name in ("method", "dataset", "model", "seed")},
        "sparsity": sparsities(config, network),
        "test": accuracies("test", state.rows, network),
        "val": accuracies("val", state.rows, network),
        "phases": state.phases,
        "cost": {**cost(state.phases, state.macs, seconds), **({"reused": state.reused} if state.reused else {})},
        "parameters": parameters(config, network),
        "weights_sha256": digest,
        "versions": versions(),
        **({"rollback": state.rollback} if state.rollback else {}),
    }
