"""Dense trainings that several runs of a sweep start with, each done once and reused by the other runs."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.methods import Network, Phase
from dlth_tf.onednn import onednn_is_on
from dlth_tf.runs.checkpointing.checked import check_history, check_rewind
from dlth_tf.runs.checkpointing.state import most_bytes, network_state, restore_network, restore_rewind, rewind_state
from dlth_tf.runs.directory import versions
from dlth_tf.runs.training_run import Run
from dlth_tf.runs.watching.history import History

# Everything that a dense training depends on, apart from its phase.
OF_THE_NETWORK = (
    "dataset",
    "data_dir",
    "task",
    "label_column",
    "model",
    "model_args",
    "init_weights",
    "seed",
    "momentum",
    "weight_decay",
    "eval_examples",  # its history has the evaluations
    "evaluate_every",
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
DO_NOT_TRAIN = ("analysis", "deploy", "sweeps")  # rooms whose sources no training depends on


class SharedTraining:
    """One dense training stored in a folder for other runs; used while its lock is held.

    Args:
      folder: Folder of the shared trainings of a sweep.
      key: Name of this training, the `shared_key` of its run and phase.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.arrays = folder / f"{key}.npz"
        self.facts = folder / f"{key}.json"

    def take(self, network: Network, history: History) -> bool:
        """Restores network and history at the end of the training; returns False if it is missing or damaged."""
        try:
            facts = files.read_json(self.facts)
            data = files.read_file(self.arrays, most_bytes(network.initial))
            if facts["sha256"] != files.sha256(data):
                raise ValueError("checksum mismatch")
            arrays = files.parse_npz(data)
            rewound = facts["rewound"]
            if not isinstance(rewound, bool):
                raise TypeError("rewound must be true or false")
            check_history(facts["history"])
            if not facts["history"]["rows"]:
                raise ValueError("its history is empty")
            if rewound:
                check_rewind(network, arrays)
            restore_network(network.model, arrays)
            history.restore_state(facts["history"], {})
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # BadInput is a ValueError
            why = f"{error} is missing" if isinstance(error, KeyError) else error
            logging.getLogger("dlth_tf").warning("the shared training %s is not used: %s", self.facts, why)
            return False
        if rewound:
            restore_rewind(network, arrays)
        return True

    def keep(self, network: Network, history: History) -> None:
        """Stores the network at the end of the training; a full disk is logged and does not stop the run."""
        data = files.npz_bytes({**network_state(network.model), **rewind_state(network)})
        facts = {"sha256": files.sha256(data), "rewound": network.initial_changed, "history": history.saved_state()[0]}
        try:
            files.write_atomic(self.arrays, data)
            files.write_json(self.facts, facts)
        except OSError as error:
            logging.getLogger("dlth_tf").warning("%s cannot be stored for other runs (%s)", self.arrays, error.strerror)


@contextlib.contextmanager
def shared_training(run: Run, phase: Phase) -> Iterator[SharedTraining | None]:
    """Yields the stored training of a run's first phase, locked, or None if the phase cannot be shared.

    Waits if another process is training it; trains it if that process fails. With --tensorboard nothing is shared,
    since the events for TensorBoard are only written by training.

    Args:
      run: The run before its first step; `shared_dir` of its configuration is the folder, None if nothing is shared.
      phase: The first phase of the run.
    """
    config = run.config
    if not config.shared_dir or config.tensorboard or not phase.shareable:
        yield None
        return
    folder = Path(config.shared_dir)
    key = shared_key(run, phase)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{key}.lock")
        lock.acquire()
    except OSError as error:
        raise BadInput("shared_dir", folder, f"cannot be written to ({error.strerror})") from None
    try:
        yield SharedTraining(folder, key)
    finally:
        lock.release()


def shared_key(run: Run, phase: Phase) -> str:
    """Returns the SHA-256 over everything that the outcome of a run's first phase depends on."""
    content = {
        **{name: getattr(run.config, name) for name in OF_THE_NETWORK},
        "start": files.arrays_sha256(dict(run.network.initial)),
        "data": [run.inputs.sha256, run.inputs.normalization.to_json()],
        "phase": [
            phase.name,
            phase.steps,
            phase.batch_size,
            phase.learning_rate.values,
            phase.learning_rate.boundaries,
        ],
        "rewind_step": run.config.rewind_step,
        "versions": versions(),
        "onednn": onednn_is_on(),
        "code": code_digest(),
    }
    return files.sha256(json.dumps(content, sort_keys=True).encode())


@functools.cache
def code_digest() -> str:
    """Returns the SHA-256 over the sources of the rooms that train, since another version may train differently."""
    paths = sorted(path for path in CODE.rglob("*.py") if path.relative_to(CODE).parts[0] not in DO_NOT_TRAIN)
    return files.sha256(
        "\n".join(f"{path.relative_to(CODE)} {files.sha256(path.read_bytes())}" for path in paths).encode()
    )


def reused(phase: Phase, history: History) -> dict[str, Any]:
    """Returns the entry of result.json for a training that another run has done."""
    return {"phase": phase.name, "images": phase.steps * phase.batch_size, "seconds": history.rows[-1]["seconds"]}
