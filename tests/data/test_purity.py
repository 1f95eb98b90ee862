"""A batch is a function of seed, purpose and step: another process that starts there computes the same one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from dlth_tf.data import AUGMENTS, BatchFormat, BatchOrder, DataSet, normalization, train_batches
from tests.data.conftest import ROOT, random_dataset, random_split

SAMPLES = (*AUGMENTS.names(), "crop_flip+cutout+mixup")
LONG = "randaugment"  # the one that takes several seconds to trace
STEP = 5

CHILD = """
import json, sys
from tests.data.test_purity import STEP, digest
print(json.dumps({text: digest(text, STEP, 1) for text in sys.argv[1:]}))
"""


def dataset() -> DataSet:
    return random_dataset(
        train=random_split(30, (8, 8, 3)), validation=random_split(3, (8, 8, 3)), test=random_split(3, (8, 8, 3))
    )


def digest(augment: str, start: int, steps: int, seed: int = 1, purpose: str = "x") -> str:
    """SHA-256 of the last batch's images and labels."""
    data = dataset()
    form = BatchFormat(normalization(data), augment, num_classes=data.num_classes)
    order = BatchOrder(6, seed, purpose, start, steps)
    *_, (images, labels) = train_batches(data.train, order, form).as_numpy_iterator()
    assert images.dtype == np.float32
    return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


def digests_elsewhere(*augments: str) -> dict[str, str]:
    done = subprocess.run([sys.executable, "-c", CHILD, *augments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, str]:
    return digests_elsewhere(*(augment for augment in SAMPLES if augment != LONG))


@pytest.mark.faults
def test_a_fresh_process_makes_the_same_batch_with_randaugment() -> None:
    assert digest(LONG, STEP - 2, 3) == digests_elsewhere(LONG)[LONG]


@pytest.mark.slow
@pytest.mark.parametrize("augment", [augment for augment in SAMPLES if augment != LONG])
def test_a_fresh_process_makes_the_same_batch(augment: str, elsewhere: dict[str, str]) -> None:
    assert digest(augment, STEP - 2, 3) == elsewhere[augment]


@pytest.mark.parametrize("changes", [{"seed": 2}, {"purpose": "y"}, {"augment": "cutout"}, {"start": STEP + 1}])
def test_another_seed_purpose_augmentation_or_step_makes_another(changes: dict[str, object]) -> None:
    batch = {"augment": "crop_flip", "start": STEP, "steps": 1}
    assert digest(**batch) == digest(**batch) != digest(**{**batch, **changes})
