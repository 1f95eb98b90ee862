"""Trainings that the runs of a sweep have in common are done once: the dense training that several methods begin with."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from dlth_tf import files
from dlth_tf.methods import Network, Phase
from dlth_tf.runs.checkpointing.state import network_state, restore_network
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import versions
from dlth_tf.runs.history import History

# All that a training of the whole network depends on, beside its phase.
OF_THE_NETWORK = (
    "dataset",
    "data_dir",
    "model",
    "model_args",
    "init_weights",
    "seed",
    "momentum",
    "weight_decay",
    "augment",
    "normalization",
    "precision",
    "jit_compile",
    "steps_per_execution",
    "strategy",
    "num_replicas",
    "deterministic",
)
CODE = Path(__file__).resolve().parents[1]


class SharedTraining:
    """One training of the whole network, kept in a folder for other runs; used while its lock is held.

    Args:
      folder: of the sweep's shared trainings.
      key: names this training (`shared_key`).
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.arrays, self.facts = folder / f"{key}.npz", folder / f"{key}.json"

    def take(self, network: Network, history: History) -> bool:
        """Brings network and history to the training's end, if it is there and whole; says whether it was."""
        try:
            facts, data = json.loads(self.facts.read_text()), self.arrays.read_bytes()
            if facts["sha256"] != files.sha256(data):
                raise ValueError("it is damaged")
            arrays = files.parse_npz(data)
            restore_network(network.model, arrays)
            history.restore_state(facts["history"], {})
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:  # BadInput is a ValueError
            logging.getLogger("dlth_tf").warning("the shared training %s is not used: %s", self.facts, error)
            return False
        if facts["rewound"]:
            found = {
                name.removeprefix("initial/"): value for name, value in arrays.items() if name.startswith("initial/")
            }
            network.initial, network.initial_changed = found, True
        return True

    def keep(self, network: Network, history: History) -> None:
        """Writes the network as it is at the training's end; a disk that is full is no reason to stop the run."""
        arrays: dict[str, np.ndarray] = dict(network_state(network.model))
        if network.initial_changed:
            arrays |= {f"initial/{name}": value for name, value in network.initial.items()}
        data = files.npz_bytes(arrays)
        facts = {"sha256": files.sha256(data), "rewound": network.initial_changed, "history": history.saved_state()[0]}
        try:
            files.write_atomic(self.arrays, data)
            files.write_json(self.facts, facts)
        except OSError as error:
            logging.getLogger("dlth_tf").warning("%s cannot be kept for other runs (%s)", self.arrays, error.strerror)


@contextlib.contextmanager
def shared_training(
    config: RunConfig, network: Network, phase: Phase, examples: int
) -> Iterator[SharedTraining | None]:
    """The place of this phase's training among the shared ones, locked; None where it is not one that runs can have in common.

    Whoever comes while another process trains it waits for that process, and trains it if that one ends without.

    Args:
      config: of the run; `shared_dir` says where, and None that nothing is shared. With `tensorboard` nothing is either, since
        what TensorBoard shows is only made by training.
      network: as it is when the run begins.
      phase: the first of the run.
      examples: number of training images.
    """
    if not config.shared_dir or config.tensorboard or not of_the_whole_network(phase):
        yield None
        return
    folder = Path(config.shared_dir)
    folder.mkdir(parents=True, exist_ok=True)
    key = shared_key(config, network, phase, examples)
    with filelock.FileLock(folder / f"{key}.lock"):
        yield SharedTraining(folder, key)


def of_the_whole_network(phase: Phase) -> bool:
    """Whether a run's first phase trains the whole network with nothing but the optimizer: the same in every method that has it."""
    return phase.shareable


def shared_key(config: RunConfig, network: Network, phase: Phase, examples: int) -> str:
    """SHA-256 over everything that the outcome of the phase depends on."""
    content = {
        **{name: getattr(config, name) for name in OF_THE_NETWORK},
        "start": files.arrays_sha256(dict(network.initial)),
        "examples": examples,
        "phase": [
            phase.name,
            phase.steps,
            phase.batch_size,
            phase.learning_rate.values,
            phase.learning_rate.boundaries,
        ],
        "rewind_step": network.recipe.rewind_step,
        "versions": versions(),
        "code": code_digest(),
    }
    return files.sha256(json.dumps(content, sort_keys=True).encode())


@functools.cache
def code_digest() -> str:
    """SHA-256 over the sources of the rooms that train: another version may train another way."""
    paths = sorted(path for path in CODE.rglob("*.py") if path.relative_to(CODE).parts[0] not in ("analysis", "deploy"))
    return files.sha256(
        "\n".join(f"{path.relative_to(CODE)} {files.sha256(path.read_bytes())}" for path in paths).encode()
    )


def reused(phase: Phase, history: History) -> dict[str, Any]:
    """What result.json says of a training that another run made."""
    return {"phase": phase.name, "images": phase.steps * phase.batch_size, "seconds": history.rows[-1]["seconds"]}
