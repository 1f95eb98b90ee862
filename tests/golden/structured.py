"""Traces of filter and channel tickets in the recorded format, from an independent computation in plain NumPy.

The recorded traces of this folder have single weights only. This follows the published algorithm (SEMANTICS of RST:
growing penalty on whole filters or input channels, coupled weight decay, momentum, then the groups are cut out of the
tensors) on a three-layer perceptron with a hand-written backward pass, and shares no line with the package.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

SIZES, BATCH, RATE, MOMENTUM, DECAY = (64, 12, 9, 10), 16, 0.05, 0.9, 5e-4
STEP, EVERY, LIMIT, HOLD = 0.4, 2, 1.9, 6
LAYERS = ("fc1", "fc2", "fc3")


def write_trace(path: Path, group: str, pick: str = "rand", doubled: bool = False, momentum: float = MOMENTUM) -> Path:
    """Trains, removes, and writes a float64 trace; `doubled` makes one that must not agree. No velocity without momentum."""
    draw = np.random.default_rng(5)
    pixels, labels = draw.integers(0, 17, (128, 8, 8), dtype=np.uint8), draw.integers(0, 10, 128)
    weights = {}
    for layer, inputs, outputs in zip(LAYERS, SIZES, SIZES[1:], strict=False):
        weights[f"{layer}.weight"] = draw.normal(0, 0.2, (outputs, inputs)).astype(np.float32).astype(float)
        weights[f"{layer}.bias"] = draw.normal(0, 0.1, outputs).astype(np.float32).astype(float)
    z = {"data/x_u8": pixels, "data/y": labels, **{f"init/{n}": w.copy() for n, w in weights.items()}}
    pruned = {
        layer: _pick(weights[f"{layer}.weight"], group, pick, draw) if layer == "fc2" else np.array([], int)
        for layer in LAYERS
    }
    z |= {f"cycle1/pruned_idx/{n}": index for n, index in pruned.items()} | {
        f"cycle1/pick_w/{n}": w.copy() for n, w in weights.items()
    }
    z |= {f"pruned_idx/{n}": index for n, index in pruned.items()}
    velocity = {name: np.zeros_like(w) for name, w in weights.items()}
    reached, strength, updates, end = None, 0.0, 0, 10**9
    lam, losses, batches, step = [], [], [], 0
    while step <= end:
        if reached is None and step % EVERY == 0:
            updates += 1
            strength += STEP
            if strength > LIMIT:
                reached, end = step, step + HOLD
        index = draw.integers(0, 128, BATCH)
        loss, gradients = _gradients(weights, pixels[index].reshape(BATCH, -1) / 16, labels[index])
        rows = np.moveaxis(gradients["fc2.weight"], int(group == "channel"), 0)
        rows[pruned["fc2"]] += (
            (2 if doubled else 1)
            * strength
            * np.moveaxis(weights["fc2.weight"], int(group == "channel"), 0)[pruned["fc2"]]
        )
        for name, gradient in gradients.items():
            if step == 0:
                z[f"grad1_total/{name}"] = gradient.copy()
            velocity[name] = momentum * velocity[name] + gradient + DECAY * weights[name]
            weights[name] = weights[name] - RATE * velocity[name]
        lam.append([0.0, strength, 0.0])
        losses.append(loss)
        batches.append(index)
        step += 1
        if step in (1, 2, 5):
            z |= {f"snap/{step:04d}/{name}": w.copy() for name, w in weights.items()}
    z |= {f"final_before/{n}": w for n, w in weights.items()}
    z |= {f"final_velocity/{n}": v for n, v in velocity.items()} if momentum else {}
    z |= {f"final_after/{name}": w for name, w in _cut(weights, group, pruned["fc2"]).items()}
    number = len(lam)
    z |= {
        "steps/lam": np.array(lam),
        "steps/loss": np.array(losses),
        "steps/batch_idx": np.array(batches),
        "snap_steps": np.array([1, 2, 5]),
    }
    z |= {"steps/phase": np.zeros(number, int), "steps/cycle": np.ones(number, int), "steps/lr": np.full(number, RATE)}
    z |= {"steps/total_iter": np.arange(number), "steps/hist_mag_ratio": np.full((number, 3), 1.5)}
    np.savez(path, meta=json.dumps(_meta(group, pick, number, momentum)), **z)
    return path


def _pick(weight: np.ndarray, group: str, pick: str, draw: np.random.Generator) -> np.ndarray:
    axis = int(group == "channel")
    number = min(int(np.ceil(0.5 * weight.shape[axis])), weight.shape[axis] - 1)
    order = np.argsort(np.abs(weight).mean(1 - axis))
    return {"rand": draw.permutation(weight.shape[axis]), "min": order, "max": order[::-1]}[pick][:number]


def _gradients(
    weights: dict[str, np.ndarray], x: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    inputs, sums = [x], []
    for layer in LAYERS:
        sums.append(inputs[-1] @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
        inputs.append(np.maximum(sums[-1], 0))
    exponential = np.exp(sums[-1] - sums[-1].max(1, keepdims=True))
    probability = exponential / exponential.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(-np.log(probability[rows, labels]).mean())
    error = probability.copy()
    error[rows, labels] -= 1
    error /= len(labels)
    found = {}
    for place in (2, 1, 0):
        found[f"{LAYERS[place]}.weight"], found[f"{LAYERS[place]}.bias"] = error.T @ inputs[place], error.sum(0)
        error = (error @ weights[f"{LAYERS[place]}.weight"]) * (sums[place - 1] > 0) if place else error
    return loss, {name: found[name] for name in weights}


def _cut(weights: dict[str, np.ndarray], group: str, gone: np.ndarray) -> dict[str, np.ndarray]:
    """Filters of fc2 take the inputs of fc3 with them; channels of fc2 the filters and biases of fc1."""
    found = dict(weights)
    if group == "filter":
        for name, axis in (("fc2.weight", 0), ("fc2.bias", 0), ("fc3.weight", 1)):
            found[name] = np.delete(found[name], gone, axis)
    else:
        for name, axis in (("fc2.weight", 1), ("fc1.weight", 0), ("fc1.bias", 0)):
            found[name] = np.delete(found[name], gone, axis)
    return found


def _meta(group: str, pick: str, steps: int, momentum: float) -> dict:
    arguments = {
        "wg": group,
        "pick_pruned": pick,
        "base_pr_model": None,
        "momentum": momentum,
        "weight_decay": DECAY,
        "method": "RST",
    }
    arguments |= {
        "RST_schedule": "x",
        "mag_ratio_limit": 1000.0,
        "block_loss_grad": False,
        "LTH_Iter": False,
        "num_cycles": 0,
    }
    arguments |= {
        "reg_granularity_prune": STEP,
        "reg_upper_limit": LIMIT,
        "update_reg_interval": EVERY,
        "stabilize_reg_interval": HOLD,
    }
    parameters = [f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")]
    net = {"type": "mlp", "sizes": list(SIZES)}
    return {
        "dtype": "float64",
        "net": net,
        "layers": LAYERS,
        "params": parameters,
        "args": arguments,
        "n_steps": steps,
        "final_ft": None,
    }
