"""The last part of the contract: the same command yields the same weights, and another seed yields others."""

from __future__ import annotations

import pytest

from dlth_tf.methods import METHODS
from tests.runs import tiny
from tests.runs.test_contract import planned
from tests.runs.tiny import train

# Run again in the slow tests, the others in the tests of faults: a mask that changes, and a ticket from scores. See
# test_repeatable.py for rst.
OF_EACH_KIND = ("rigl", "snip")


@pytest.mark.faults_cases(*(name for name in METHODS.names() if name not in OF_EACH_KIND))
@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS.names())
def test_the_same_command_gives_the_same_digest_and_another_seed_another(method, tmp_path, tiny_runs):
    first, again = tiny_runs[method], train(tiny.tiny(method, tmp_path / "again"))
    other = train(tiny.tiny(method, tmp_path / "other", seed=1))
    assert again.result["weights_sha256"] == first.result["weights_sha256"]
    assert again.directory.ticket.read_bytes() == first.directory.ticket.read_bytes()
    assert again.history.drop(columns="seconds").equals(first.history.drop(columns="seconds"))
    assert other.result["weights_sha256"] != first.result["weights_sha256"]
    last = planned(first)[-1].name
    assert not set(other.watched.batches[last]) & set(first.watched.batches[last])
