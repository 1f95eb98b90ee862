"""Imports run one way, in every file and function body, and private names of other packages stay in a few files."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "dlth_tf"

# From the ground up. A room may import its own files and those of lower floors, but no neighbor on its floor.
FLOORS = (
    (
        "errors",
        "files",
        "legacy_keras",
        "onednn",
        "plain_numbers",
        "randomness",
        "registry",
        "stopping",
        "version",
    ),
    ("console", "core", "export_options", "flag_files", "measures"),
    ("scores",),
    ("masking", "data", "models", "analysis"),
    ("callbacks", "deploy", "keras3", "tensorflow_start"),
    ("methods",),
    ("runs",),
    ("sweeps",),
    ("commands",),
    ("train", "sweep", "export", "report", "__main__"),
)
FACE = PACKAGE  # dlth_tf/__init__.py hands names on; no file imports it
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Ground-floor files that use each other.
WITHIN_GROUND = {
    ("files", "errors"),
    ("files", "plain_numbers"),
    ("legacy_keras", "errors"),
    ("plain_numbers", "errors"),
    ("randomness", "errors"),
    ("randomness", "plain_numbers"),
    ("registry", "errors"),
    ("stopping", "errors"),
}

Imports = Mapping[str, set[str]]  # module -> the modules that it imports


def imports_of(source: str, module: str, modules: set[str]) -> Iterator[str]:
    """Yields the modules of the package that a file imports, at its top, in a function, or for type checkers only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            if node.module and node.module.split(".")[0] == PACKAGE:
                for alias in node.names:
                    inside = f"{node.module}.{alias.name}"
                    yield inside if inside in modules else node.module
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            first = node.args[0]
            if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield from [first.value] if str(first.value).split(".")[0] == PACKAGE else []


def sources() -> dict[str, str]:
    found = {}
    for path in (ROOT / PACKAGE).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def graph(texts: Mapping[str, str]) -> Imports:
    """The import graph. A package's face leads to what it hands on, so whoever imports it imports that."""
    modules = set(texts)
    return {
        name: {target for target in imports_of(text, name, modules) if target != name} for name, text in texts.items()
    }


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else FACE


def arrows_up(imports: Imports) -> list[str]:
    """Arrows between rooms that do not lead to a lower floor."""
    wrong = []
    for module, targets in imports.items():
        for target in targets:
            here, there = room(module), room(target)
            if here in (there, FACE) or (here, there) in WITHIN_GROUND:
                continue
            if there == FACE or FLOOR_OF[there] >= FLOOR_OF[here]:
                wrong.append(f"{module} -> {target}")
    return sorted(wrong)


def circles(imports: Imports) -> list[list[str]]:
    """Files that import each other in a loop (strongly connected components), faces of packages left out."""
    faces = {module for module in imports if any(other.startswith(f"{module}.") for other in imports)}
    edges = {module: targets - faces for module, targets in imports.items() if module not in faces}
    order: list[str] = []
    seen: set[str] = set()

    def visit(module: str, follow: Mapping[str, set[str]], into: list[str]) -> None:
        stack = [(module, iter(sorted(follow.get(module, ()))))]
        seen.add(module)
        while stack:
            node, ahead = stack[-1]
            for target in ahead:
                if target not in seen and target in edges:
                    seen.add(target)
                    stack.append((target, iter(sorted(follow.get(target, ())))))
                    break
            else:
                stack.pop()
                into.append(node)

    for module in sorted(edges):
        if module not in seen:
            visit(module, edges, order)
    back: dict[str, set[str]] = defaultdict(set)
    for module, targets in edges.items():
        for target in targets:
            back[target].add(module)
    seen.clear()
    found = []
    for module in reversed(order):
        if module not in seen:
            component: list[str] = []
            visit(module, back, component)
            found.append(sorted(component))
    return [component for component in found if len(component) > 1]


def test_every_room_has_a_floor():
    rooms = {room(module) for module in sources()} - {FACE}
    assert rooms == set(FLOOR_OF), "a room that stands on no floor, or a floor without its room"


def test_no_import_leads_to_a_higher_floor_or_a_neighbor():
    assert arrows_up(graph(sources())) == []


def test_no_files_import_each_other_in_a_circle():
    assert circles(graph(sources())) == []


@pytest.mark.fast_cases("dlth_tf.core.masks-def*", "dlth_tf.data.load-*", "dlth_tf.analysis.report-*")
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("dlth_tf.core.masks", "from dlth_tf.masking import tickets"),
        ("dlth_tf.core.masks", "def f():\n    from dlth_tf.masking.tickets import random_ticket"),
        ("dlth_tf.deploy.export", "from dlth_tf.runs.config import RunConfig"),
        ("dlth_tf.runs.runner", "import dlth_tf.sweeps.grid"),
        ("dlth_tf.runs.directory", "from dlth_tf import __version__"),
        ("dlth_tf.sweeps.dry_run", "def f():\n    importlib.import_module('dlth_tf.commands')"),
        ("dlth_tf.data.load", "from dlth_tf import models"),
        ("dlth_tf.analysis.report", "if TYPE_CHECKING:\n    from dlth_tf.runs.config import RunConfig"),
    ],
)
def test_an_arrow_that_runs_back_up_would_be_seen(module, line):
    texts = sources()
    texts[module] += f"\n{line}\n"
    assert [arrow for arrow in arrows_up(graph(texts)) if arrow.startswith(module)]


@pytest.mark.parametrize("indent", ["", "def f():\n    "], ids=["at the top", "in a function"])
def test_a_circle_would_be_seen(indent):
    texts = sources()
    texts["dlth_tf.core.top_k"] += f"\n{indent}from dlth_tf.core.masks import choose_masks\n"
    assert any("dlth_tf.core.masks" in component for component in circles(graph(texts)))


# Files that may use private names (`._something`) of other packages, and why.
PRIVATE = {
    "dlth_tf/callbacks/base.py": "the marker by which Keras 3 recognizes hooks that do nothing",
    "dlth_tf/data/augment/rand_augment.py": "keras-cv's layers have no public way to replace their generators",
    "dlth_tf/masking/keras2/execution.py": "steps per execution, generators and the kernel of an LSTM are not public",
    "dlth_tf/masking/keras2/fit_state.py": "state that belongs to a model's checkpoints without being a layer of it",
    "dlth_tf/masking/keras2/graph.py": "Keras' graph of layers",
    "dlth_tf/masking/keras2/hook.py": "the optimizer's key of a variable",
    "dlth_tf/masking/keras2/installing.py": "the layers of a model, and an optimizer's index of its variables",
    "dlth_tf/masking/keras2/layer.py": "the wrapper of tf-mot reads and sets private state of Keras' layers",
    "dlth_tf/masking/keras2/optimizers.py": "the base class of Keras' optimizers, and their lists of slots",
    "dlth_tf/masking/keras2/parts.py": "tf-mot's table of prunable weights",
    "dlth_tf/deploy/compaction/keras3.py": "the shape that a Lambda of Keras 3 was given",
    "dlth_tf/masking/structure/layer_paths.py": "the layers inside a layer, under one private name in both Kerases",
    "dlth_tf/masking/structure/kernel_uses.py": "the functions that a graph calls",
    "dlth_tf/masking/keras2/wrapping.py": "loss functions and the trainable flag of a model that is built anew",
    "dlth_tf/deploy/keras3/network.py": "Keras' graph of layers, and the shapes that a subclassed model was built for",
    "dlth_tf/deploy/keras3/probe.py": "the inputs of Keras' graph of layers, and the masks of its tensors",
    "dlth_tf/deploy/keras3/translation.py": "Keras' graph of layers, and whether a layer behaves otherwise in training",
    "dlth_tf/masking/keras3/graph.py": "Keras' graph of layers",
    "dlth_tf/masking/keras3/hook.py": "the update of all variables, and keys and tracking of the optimizer's own",
    "dlth_tf/masking/keras3/installing.py": "the step count of an optimizer that accumulates gradients",
    "dlth_tf/masking/keras3/optimizers.py": "the optimizer's lists of slots",
    "dlth_tf/scores/keras2.py": "Keras' graph, and scores are on a lower floor than masking",
    "dlth_tf/scores/keras3.py": "the layers of a model, and the dtype of a graph's inputs",
}


def private_names(source: str) -> set[str]:
    """Names with a leading underscore of objects other than `self` and `cls` that the file itself does not define.

    A named tuple's `_make` is public.
    """
    tree = ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {
        target.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    }
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }
    used |= {
        str(node.args[1].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr", "setattr")
        and isinstance(node.args[1], ast.Constant)
    }
    return {name for name in used - own if name.startswith("_") and not name.startswith("__")} - {"_make"}


def users_of_private_names() -> dict[str, set[str]]:
    files = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / PACKAGE).rglob("*.py")}
    return {path: names for path, text in files.items() if (names := private_names(text))}


def test_private_names_of_other_packages_are_used_in_these_files_alone():
    assert {path: names for path, names in users_of_private_names().items() if path not in PRIVATE} == {}


def test_every_file_of_the_list_needs_to_be_on_it():
    assert sorted(set(PRIVATE) - set(users_of_private_names())) == []


def test_a_private_name_elsewhere_would_be_seen():
    text = (ROOT / PACKAGE / "callbacks" / "keep_mask.py").read_text()
    assert private_names(text) == set()
    assert private_names(text + "\n\ndef steps(model):\n    return model._steps_per_execution\n") == {
        "_steps_per_execution"
    }
