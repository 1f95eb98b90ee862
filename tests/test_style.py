"""Rules of CONTRIBUTING: how docstrings begin, one attribute per assignment, few parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("dlth_tf", "tests", "benchmarks", "scripts", "examples")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "saved_models/README.md", "flags")
HEADS = {"What", "Which", "How", "Where", "Whether"}
NONE = re.compile(r"\b(that is none|are none)\b")
MOST_PARAMETERS = 7
MORE_PARAMETERS = {  # public signatures of the contract, whose arguments users name
    "dlth_tf/callbacks/early_bird.py EarlyBird.__init__": 9,
    "dlth_tf/callbacks/rst_penalty.py RSTPenalty.__init__": 9,
}
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield text


def bad_heads(tree: ast.AST) -> list[str]:
    return [text.splitlines()[0] for text in docstrings(tree) if re.split(r"\W", text, maxsplit=1)[0] in HEADS]


def test_docstrings_begin_with_a_verb_or_the_fields_noun():
    assert {path: found for path, tree in sources(*CODE) if (found := bad_heads(tree))} == {}


def test_a_docstring_that_begins_with_a_question_word_would_be_seen():
    assert bad_heads(ast.parse('def f():\n    """Which runs are there."""')) == ["Which runs are there."]
    assert bad_heads(ast.parse('def f():\n    """Whichever run comes first."""')) == []


def texts() -> Iterator[tuple[str, str]]:
    for path, tree in sources(*CODE):
        if path != "tests/test_style.py":
            words = [
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            yield path, "\n".join(words)
    for page in PAGES:
        for path in [ROOT / page] if (ROOT / page).is_file() else sorted((ROOT / page).rglob("*")):
            if path.suffix in (".md", ".flags"):
                yield path.relative_to(ROOT).as_posix(), path.read_text()


def test_no_text_says_none_for_invalid():
    assert {path: found for path, text in texts() if (found := NONE.findall(text))} == {}


def test_none_for_invalid_would_be_seen():
    assert NONE.search("a width that is none") and NONE.search("numbers that are none")
    assert not NONE.search("it is None") and not NONE.search("it is none of these")


def attribute_tuples(tree: ast.AST) -> list[int]:
    """Lines that assign several attributes of `self` at once."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Tuple)
        and isinstance(node.value, ast.Tuple)
        and sum(isinstance(element, ast.Attribute) for element in target.elts) > 1
    ]


def test_every_attribute_has_its_own_assignment():
    assert {path: lines for path, tree in sources("dlth_tf") if (lines := attribute_tuples(tree))} == {}


def test_attributes_assigned_together_would_be_seen():
    assert attribute_tuples(ast.parse("self.a, self.b = a, b")) == [1]
    assert attribute_tuples(ast.parse("self.a, self.b = pair()")) == []


def parameters(tree: ast.AST) -> dict[str, int]:
    """Number of parameters of every function, without self and cls."""
    counts: dict[str, int] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                named = [*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs]
                counts[prefix + child.name] = sum(argument.arg not in ("self", "cls") for argument in named)
            visit(child, f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix)

    visit(tree, "")
    return counts


def test_functions_have_at_most_seven_parameters_but_for_two_public_ones():
    many = {
        f"{path} {name}": count
        for path, tree in sources("dlth_tf")
        for name, count in parameters(tree).items()
        if count > MOST_PARAMETERS
    }
    assert many == MORE_PARAMETERS


@pytest.mark.parametrize(("arguments", "count"), [("a, b, *, c", 3), ("self, a, /, b=1", 2), ("cls", 0)])
def test_parameters_are_counted(arguments, count):
    assert parameters(ast.parse(f"class K:\n    def f({arguments}): ...")) == {"K.f": count}
