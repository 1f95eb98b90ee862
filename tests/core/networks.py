"""Shapes of networks over which the tests distribute a sparsity."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

# The tensors of ResNet-56 that the published protocol prunes: two convolutions in each of nine blocks in three stages.
WIDTHS = {"stage1": (16, 16), "stage2": (16, 32), "stage3": (32, 64)}
RESNET56 = {
    f"{stage}_conv{i}/kernel": (3, 3, inputs if i == 0 else outputs, outputs)
    for stage, (inputs, outputs) in WIDTHS.items()
    for i in range(18)
}
WHOLE_RESNET56 = {"conv1/kernel": (3, 3, 3, 16), **RESNET56, "fc/kernel": (64, 10)}

EIGHTS = st.sampled_from([8, 12, 16])
KERNELS = st.one_of(
    st.tuples(EIGHTS, EIGHTS), st.tuples(st.just(1), st.just(3), EIGHTS, EIGHTS), st.tuples(st.just(3), EIGHTS, EIGHTS)
)
NETWORKS = st.lists(KERNELS, min_size=1, max_size=4).map(
    lambda shapes: {f"layer{i}/kernel": shape for i, shape in enumerate(shapes)}
)


def drawn(shapes: dict[str, tuple[int, ...]], seed: int, levels: int = 0) -> dict[str, np.ndarray]:
    """Draws a score for every weight; with `levels`, from only that many values, so that many scores are equal."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.integers(0, levels, shape).astype("float32") if levels else rng.normal(size=shape))
        for name, shape in shapes.items()
    }
