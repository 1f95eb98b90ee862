"""Names of augmentations, checked and joined before TensorFlow is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dlth_tf.data import AUGMENTS, augmentation, check_augment
from dlth_tf.errors import BadInput


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("none", "none"),
        ("crop_flip", "crop_flip"),
        ("crop_flip+cutmix", "crop_flip+cutmix"),
        ("cutmix+crop_flip", "crop_flip+cutmix"),
        (" mixup + cutout+randaugment +resized_crop", "resized_crop+randaugment+cutout+mixup"),
    ],
)
def test_names_join_and_have_one_order(text: str, canonical: str) -> None:
    assert check_augment(text) == canonical == check_augment(canonical)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("crop_flop", "augment=crop_flop: no such augment; did you mean crop_flip"),
        ("crop_flip+cutmixx", "augment=cutmixx: no such augment; did you mean cutmix"),
        ("", "augment=: no such augment; available: none, crop_flip"),
        ("crop_flip+", "augment=: no such augment"),
        ("cutout+cutout", "augment=cutout+cutout: names cutout twice"),
        ("none+cutout", "augment=none+cutout: none cannot be joined with others"),
        ("cutmix+mixup", "augment=cutmix+mixup: cutmix and mixup exclude each other"),
        ("resized_crop+crop_flip", "crop_flip and resized_crop exclude each other"),
    ],
)
def test_unknown_repeated_and_conflicting_names_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_augment(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", AUGMENTS.names())
def test_only_parts_that_mix_images_have_soft_labels(name: str) -> None:
    assert augmentation(name).soft_labels == (name in ("cutmix", "mixup"))
    if name not in ("none", "crop_flip", "resized_crop"):
        assert augmentation(f"crop_flip+{name}").soft_labels == (name in ("cutmix", "mixup"))


def test_augmentations_are_checked_without_tensorflow() -> None:
    code = "import sys, dlth_tf.data as d; d.check_augment('crop_flip+randaugment')\n"
    code += "print([name for name in ('tensorflow', 'keras_cv') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="augment=cropflip: no such augment; did you mean crop_flip"):
        AUGMENTS.check("cropflip")
