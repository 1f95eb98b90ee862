"""The methods of the official code, step by step, as replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import dlth_tf as dlth
from dlth_tf import masking
from tests.golden.recorder import Recorder
from tests.golden.torch_twins import to_keras, to_torch
from tests.golden.trace import MINI_FINETUNE

if TYPE_CHECKING:
    from tests.golden.replay import Replay


def rst(replay: Replay) -> None:
    """Replays Random Sparse Network Transformation."""
    ticket = replay.pick(1)
    dlth.apply_ticket(replay.model, ticket)
    _check_last(replay, replay.transform(1, ticket, replay.args["RST_schedule"], remove=True))
    replay.finish(ticket)


def rst_iter(replay: Replay) -> None:
    """Replays RST in cycles."""
    delete = replay.args["RST_Iter_weight_delete"]
    for cycle in range(1, replay.args["num_cycles"] + 1):
        ticket = replay.pick(cycle)
        if delete:
            masking.choose(replay.model, ticket)  # weights that are removed already stay removed
        else:
            dlth.apply_ticket(replay.model, ticket)
        recorder = replay.transform(cycle, ticket, "x", remove=delete)
        replay.compare(f"cycle{cycle}/reg_end", recorder.before_removal)
        steps = replay.segment(MINI_FINETUNE, cycle)
        if steps.stop > steps.start:
            if not delete:
                replay.mask_after_next_step(ticket)
            replay.fit(steps, [dlth.callbacks.KeepMask()])
            replay.compare(f"cycle{cycle}/ft_end", replay.state())
    _check_last(replay, recorder)
    dlth.apply_ticket(replay.model, ticket, remove=True)
    replay.finish(ticket)


def lth(replay: Replay) -> None:
    """Replays iterative magnitude pruning with rewinding to the start."""
    for cycle in range(1, replay.args["num_cycles"] + 1):
        replay.fit(replay.segment(MINI_FINETUNE, cycle), [] if cycle == 1 else [dlth.callbacks.KeepMask()])
        replay.compare(f"cycle{cycle}/ft_end", replay.state())
        ticket = replay.pick(cycle)
        replay.load("init")
        dlth.apply_ticket(replay.model, ticket, remove=True)
    replay.finish(ticket)


def l1_iter(replay: Replay) -> None:
    """Replays iterative magnitude pruning without rewinding."""
    for cycle in range(1, replay.args["num_cycles"] + 1):
        ticket = replay.pick(cycle)
        steps = replay.segment(MINI_FINETUNE, cycle)
        if steps.stop > steps.start:
            replay.mask_after_next_step(ticket)
            replay.fit(steps, [dlth.callbacks.KeepMask()])
            replay.compare(f"cycle{cycle}/ft_end", replay.state())
    if "final_before/" + replay.meta["params"][0] in replay.z:
        replay.compare("final_before", replay.state())
    dlth.apply_ticket(replay.model, ticket, remove=True)
    replay.finish(ticket)


def l1(replay: Replay) -> None:
    """Replays one-shot magnitude pruning."""
    ticket = replay.pick(1)
    dlth.apply_ticket(replay.model, ticket, remove=True)
    replay.finish(ticket)


def _check_last(replay: Replay, recorder: Recorder) -> None:
    replay.compare("final_before", recorder.before_removal)
    if not replay.args["momentum"]:
        return  # SGD without momentum has no velocities to record
    velocities = recorder.velocities[-1] or [  # the optimizer of a negative twin has none
        to_keras(replay.z[f"final_velocity/{name}"]) for name in replay.meta["params"]
    ]
    for name, velocity in zip(replay.meta["params"], velocities, strict=True):
        np.testing.assert_allclose(
            to_torch(velocity),
            replay.z[f"final_velocity/{name}"],
            rtol=0,
            atol=replay.tolerance,
            err_msg=f"velocity of {name}",
        )


METHODS = {"RST": rst, "RST_Iter": rst_iter, "LTH": lth, "L1_Iter": l1_iter, "L1": l1}
