"""Roles of methods: every method in a role is registered, and no other module of the room names one."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

from dlth_tf import analysis
from dlth_tf.analysis import roles
from dlth_tf.analysis.roles import CONTROLS, LONG, TRANSFORMED, WINNING, opponents, question, role
from dlth_tf.methods import METHODS

ROOM = Path(analysis.__file__).parent
NAMES = {*TRANSFORMED, *CONTROLS, *WINNING}


def names_in(source: str) -> set[str]:
    """Returns the methods with a role that a text constant of the source consists of."""
    constants = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return NAMES & {value for value in constants if isinstance(value, str)}


def test_methods_with_a_role_are_registered():
    assert set(METHODS.names()) >= NAMES >= set(LONG)


def test_a_method_is_compared_as_a_control_or_as_the_winning_ticket():
    assert {role(name) for name in CONTROLS} == {"control"} and {role(name) for name in WINNING} == {"winning ticket"}


def test_like_is_compared_with_like_and_one_transformation_also_with_several_rounds():
    asked = {(name, other): question(name, other) for name in TRANSFORMED for other in opponents(name)}
    assert {pair: words for pair, words in asked.items() if words != "control"} == {
        ("rst", "lth"): "like with like",
        ("rst", "lth_long"): "like with like",
        ("rst", "lth_iter"): "the harder question",
        ("rst_iter", "lth_iter"): "like with like",
    }
    assert {other for (_, other), words in asked.items() if words == "control"} == set(CONTROLS)


def test_docstring_examples_are_true():
    result = doctest.testmod(roles)
    assert result.failed == 0 and result.attempted > 0


def test_no_other_module_of_the_room_names_a_method():
    named = {path.name: names_in(path.read_text()) for path in ROOM.glob("*.py")}
    assert named.pop("roles.py") == NAMES
    assert not any(named.values()), named


def test_a_name_elsewhere_would_be_found():
    assert names_in('REFERENCE = ("scratch", "scratches")') == {"scratch"}
