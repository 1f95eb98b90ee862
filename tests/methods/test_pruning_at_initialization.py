"""snip, grasp and synflow: the tickets that they choose before training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dlth_tf import data as data_room
from dlth_tf import masking, scores
from dlth_tf.core import PruningSpec, Ticket, removed_count
from dlth_tf.methods.actions import draw_by_synflow
from dlth_tf.runs.inputs import Inputs
from tests.methods.tiny_network import initial, network, slow, ticket
from tests.runs.tiny import data_dir

GLOBAL = PruningSpec.parse(0.9, "global")


def samples(seed: int = 0) -> Inputs:
    """Returns the training images of the tiny runs, drawn with a seed."""
    data = data_room.load("digits", data_dir())
    return Inputs(data, data_room.normalization(data, None), seed, "none", "float32")


def chosen_by(method: str, seed: int = 0) -> Ticket:
    """Draws the ticket again, from the initial weights and the seed's sample."""
    model = network()

    def score(entries: dict[str, masking.PrunableWeight]) -> dict[str, np.ndarray]:
        weights = {name: entry.weight for name, entry in entries.items()}
        if method == "snip":
            return scores.snip(model, weights, *samples(seed).batch("snip", 128))
        return scores.grasp(model, weights, samples(seed).balanced("grasp", 10, 128))

    return masking.draw_ticket(model, GLOBAL, score, method)


@pytest.mark.parametrize("method", ["grasp", slow("snip")])
def test_the_ticket_is_that_of_the_initial_weights_and_the_seeds_sample(method, tiny_runs):
    done = tiny_runs[method]
    assert ticket(done) == chosen_by(method) != chosen_by(method, seed=1)
    before = done.watched.before["finetune"]
    assert all(
        np.array_equal(before[name], np.where(ticket(done).get(name, True), value, 0))
        for name, value in initial().items()
    )


def test_synflow_keeps_the_same_share_in_each_of_its_hundred_rounds(monkeypatch):
    kept = []
    score = scores.SynapticFlow.score

    def noted(self: Any, masks: Any) -> dict[str, np.ndarray]:
        kept.append(sum(int(mask.sum()) for mask in masks.values()) / 2220 if masks else 1.0)
        return score(self, masks)

    monkeypatch.setattr(scores.SynapticFlow, "score", noted)
    drawn = SimpleNamespace(
        model=network(), recipe=SimpleNamespace(spec=GLOBAL), inputs=SimpleNamespace(image_shape=(8, 8, 1))
    )
    draw_by_synflow(drawn)
    assert len(kept) == 100
    assert [round(kept[number], 3) for number in (1, 10, 25, 50, 75)] == [0.977, 0.794, 0.562, 0.316, 0.177]
    chosen = masking.chosen_ticket(drawn.model)
    assert chosen.removed == removed_count(2220, 0.9)
    model = network()
    weights = {name: entry.weight for name, entry in masking.prunable_weights(model).items()}
    scorer = scores.SynapticFlow(model, weights, (8, 8, 1))
    once = masking.draw_ticket(model, GLOBAL, lambda entries: {n: scorer.score({})[n] for n in entries}, "synflow")
    assert chosen != once, "the twin: one round would choose others"
