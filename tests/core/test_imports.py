"""The paper's own functions need NumPy alone, and their docstrings tell the truth."""

from __future__ import annotations

import doctest
import importlib
import os
import subprocess
import sys

import pytest

NUMPY_ONLY = [
    "dlth_tf.core",
    "dlth_tf.scores",
    "dlth_tf.files",
    "dlth_tf.randomness",
    "dlth_tf.registry",
    "dlth_tf.errors",
]
DOCUMENTED = {
    "dlth_tf.core.allocation": 1,
    "dlth_tf.core.pruning_spec": 1,
    "dlth_tf.core.exact_counts": 1,
    "dlth_tf.core.settled_masks": 1,
    "dlth_tf.core.erk": 1,
    "dlth_tf.core.global_threshold": 1,
    "dlth_tf.core.granularity": 1,
    "dlth_tf.core.groups": 0,
    "dlth_tf.core.top_k": 2,
    "dlth_tf.core.layout": 2,
    "dlth_tf.core.masks": 3,
    "dlth_tf.core.n_m": 0,
    "dlth_tf.core.patterns": 1,
    "dlth_tf.core.penalty": 2,
    "dlth_tf.core.iterative_sparsity": 2,
    "dlth_tf.core.regrowth": 1,
    "dlth_tf.core.ticket": 1,
    "dlth_tf.core.tiles": 0,
    "dlth_tf.scores.magnitude": 0,
    "dlth_tf.scores.random": 0,
    "dlth_tf.files": 0,
    "dlth_tf.randomness": 2,
    "dlth_tf.registry": 0,
    "dlth_tf.errors": 0,
    "dlth_tf.runs.duration": 1,
}


def imported_by(modules: list[str]) -> set[str]:
    """What a fresh interpreter holds after importing `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ, capture_output=True, check=True, text=True
        ).stdout.split()
    )


def test_the_core_is_imported_without_tensorflow():
    modules = imported_by(NUMPY_ONLY)
    assert not {"tensorflow", "tf_keras", "keras", "tensorflow_model_optimization"} & modules
    assert {"numpy", *NUMPY_ONLY} <= modules, "the check sees what is imported"


@pytest.mark.parametrize(("module", "least"), DOCUMENTED.items(), ids=DOCUMENTED)
def test_docstring_examples_are_true(module, least):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0 and result.attempted >= least
