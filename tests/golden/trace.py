"""A recorded trace of the official PyTorch code: its arrays, options, masks and batches."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
# The phase of a step in a trace.
REGULARIZE = 0
MINI_FINETUNE = 1
FINETUNE = 2


@dataclass
class Trace:
    """A trace.

    Attributes:
      path: The .npz file.
      z: Its arrays by name.
      meta: Its description: network, dtype, names of layers and parameters, number of steps.
      args: The options of the official command.
      dtype: "float64" or "float32".
      tolerance: Largest absolute difference that counts as agreement in this dtype.
    """

    path: Path
    z: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        with np.load(self.path) as archive:
            self.z = dict(archive)
        self.meta = json.loads(str(self.z["meta"]))
        self.args = self.meta["args"]
        self.dtype = self.meta["dtype"]
        self.tolerance = TOLERANCE[self.dtype]

    @property
    def method(self) -> str:
        """Name of the official method."""
        return "LTH" if self.args["LTH_Iter"] else self.args["method"]

    def why_not_offered(self) -> str | None:
        """Returns which option of this trace the package does not offer, or None."""
        group = self.args["wg"]
        method = self.method
        if group not in ("weight", "filter", "channel"):
            return f"wg={group}: this granularity of the official code is not offered"
        if group != "weight" and method in ("LTH", "L1_Iter") and self.args["num_cycles"] > 1:
            cut = f"{group}s that are cut out of the tensors between cycles are not offered"
            return f"wg={group} with method={method}: {cut}"
        if group != "weight" and self.meta["final_ft"]:
            finetune = "a finetune in which removed filters have lost their biases too is not offered"
            return f"wg={group} with final_ft: {finetune}"
        ratios = self.z.get("steps/hist_mag_ratio")
        if ratios is not None and np.nanmax(ratios, initial=0.0) >= self.args["mag_ratio_limit"]:
            return f"mag_ratio_limit={self.args['mag_ratio_limit']}: the stop at a ratio of magnitudes is not offered"
        if self.args["base_pr_model"] is not None:
            inherited = "tickets inherited from a file of the official code are not offered"
            return f"base_pr_model={self.args['base_pr_model']}: {inherited}"
        return None

    def recorded_mask(self, cycle: int, layer: str) -> np.ndarray:
        """Returns a cycle's mask of a layer, True = kept, in PyTorch's layout.

        Traces of filters and channels may contain only the numbers of the removed groups.
        """
        if f"cycle{cycle}/mask/{layer}" in self.z and self.args["wg"] == "weight":
            return self.z[f"cycle{cycle}/mask/{layer}"].astype(bool)
        mask = np.ones(self.z[f"init/{layer}.weight"].shape, bool)
        index = self.z[f"cycle{cycle}/pruned_idx/{layer}"].astype(int)
        if self.args["wg"] == "weight":
            mask.ravel()[index] = False
        else:
            np.moveaxis(mask, int(self.args["wg"] == "channel"), 0)[index] = False
        return mask

    def data(self, steps: slice) -> tf.data.Dataset:
        """Returns the recorded batches of some steps."""
        index = self.z["steps/batch_idx"][steps]
        x = self.z["data/x_u8"][index].astype(self.dtype) / 16
        x = x.reshape(*index.shape, -1) if self.meta["net"]["type"] == "mlp" else x[..., None]
        return tf.data.Dataset.from_tensor_slices((x, self.z["data/y"][index]))
