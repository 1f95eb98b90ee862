"""Replays a recorded trace of the official PyTorch code with this package's public API and `model.fit`.

The trace's own `meta` says what is built and which method and options run; batches, random masks and learning rates are
fed as recorded. Every comparison is an assertion, so a replay that returns agrees at every recorded point.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, scores
from dlth_tf.core import parse_granularity

TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
REGULARISE, MINI_FINETUNE, FINETUNE = 0, 1, 2


class TorchBatchNormalization(tf_keras.layers.BatchNormalization):
    """In float64, running statistics as PyTorch has them: Keras' own are biased there, with a decay rounded to float32."""

    def call(self, inputs, training=None, **kwargs):
        self._count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), inputs.dtype)
        return super().call(inputs, training=training, **kwargs)

    def _assign_moving_average(self, variable, value, momentum, inputs_size):
        if self.compute_dtype != "float64":
            return super()._assign_moving_average(variable, value, momentum, inputs_size)
        if variable is self.moving_variance:
            value = value * self._count / (self._count - 1)
        return variable.assign_sub((variable - value) * tf.constant(1 - momentum, variable.dtype))


class TableRate(tf_keras.optimizers.schedules.LearningRateSchedule):
    """The recorded learning rate of every step."""

    def __init__(self, rates):
        self.rates = rates

    def __call__(self, step):
        return tf.gather(tf.constant(self.rates, tf_keras.backend.floatx()), step)


class Recorder(tf_keras.callbacks.Callback):
    """State after every step, loss of every batch, velocities; stands before RSTPenalty, so it sees the end before the removal."""

    def __init__(self, replay):
        super().__init__()
        self.replay, self.losses, self.states, self.velocities, self.before_removal = replay, [], [], [], None

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])
        self.states.append(self.replay.state())
        self.velocities.append([v.numpy() for v in getattr(self.model.optimizer, "velocities", [])])

    def on_train_end(self, logs=None):
        self.before_removal = self.replay.state()


@dataclass
class Replay:
    """One trace. `padding` and `optimizer` are what the negative twins change."""

    path: Path
    padding: str = "torch"
    optimizer: Any = dlth.optimizers.SGD
    z: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self):
        with np.load(self.path) as archive:
            self.z = dict(archive)
        self.meta = json.loads(str(self.z["meta"]))
        self.args, self.dtype = self.meta["args"], self.meta["dtype"]
        self.tolerance = TOLERANCE[self.dtype]
        self.done = 0

    def why_not_offered(self) -> str | None:
        """The option of this trace that the package does not offer, if there is one."""
        group, method = self.args["wg"], "LTH" if self.args["LTH_Iter"] else self.args["method"]
        if group not in ("weight", "filter", "channel"):
            return f"wg={group}: this granularity of the official code is not offered"
        if group != "weight" and method in ("LTH", "L1_Iter") and self.args["num_cycles"] > 1:
            return f"wg={group} with method={method}: {group}s that are cut out of the tensors between cycles are not offered"
        if group != "weight" and self.meta["final_ft"]:
            return f"wg={group} with final_ft: a finetune in which removed filters have lost their biases too is not offered"
        ratios = self.z.get("steps/hist_mag_ratio")
        if ratios is not None and np.nanmax(ratios, initial=0.0) >= self.args["mag_ratio_limit"]:
            return f"mag_ratio_limit={self.args['mag_ratio_limit']}: the stop at a ratio of magnitudes is not offered"
        if self.args["base_pr_model"] is not None:
            return f"base_pr_model={self.args['base_pr_model']}: tickets inherited from a file of the official code are not offered"
        return None

    # the network -------------------------------------------------------------------------------------------------

    def build(self) -> None:
        tf_keras.backend.clear_session()
        tf_keras.backend.set_floatx(self.dtype)
        self.net = self._mlp() if self.meta["net"]["type"] == "mlp" else self._conv()
        self.model = dlth.wrap(self.net)
        self.load("init")

    def _mlp(self) -> tf_keras.Model:
        sizes = self.meta["net"]["sizes"]
        x = inputs = tf_keras.Input((sizes[0],))
        for number, size in enumerate(sizes[1:], 1):
            x = tf_keras.layers.Dense(size, name=f"fc{number}")(x)
            x = x if number == len(sizes) - 1 else tf_keras.layers.ReLU()(x)
        return tf_keras.Model(inputs, x)

    def _conv(self) -> tf_keras.Model:
        layers = tf_keras.layers
        norm = {"momentum": 0.9, "epsilon": 1e-5}
        first, second = self.meta["net"]["channels"]
        x = inputs = tf_keras.Input((8, 8, 1))
        x = layers.Conv2D(first, 3, padding="same", use_bias=False, name="conv1")(x)
        x = layers.ReLU()(TorchBatchNormalization(name="bn1", **norm)(x))
        if self.padding == "torch":
            x = layers.Conv2D(second, 3, strides=2, use_bias=False, name="conv2")(layers.ZeroPadding2D(1)(x))
        else:
            x = layers.Conv2D(second, 3, strides=2, padding="same", use_bias=False, name="conv2")(x)
        x = layers.ReLU()(TorchBatchNormalization(name="bn2", **norm)(x))
        return tf_keras.Model(inputs, layers.Dense(10, name="fc")(layers.GlobalAveragePooling2D()(x)))

    def _variables(self) -> dict[str, tf.Variable]:
        ends = {
            "kernel": "weight",
            "bias": "bias",
            "gamma": "weight",
            "beta": "bias",
            "moving_mean": "running_mean",
            "moving_variance": "running_var",
        }
        return {f"{v.name.split('/')[0]}.{ends[v.name.split('/')[-1][:-2]]}": v for v in self.net.weights}

    def state(self) -> dict[str, np.ndarray]:
        """All parameters and running statistics, in PyTorch's names and layouts."""
        return {name: to_torch(v.numpy()) for name, v in self._variables().items()}

    def load(self, prefix: str) -> None:
        for name, variable in self._variables().items():
            variable.assign(to_keras(self.z[f"{prefix}/{name}"]))

    def data(self, steps: slice) -> tf.data.Dataset:
        index = self.z["steps/batch_idx"][steps]
        x = self.z["data/x_u8"][index].astype(self.dtype) / 16
        x = x.reshape(*index.shape, -1) if self.meta["net"]["type"] == "mlp" else x[..., None]
        return tf.data.Dataset.from_tensor_slices((x, self.z["data/y"][index]))

    # tickets -----------------------------------------------------------------------------------------------------

    def recorded_mask(self, cycle: int, layer: str) -> np.ndarray:
        """The cycle's mask of a layer, True = kept, in PyTorch's layout; traces of filters and channels may have their numbers alone."""
        if f"cycle{cycle}/mask/{layer}" in self.z and self.args["wg"] == "weight":
            return self.z[f"cycle{cycle}/mask/{layer}"].astype(bool)
        mask = np.ones(self.z[f"init/{layer}.weight"].shape, bool)
        index = self.z[f"cycle{cycle}/pruned_idx/{layer}"].astype(int)
        if self.args["wg"] == "weight":
            mask.ravel()[index] = False
        else:
            np.moveaxis(mask, int(self.args["wg"] == "channel"), 0)[index] = False
        return mask

    def pick(self, cycle: int) -> dlth.Ticket:
        """The cycle's ticket: fed for random picks; derived from the present weights, and compared, for min and max."""
        recorded = {f"{n}/kernel": to_keras(self.recorded_mask(cycle, n)) for n in self.meta["layers"]}
        pruned = {name: mask for name, mask in recorded.items() if not mask.all()}
        how = "min" if self.args["LTH_Iter"] else self.args["pick_pruned"]
        self.compare(f"cycle{cycle}/pick_w", self.state())
        if how in ("min", "max"):
            magnitudes = scores.magnitude(
                {n: e.weight.numpy() for n, e in masking.prunable_weights(self.model).items() if n in pruned}
            )
            grain = parse_granularity(self.args["wg"])
            for name, magnitude in magnitudes.items():
                score = grain.pool(magnitude if how == "min" else -magnitude)
                mask = grain.expand(grain.keep(score, int(grain.free(pruned[name])[1])), magnitude.shape)
                np.testing.assert_array_equal(
                    mask, pruned[name], err_msg=f"cycle {cycle} picks other weights of {name}"
                )
        return dlth.Ticket.from_masks(pruned)

    def mask_after_next_step(self, ticket: dlth.Ticket) -> None:
        """The official L1_Iter and mini finetune: the mask takes hold only after the first step of the finetune."""
        before = {n: e.weight.numpy() for n, e in masking.prunable_weights(self.model).items()}
        dlth.apply_ticket(self.model, ticket, remove=True)
        for name, entry in masking.prunable_weights(self.model).items():
            entry.weight.assign(before[name])

    # running and comparing ---------------------------------------------------------------------------------------

    def segment(self, phase: int, cycle: int) -> slice:
        """The steps of one phase of one cycle, which must come next."""
        here = np.flatnonzero((self.z["steps/phase"] == phase) & (self.z["steps/cycle"] == cycle))
        if not len(here):
            return slice(self.done, self.done)
        assert here[0] == self.done and len(here) == here[-1] - here[0] + 1
        return slice(int(here[0]), int(here[-1]) + 1)

    def fit(self, steps: slice, callbacks: list) -> Recorder:
        recorder = Recorder(self)
        rate = TableRate(self.z["steps/lr"][steps])
        optimizer = self.optimizer(rate, momentum=self.args["momentum"], weight_decay=self.args["weight_decay"])
        self.model.compile(optimizer, tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        first = self.state()
        self.model.fit(self.data(steps), epochs=1, verbose=0, callbacks=[recorder, *callbacks])
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
        found = [name for name in state if f"{prefix}/{name}" in self.z]
        assert found or prefix.startswith("snap"), f"the trace has no {prefix}"
        for name in found:
            np.testing.assert_allclose(
                state[name], self.z[f"{prefix}/{name}"], rtol=0, atol=self.tolerance, err_msg=f"{prefix}/{name}"
            )

    def transform(self, cycle: int, ticket: dlth.Ticket, schedule: str, remove: bool) -> Recorder:
        """One regularisation phase; the penalty of every step must be the recorded one to the last bit."""
        steps = self.segment(REGULARISE, cycle)
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
        """The official tensors have lost what was removed: theirs must be what is left of ours, whose removed groups are zero.

        A layer that loses filters makes the inputs of the next layer fewer, and one that loses channels the filters of
        the one before; how far a tensor was really cut is read off its recorded shape.
        """
        layers, axis = self.meta["layers"], int(self.args["wg"] == "channel")
        gone = {
            layer: self.z.get(f"pruned_idx/{layer}", self.z.get(f"cycle1/pruned_idx/{layer}")).astype(int)
            for layer in layers
        }
        state, owner = self.state(), ""
        for name in self.meta["params"]:
            layer = name.split(".")[0]
            owner = layer if layer in layers else owner  # batch norm belongs to the convolution before it
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

    # the official methods ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Replays the whole trace."""
        self.build()
        method = "LTH" if self.args["LTH_Iter"] else self.args["method"]
        getattr(self, f"run_{method.lower()}")()

    def run_rst(self) -> None:
        ticket = self.pick(1)
        dlth.apply_ticket(self.model, ticket)
        self._check_last(self.transform(1, ticket, self.args["RST_schedule"], remove=True))
        self.finish(ticket)

    def _check_last(self, recorder: Recorder) -> None:
        self.compare("final_before", recorder.before_removal)
        if not self.args["momentum"]:
            return  # SGD without momentum has no velocities to record
        velocities = recorder.velocities[-1] or [
            to_keras(self.z[f"final_velocity/{name}"]) for name in self.meta["params"]
        ]  # a twin has none
        for name, velocity in zip(self.meta["params"], velocities, strict=True):
            np.testing.assert_allclose(
                to_torch(velocity),
                self.z[f"final_velocity/{name}"],
                rtol=0,
                atol=self.tolerance,
                err_msg=f"velocity of {name}",
            )

    def run_rst_iter(self) -> None:
        delete, cycles = self.args["RST_Iter_weight_delete"], self.args["num_cycles"]
        for cycle in range(1, cycles + 1):
            ticket = self.pick(cycle)
            if delete:
                masking.choose(self.model, ticket)  # what is removed already stays removed
            else:
                dlth.apply_ticket(self.model, ticket)
            recorder = self.transform(cycle, ticket, "x", remove=delete)
            self.compare(f"cycle{cycle}/reg_end", recorder.before_removal)
            steps = self.segment(MINI_FINETUNE, cycle)
            if steps.stop > steps.start:
                if not delete:
                    self.mask_after_next_step(ticket)
                self.fit(steps, [dlth.callbacks.KeepMask()])
                self.compare(f"cycle{cycle}/ft_end", self.state())
        self._check_last(recorder)
        dlth.apply_ticket(self.model, ticket, remove=True)
        self.finish(ticket)

    def run_lth(self) -> None:
        for cycle in range(1, self.args["num_cycles"] + 1):
            self.fit(self.segment(MINI_FINETUNE, cycle), [] if cycle == 1 else [dlth.callbacks.KeepMask()])
            self.compare(f"cycle{cycle}/ft_end", self.state())
            ticket = self.pick(cycle)
            self.load("init")
            dlth.apply_ticket(self.model, ticket, remove=True)
        self.finish(ticket)

    def run_l1_iter(self) -> None:
        for cycle in range(1, self.args["num_cycles"] + 1):
            ticket = self.pick(cycle)
            steps = self.segment(MINI_FINETUNE, cycle)
            if steps.stop > steps.start:
                self.mask_after_next_step(ticket)
                self.fit(steps, [dlth.callbacks.KeepMask()])
                self.compare(f"cycle{cycle}/ft_end", self.state())
        if "final_before/" + self.meta["params"][0] in self.z:
            self.compare("final_before", self.state())
        dlth.apply_ticket(self.model, ticket, remove=True)
        self.finish(ticket)

    def run_l1(self) -> None:
        ticket = self.pick(1)
        dlth.apply_ticket(self.model, ticket, remove=True)
        self.finish(ticket)


def to_keras(value: np.ndarray) -> np.ndarray:
    """PyTorch's layout of a kernel (OIHW, or out x in) -> Keras' (HWIO, in x out)."""
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T


def to_torch(value: np.ndarray) -> np.ndarray:
    """Keras' layout of a kernel -> PyTorch's."""
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
