"""Replays a recorded trace of the official PyTorch code with this package's public API and `model.fit`.

The trace's own `meta` describes the network, the method and its options; batches, random masks and learning rates are
those of the trace. Every comparison is an assertion, so a replay that returns agrees at every recorded point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, scores
from dlth_tf.core import parse_granularity
from tests.golden.official_methods import METHODS
from tests.golden.recorder import Recorder, TableRate
from tests.golden.torch_twins import build_network, to_keras, to_torch, torch_variables
from tests.golden.trace import FINETUNE, REGULARIZE, Trace


@dataclass
class Replay(Trace):
    """The replay of one trace; the negative twins change `padding` or `optimizer`.

    Attributes:
      padding: Padding of strided convolutions, "torch" or "same".
      optimizer: Class of the optimizer.
    """

    padding: str = "torch"
    optimizer: Any = dlth.optimizers.SGD

    def __post_init__(self) -> None:
        super().__post_init__()
        self.done = 0

    def run(self) -> None:
        """Replays the whole trace."""
        self.build()
        METHODS[self.method](self)

    def build(self) -> None:
        """Builds the wrapped network with the recorded initial weights."""
        self.net = self.network()
        self.model = dlth.wrap(self.net)
        self.load("init")

    def network(self) -> Any:
        """Returns the network in the dtype of the trace."""
        tf_keras.backend.clear_session()
        tf_keras.backend.set_floatx(self.dtype)
        return build_network(self.meta["net"], self.padding)

    def variables(self) -> dict[str, Any]:
        """Returns the variables of the network by their names in PyTorch."""
        return torch_variables(self.net)

    def compile(self, rates: np.ndarray) -> None:
        """Compiles the model with the learning rates of some steps."""
        arguments = {name: self.args[name] for name in ("momentum", "weight_decay")}
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(self.optimizer(TableRate(rates), **arguments), loss)

    def state(self) -> dict[str, np.ndarray]:
        """Returns all parameters and running statistics, in PyTorch's names and layouts."""
        return {name: np.array(to_torch(v.numpy())) for name, v in self.variables().items()}

    def load(self, prefix: str) -> None:
        """Writes a recorded state into the network."""
        for name, variable in self.variables().items():
            variable.assign(to_keras(self.z[f"{prefix}/{name}"]))

    def pick(self, cycle: int) -> dlth.Ticket:
        """Returns the cycle's ticket as recorded; picks by magnitude are also drawn from the weights and compared."""
        recorded = {f"{n}/kernel": to_keras(self.recorded_mask(cycle, n)) for n in self.meta["layers"]}
        pruned = {name: mask for name, mask in recorded.items() if not mask.all()}
        how = "min" if self.args["LTH_Iter"] else self.args["pick_pruned"]
        self.compare(f"cycle{cycle}/pick_w", self.state())
        if how in ("min", "max"):
            magnitudes = scores.magnitude(
                {n: e.weight.numpy() for n, e in masking.prunable_weights(self.model).items() if n in pruned}
            )
            granularity = parse_granularity(self.args["wg"])
            for name, magnitude in magnitudes.items():
                score = granularity.pool(magnitude if how == "min" else -magnitude)
                mask = granularity.expand(
                    granularity.keep(score, int(granularity.free(pruned[name])[1])), magnitude.shape
                )
                np.testing.assert_array_equal(
                    mask, pruned[name], err_msg=f"cycle {cycle} picks other weights of {name}"
                )
        return dlth.Ticket.from_masks(pruned)

    def mask_after_next_step(self, ticket: dlth.Ticket) -> None:
        """Installs masks as the official L1_Iter and mini finetune do: they act only after the first step."""
        before = {n: np.array(e.weight.numpy()) for n, e in masking.prunable_weights(self.model).items()}
        dlth.apply_ticket(self.model, ticket, remove=True)
        for name, entry in masking.prunable_weights(self.model).items():
            entry.weight.assign(before[name])

    def segment(self, phase: int, cycle: int) -> slice:
        """Returns the steps of one phase of one cycle, which must come next."""
        here = np.flatnonzero((self.z["steps/phase"] == phase) & (self.z["steps/cycle"] == cycle))
        if not len(here):
            return slice(self.done, self.done)
        assert here[0] == self.done and len(here) == here[-1] - here[0] + 1
        return slice(int(here[0]), int(here[-1]) + 1)

    def fit(self, steps: slice, callbacks: list) -> Recorder:
        """Trains some recorded steps, and compares losses, snapshots and the first gradients."""
        recorder = Recorder(self.state)
        self.compile(self.z["steps/lr"][steps])
        first = self.state()
        self.model.fit(self.data(steps), epochs=1, verbose=0, shuffle=False, callbacks=[recorder, *callbacks])
        assert len(recorder.losses) == steps.stop - steps.start, "the number of steps differs"
        np.testing.assert_allclose(
            recorder.losses, self.z["steps/loss"][steps], rtol=0, atol=self.tolerance, err_msg="loss"
        )
        for count in self.z["snap_steps"]:
            if steps.start < count <= steps.stop:
                self.compare(f"snap/{count:04d}", recorder.states[count - 1 - steps.start])
        if steps.start == 0 and recorder.velocities[0]:
            for name, velocity in zip(self.meta["params"], recorder.velocities[0], strict=True):
                expected = self.z[f"grad1_total/{name}"] + self.args["weight_decay"] * first[name]
                np.testing.assert_allclose(
                    to_torch(velocity), expected, rtol=0, atol=self.tolerance, err_msg=f"first gradient of {name}"
                )
        self.done = steps.stop
        return recorder

    def compare(self, prefix: str, state: dict[str, np.ndarray]) -> None:
        """Compares a state with every array that the trace recorded under a prefix."""
        recorded = [name for name in state if f"{prefix}/{name}" in self.z]
        assert recorded or prefix.startswith("snap"), f"the trace has no {prefix}"
        for name in recorded:
            np.testing.assert_allclose(
                state[name], self.z[f"{prefix}/{name}"], rtol=0, atol=self.tolerance, err_msg=f"{prefix}/{name}"
            )

    def transform(self, cycle: int, ticket: dlth.Ticket, schedule: str, remove: bool) -> Recorder:
        """Replays one regularization phase; the penalty of every step must equal the recorded one to the last bit."""
        steps = self.segment(REGULARIZE, cycle)
        penalty = dlth.callbacks.RSTPenalty(
            schedule=schedule,
            step=self.args["reg_granularity_prune"],
            every=self.args["update_reg_interval"],
            limit=self.args["reg_upper_limit"],
            hold_steps=self.args["stabilize_reg_interval"],
            block_loss_grad=self.args["block_loss_grad"],
            remove_at_end=remove,
        )
        recorder = self.fit(steps, [penalty])
        assert penalty.steps == steps.stop - steps.start, "the transformation has another number of steps"
        for column, layer in enumerate(self.meta["layers"]):
            recorded = self.z["steps/lam"][steps, column]
            ours = (
                penalty.penalty.at(self.z["steps/total_iter"][steps])
                if f"{layer}/kernel" in ticket
                else np.zeros(len(recorded))
            )
            np.testing.assert_array_equal(ours, recorded, err_msg=f"lambda of {layer}")
        return recorder

    def finish(self, ticket: dlth.Ticket) -> None:
        """Compares the end of the trace, and replays its final finetune."""
        if self.args["wg"] == "weight":
            self.compare("final_after", self.state())
        else:
            self.compare_cut_out()
        for layer in self.meta["layers"]:
            kept = masking.prunable_weights(self.model)[f"{layer}/kernel"].kept()
            recorded = ticket[f"{layer}/kernel"] if f"{layer}/kernel" in ticket else np.ones(kept.shape, bool)
            np.testing.assert_array_equal(kept, recorded)
            if self.args["wg"] == "weight":
                np.testing.assert_array_equal(to_torch(kept), self.z[f"mask/{layer}"].astype(bool))
        if self.meta["final_ft"]:
            self.fit(self.segment(FINETUNE, 0), [dlth.callbacks.KeepMask()])
            self.compare("final_ft", self.state())
        assert self.done == self.meta["n_steps"], "the trace has steps that were not replayed"
        dlth.strip(self.model)

    def compare_cut_out(self) -> None:
        """Compares our tensors, whose removed groups are zero, with the official ones, which have lost these groups.

        A layer that loses filters reduces the inputs of the next layer, and one that loses channels the filters of the
        layer before; the recorded shape of a tensor tells which of its dimensions were really cut.
        """
        layers = self.meta["layers"]
        axis = int(self.args["wg"] == "channel")
        gone = {
            layer: self.z.get(f"pruned_idx/{layer}", self.z.get(f"cycle1/pruned_idx/{layer}")).astype(int)
            for layer in layers
        }
        state = self.state()
        owner = ""
        for name in self.meta["params"]:
            layer = name.split(".")[0]
            owner = layer if layer in layers else owner  # a batch norm belongs to the convolution before it
            place = layers.index(owner)
            outputs = owner if axis == 0 else layers[place + 1] if place + 1 < len(layers) else None
            inputs = (layers[place - 1] if place else None) if axis == 0 else owner
            cut = state[name]
            for dimension, source in ((0, outputs), (1, inputs)):
                if (
                    dimension < cut.ndim
                    and source
                    and cut.shape[dimension] != self.z[f"final_after/{name}"].shape[dimension]
                ):
                    cut = np.delete(cut, gone[source], dimension)
            np.testing.assert_allclose(
                cut, self.z[f"final_after/{name}"], rtol=0, atol=self.tolerance, err_msg=f"final_after/{name}"
            )
            if name == f"{owner}.weight":
                assert not np.take(state[name], gone[owner], axis).any(), (
                    f"removed {self.args['wg']}s of {name} are not zero"
                )
