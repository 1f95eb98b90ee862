"""result.json: the outcome of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlth_tf import masking
from dlth_tf.masking.keras2.paths import weights_on_paths
from dlth_tf.measures import ACCURACY, REGRESSION, Measure
from dlth_tf.methods import Network, Phase
from dlth_tf.onednn import onednn_is_on
from dlth_tf.runs.directory import versions
from dlth_tf.runs.training_run import Run


def accuracies(
    split: str, rows: list[dict[str, Any]], network: Network, measure: Measure = ACCURACY
) -> dict[str, float | None]:
    """Returns the accuracies of one split, 0 to 1, or its mean squared errors.

    Best and last5 are over the epochs of the final phase with the final sparsity.

    Args:
      split: "val" or "test".
      rows: All rows of the history.
      network: The network, with the accuracies before and after the removal of weights.
      measure: The measure of the task, after which the keys are named.
    """
    last = [row for row in rows if row["phase"] == rows[-1]["phase"] and row["sparsity"] == rows[-1]["sparsity"]]
    name = measure.name
    values = [row[f"{split}_{name}"] for row in last]
    return {
        f"{name}_last": values[-1],
        f"{name}_best": measure.best(values),
        f"{name}_last5_mean": float(np.mean(values[-5:])),
        f"{name}_before_removal": network.before_removal.get(f"{split}_{name}"),
        f"{name}_after_removal": network.after_removal.get(f"{split}_{name}"),
        "loss_last": last[-1][f"{split}_loss"],
    }


def sparsities(target: float, network: Network) -> dict[str, Any]:
    """Returns the target sparsity and the exact fractions of zeros in the masks, per tensor and in total."""
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
        "target": target,
        "global": sum(removed.values()) / total,
        "prunable": sum(removed[name] for name in prunable) / sum(kept[name].size for name in prunable),
        "per_tensor": {name: removed[name] / mask.size for name, mask in kept.items()},
    }


def effective_sparsity(network: Network) -> float | None:
    """Returns the fraction of the prunable weights that are removed or lie on no path from the input to the output.

    None for a network in which `weights_on_paths` does not decide that.
    """
    on_paths = weights_on_paths(network.model)
    if on_paths is None:
        return None
    prunable = [on_paths[name] for name in masking.prunable_of_ticket(network.model, network.recipe.spec)]
    size = sum(weights.size for weights in prunable)
    return (size - sum(int(weights.sum()) for weights in prunable)) / size


def parameters(network: Network) -> dict[str, int]:
    """Returns the numbers of trainable parameters: all, those that the method may prune, and the non-zero ones."""
    weights = {id(variable): variable.numpy() for variable in network.model.trainable_variables}.values()
    prunable = masking.prunable_of_ticket(network.model, network.recipe.spec)
    return {
        "total": sum(weight.size for weight in weights),
        "prunable": sum(int(np.prod(entry.shape)) for entry in prunable.values()),
        "nonzero": sum(int(np.count_nonzero(weight)) for weight in weights),
    }


def cost(phases: list[dict[str, Any]], macs: list[tuple[int, float]], seconds: float) -> dict[str, Any]:
    """Returns the cost of the training: images, and multiply-adds of the dense and of the sparse network.

    Args:
      phases: Rows of result.json.
      macs: Multiply-adds of training on one image, (dense, sparse), per phase.
      seconds: Duration of the whole run.
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
    """Returns the entry of a phase in result.json.

    Args:
      phase: The phase.
      rows: Its rows of the history.
    """
    return {
        "name": phase.name,
        "steps": phase.steps,
        "epochs": rows[-1]["epoch"],
        "images": phase.steps * phase.batch_size,
        "seconds": rows[-1]["seconds"],
    }


def _task(run: Run) -> dict[str, Any]:
    if run.config.task != REGRESSION:
        return {}
    variance = np.var(run.inputs.data.test.labels, axis=0, dtype=np.float64).mean()
    return {"task": REGRESSION, "target_variance": float(variance)}


def make_result(run: Run) -> dict[str, Any]:
    """Returns the content of result.json but for the digest of the final weights, while the network is wrapped.

    `task` and `target_variance` are present for regression: the variance of the test targets, the mean over several, is
    the mean squared error of the best constant.

    `rollback` is present if the run returned to a checkpoint (--on_nan), and `cost.reused` if another run of the sweep
    has done its first phase: the images and multiply-adds of that phase are counted all the same, but not its seconds
    in `wall_seconds`.

    Args:
      run: The finished run.
    """
    state = run.checkpoints.state
    spent = cost(state.phases, state.macs, run.checkpoints.seconds())
    return {
        **{name: getattr(run.config, name) for name in ("method", "dataset", "model", "seed")},
        "sparsity": sparsities(run.config.sparsity, run.network),
        "effective_sparsity": effective_sparsity(run.network),
        **_task(run),
        "test": accuracies("test", state.rows, run.network, run.config.measure),
        "val": accuracies("val", state.rows, run.network, run.config.measure),
        "phases": state.phases,
        "cost": {**spent, **({"reused": state.reused} if state.reused else {})},
        "parameters": parameters(run.network),
        "versions": versions(),
        "onednn": onednn_is_on(),
        **({"rollback": state.rollback} if state.rollback else {}),
    }
