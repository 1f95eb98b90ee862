"""A sparsity for every tensor by its name."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import PatternMap
from dlth_tf.errors import BadInput
from tests.core.choices import choose_masks
from tests.core.networks import RESNET56, drawn

TENSORS = ["conv1/kernel", "stage1_conv1/kernel", "mha/query/kernel", "lstm/kernel", "lstm/recurrent_kernel"]
PATTERNS = ["*", "c*", "conv?", "stage1*", "*kernel", "lstm", "lstm/kernel", "mha/query", "mha", "[cl]*"]


def test_the_map_of_the_issue_does_what_it_says_in_either_order():
    for given_map in ({"stage1*": 0.5, "*": 0.98}, {"*": 0.98, "stage1*": 0.5}):
        kept = PatternMap.parse(json.dumps(given_map))(RESNET56)
        assert {
            name: kept[name] for name in ("stage1_conv0/kernel", "stage2_conv0/kernel", "stage3_conv17/kernel")
        } == {
            "stage1_conv0/kernel": 2304 - 1152,
            "stage2_conv0/kernel": 4608 - 4516,
            "stage3_conv17/kernel": 36_864 - 36_127,
        }


def test_the_last_match_would_overrule_every_other():
    pairs = {"stage1*": 0.5, "*": 0.98}
    assert list(pairs.values())[-1] != PatternMap.parse(pairs).sparsity_of("stage1_conv0/kernel") == 0.5


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("conv1/kernel", "conv1"),
        ("conv1/kernel", "conv1/kernel"),
        ("conv1/kernel", "*"),
        ("conv1/kernel", "conv[12]"),
        ("mha/query/kernel", "mha"),
        ("mha/query/kernel", "mha/query"),
        ("lstm/recurrent_kernel", "*recurrent*"),
    ],
)
def test_layer_and_full_name_are_matched(name, pattern):
    assert PatternMap.parse({pattern: 0.5}).sparsity_of(name) == Fraction(1, 2)


@pytest.mark.parametrize(
    ("name", "pattern"), [("conv10/kernel", "conv1"), ("conv1/kernel", "Conv1"), ("conv1/kernel", "kernel")]
)
def test_other_names_are_not(name, pattern):
    assert PatternMap.parse({pattern: 0.5}).sparsity_of(name) == 0


def test_what_nothing_matches_is_kept_whole():
    assert PatternMap.parse({"a": 0.5})({"a/kernel": (4, 4), "b/kernel": (4, 4)}) == {"a/kernel": 8, "b/kernel": 16}


def test_the_most_specific_decides_and_of_equals_the_last():
    found = PatternMap.parse({"conv1/kernel": 0.1, "*": 0.9, "conv?": 0.2, "conv[1]": 0.3, "conv1": 0.4})
    assert found.sparsity_of("conv1/kernel") == Fraction(1, 10)
    assert PatternMap.parse({"conv?": 0.2, "*": 0.9, "conv[1]": 0.3}).sparsity_of("conv1/kernel") == Fraction(3, 10)
    assert PatternMap.parse({"conv[1]": 0.3, "*": 0.9, "conv?": 0.2}).sparsity_of("conv1/kernel") == Fraction(1, 5)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.dictionaries(st.sampled_from(PATTERNS), st.integers(0, 99).map(lambda p: p / 100), min_size=1),
    name=st.sampled_from(TENSORS),
)
def test_text_mapping_and_printed_form_are_the_same_map(pairs, name):
    from_text = PatternMap.parse(json.dumps(pairs))
    assert from_text == PatternMap.parse(pairs) == PatternMap.parse(str(from_text))
    assert float(from_text.sparsity_of(name)) in {0.0, *pairs.values()}
    hash(from_text)


def test_numbers_are_what_was_typed():
    assert PatternMap.parse('{"*": 0.07}')({"a": (100,)}) == {"a": 93}
    assert 100 - int(-(-0.07 * 100 // 1)) == 92, "the float product would have removed one more"


def test_in_cycles_every_tensor_follows_its_own_sparsity():
    found = PatternMap.parse({"a": 0.75, "b": 0.19})
    assert found.after(1, 2).sparsities == (("a", Fraction(1, 2)), ("b", Fraction(1, 10)))
    assert found.after(2, 2) == found
    masks = choose_masks(drawn({"a/kernel": (100,), "b/kernel": (100,)}, 0), 0.5, {"a": 0.75, "b": 0.19}, cycle=(1, 2))
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"a/kernel": 50, "b/kernel": 90}


@pytest.mark.parametrize(
    ("given_map", "sentence"),
    [
        ("{", "is not a JSON object of patterns and sparsities such as"),
        ('[["a", 0.5]]', "is not a JSON object"),
        ('{"a": 0.5} x', "is not a JSON object"),
        ("{}", "needs at least one pattern"),
        ('{"": 0.5}', "needs at least one pattern"),
        ('{"a": 0.5, "a": 0.6}', "each only once"),
        ('{"a": 1.0}', "allocation=a: 1.0: must be at least 0 and below 1"),
        ('{"a": -0.5}', "allocation=a: -0.5: must be at least 0 and below 1"),
        ('{"a": "much"}', "allocation=a: much: must be a number"),
        ('{"a": NaN}', "must be a number"),
        ('{"a": true}', "must be a number"),
        ('{"a": {"b": 0.5}}', "must be a number"),
        ("[" * 100_000, "is not a JSON object"),
        ({3: 0.5}, "needs at least one pattern"),
    ],
)
def test_an_unusable_map_is_refused(given_map, sentence):
    with pytest.raises(BadInput, match=sentence):
        PatternMap.parse(given_map)


def test_a_pattern_that_matches_nothing_is_a_slip_unless_it_removes_nothing():
    with pytest.raises(
        BadInput, match=r"allocation=stage9\*: matches no pruned tensor; the tensors are a/kernel, b/kernel"
    ):
        PatternMap.parse({"stage9*": 0.5, "*": 0.9})({"a/kernel": (4,), "b/kernel": (4,)})
    assert PatternMap.parse({"stage9*": 0, "*": 0.5})({"a/kernel": (4,)}) == {"a/kernel": 2}
    assert PatternMap.parse({"a": 0.5, "b": 0.5, "*": 0.9})({"a/kernel": (4,), "b/kernel": (4,)}) == {
        "a/kernel": 2,
        "b/kernel": 2,
    }
