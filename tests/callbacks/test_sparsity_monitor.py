"""SparsityMonitor: what TensorBoard shows of a transformation, read back from its file."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dlth_tf as dlth
from dlth_tf import BadInput
from dlth_tf.callbacks import KeepMask, RandomMask, RSTPenalty, SparsityMonitor
from tests.masking.networks import compiled, mlp, train, wrapped

TENSORS = ["fc1/kernel", "fc2/kernel", "out/kernel"]


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    """tag -> [(step, value), ...] as TensorBoard reads it."""
    events = EventAccumulator(str(folder / "sparsity"), size_guidance={"tensors": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["tensors"] if not tag.startswith("weights/")]
    return {
        tag: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)] for tag in tags
    }


@pytest.fixture
def transformed(tmp_path):
    """A transformation in 6 epochs and a finetune of 2, each with its own folder."""
    model = compiled(dlth.wrap(mlp()), dlth.optimizers.SGD(0.05, momentum=0.9))
    penalty = RSTPenalty(step=0.25, every=4, limit=1.0, hold_steps=19)
    assert penalty.steps == 36
    train(model, [RandomMask(0.5), penalty, SparsityMonitor(tmp_path / "transform")], epochs=6)
    train(compiled(model), [KeepMask(), SparsityMonitor(tmp_path / "finetune")], epochs=2)
    return scalars(tmp_path / "transform"), scalars(tmp_path / "finetune"), penalty


def test_every_scalar_is_there_at_every_epochs_end(transformed):
    transform, finetune, _ = transformed
    names = {"penalty", "sparsity/all"}
    names |= {f"{tag}/{tensor}" for tag in ("sparsity", "mean_abs/kept") for tensor in TENSORS}
    names |= {f"mean_abs/to_remove/{tensor}" for tensor in TENSORS[:2]}
    assert transform.keys() == finetune.keys() == names
    assert all([step for step, _ in values] == [0, 6, 12, 18, 24, 30, 36] for values in transform.values())
    assert all([step for step, _ in values] == [0, 6, 12] for values in finetune.values())


def test_the_weights_that_will_be_removed_are_squeezed_out_and_the_kept_ones_are_not(transformed):
    transform, _, _ = transformed
    for tensor in TENSORS[:2]:
        sizes = [value for _, value in transform[f"mean_abs/to_remove/{tensor}"]]
        assert sizes[-1] < 0.3 * sizes[0] and sizes[-1] == min(sizes)
        kept = [value for _, value in transform[f"mean_abs/kept/{tensor}"]]
        assert min(kept) > 0.8 * kept[0]


def test_the_penalty_is_the_staircase(transformed):
    transform, finetune, penalty = transformed
    steps = [step for step, _ in transform["penalty"]]
    assert [value for _, value in transform["penalty"]] == [
        float(penalty.penalty.at(max(0, step - 1))) for step in steps
    ]
    assert len({value for _, value in transform["penalty"]}) > 3
    assert {value for _, value in finetune["penalty"]} == {0.0}


def test_sparsity_is_what_is_really_removed(transformed):
    transform, finetune, _ = transformed
    assert {value for tag, values in transform.items() if tag.startswith("sparsity") for _, value in values} == {0.0}
    assert {value for tensor in TENSORS[:2] for _, value in finetune[f"sparsity/{tensor}"]} == {0.5}
    assert {value for _, value in finetune["sparsity/out/kernel"]} == {0.0}
    assert {value for _, value in finetune["sparsity/all"]} == {float(np.float32(108 / 246))}
    assert {value for tensor in TENSORS[:2] for _, value in finetune[f"mean_abs/to_remove/{tensor}"]} == {0.0}


def test_without_a_penalty_nothing_is_squeezed_out(tmp_path):
    train(
        compiled(wrapped(remove=False), dlth.optimizers.SGD(0.05, momentum=0.9)), [SparsityMonitor(tmp_path)], epochs=6
    )
    for tensor in TENSORS[:2]:
        sizes = [value for _, value in scalars(tmp_path)[f"mean_abs/to_remove/{tensor}"]]
        assert sizes[-1] > 0.9 * sizes[0]


def test_histograms_are_written_if_asked_for(tmp_path):
    for histograms in (False, True):
        folder = tmp_path / str(histograms)
        train(compiled(wrapped()), [KeepMask(), SparsityMonitor(folder, histograms=histograms)])
        events = EventAccumulator(str(folder / "sparsity"))
        events.Reload()
        found = {tag for tag in events.Tags()["tensors"] if tag.startswith("weights/")}
        assert found == ({f"weights/{tensor}" for tensor in TENSORS} if histograms else set())


def test_a_model_that_is_not_wrapped_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(BadInput, match="model=mlp: is not wrapped"):
        train(compiled(mlp()), [SparsityMonitor(tmp_path / "logs")])
    assert not (tmp_path / "logs").exists()
