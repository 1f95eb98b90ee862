"""Executions: the steps after which a callback can act are those at which a real `fit` calls it."""

from __future__ import annotations

import pytest

from dlth_tf import BadInput
from dlth_tf.callbacks.base import Callback
from dlth_tf.callbacks.executions import Executions
from tests.masking.networks import batches, compiled, mlp


class Ends(Callback):
    """Notes after how many steps of the optimizer Keras calls a callback."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_begin(self, logs=None):
        self.executions = Executions.of(self.model, self.params["steps"])

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(int(self.model.optimizer.iterations.numpy()))


@pytest.mark.fast_cases("7-3", "3-20")
@pytest.mark.parametrize(("per_epoch", "execution"), [(5, 1), (7, 3), (6, 3), (3, 20)])
def test_executions_end_where_those_of_a_fit_do(per_epoch, execution):
    model = compiled(mlp(), steps_per_execution=execution)
    ends = Ends()
    model.fit(batches(per_epoch), epochs=3, verbose=0, callbacks=[ends])
    assert ends.seen == [step for step in range(1, 3 * per_epoch + 1) if ends.executions.end_at(step)]


def test_without_a_known_epoch_an_execution_ends_after_every_multiple():
    executions = Executions(4, None, change=False)
    assert [step for step in range(1, 13) if executions.end_at(step)] == [4, 8, 12]


@pytest.mark.parametrize("per_epoch", [None, 7, 18, 20])
@pytest.mark.parametrize("steps", [2, 3, 5, 20])
def test_the_number_in_the_message_works_and_is_the_largest(per_epoch, steps):
    for step in range(1, 60):
        executions = Executions(steps, per_epoch, change=False)
        if executions.end_at(step):
            executions.check_end_at(step, "{} steps")
            continue
        with pytest.raises(
            BadInput, match=rf"steps_per_execution={steps}: does not divide the \d+ steps: use \d+$"
        ) as e:
            executions.check_end_at(step, "{} steps")
        fits = int(str(e.value).rpartition(" ")[2])
        working = [each for each in range(1, steps) if Executions(each, per_epoch, change=False).end_at(step)]
        assert fits == max(working)
