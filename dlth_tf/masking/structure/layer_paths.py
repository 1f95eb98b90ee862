"""Names of the layers inside a layer and of their weights; the same rules for both Kerases."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

Layer: TypeAlias = Any  # of either Keras
Path: TypeAlias = tuple[str, ...]


def located(model: Any, model_type: Any, input_type: Any) -> Iterator[tuple[Path, Layer]]:
    """Yields every layer of a model and of nested models, once each, in model order, but no input layers.

    Args:
      model: A model.
      model_type: The class of models, whose layers are yielded instead of themselves.
      input_type: The class of input layers.

    Yields:
      The names of the nested models around a layer, and the layer.
    """
    seen: set[int] = set()

    def walk(layers: list[Layer], path: Path) -> Iterator[tuple[Path, Layer]]:
        for layer in layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            if isinstance(layer, model_type):
                yield from walk(layer.layers, (*path, layer.name))
            elif not isinstance(layer, input_type):
                yield path, layer

    return walk(model.layers, ())


def unique_names(found: Sequence[tuple[Path, Layer]]) -> dict[int, str]:
    """Returns a name for every layer with weights, by id.

    It is the layer's own; where several have the same, as in two towers that one function has built, those of the
    nested models around it are put before it ("left/conv1").

    Args:
      found: Layers with the names of the nested models around them.
    """
    named = [(path, layer) for path, layer in found if layer.weights or not layer.built]
    times = Counter(layer.name for _, layer in named)
    return {id(layer): "/".join((*path, layer.name)) if times[layer.name] > 1 else layer.name for path, layer in named}


def sublayers(layer: Layer) -> list[Layer]:
    """Returns the layers that a layer holds in its attributes, also in lists and dictionaries, but not theirs."""
    return list(layer._flatten_layers(recursive=False, include_self=False))


def all_sublayers(layer: Layer) -> list[Layer]:
    """Returns the layers inside a layer, at any depth."""
    return list(layer._flatten_layers(recursive=True, include_self=False))


def parts_of(layer: Layer, is_prunable: Callable[[Layer], bool]) -> list[tuple[Path, Layer]]:
    """Returns the prunable layers inside a layer that is not prunable itself, with their paths, in order of creation.

    A path is made of the names of the layers from the outer layer's sublayer to the part ("attend"; "feed", "up").
    Layers inside prunable ones are theirs.
    """
    names = stable_names(layer)
    seen: set[int] = set()

    def walk(outer: Layer, path: Path) -> Iterator[tuple[Path, Layer]]:
        for part in sublayers(outer):
            if id(part) in seen:
                continue
            seen.add(id(part))
            here = (*path, names[id(part)])
            if is_prunable(part):
                yield here, part
            else:
                yield from walk(part, here)

    return list(walk(layer, ()))


def paths_of(layer: Layer, is_prunable: Callable[[Layer], bool]) -> list[Path]:
    """Returns the paths of a layer and of its prunable parts, each beginning with the layer's own name."""
    parts = [] if is_prunable(layer) else parts_of(layer, is_prunable)
    return [(layer.name,), *((layer.name, *path) for path, _ in parts)]


def stable_names(layer: Layer) -> dict[int, str]:
    """Returns a name for each layer inside, by id: its own, except that automatic numbers count within `layer`.

    Keras numbers unnamed layers through the whole process (lstm_cell_7), so that the same network has other names when
    it is built again. Here the first unnamed LSTMCell inside a layer is always lstm_cell, and the second lstm_cell_1.
    """
    return renumbered(all_sublayers(layer), prefix=r"(?:\w+_)?")


def renumbered(inside: list[Layer], prefix: str = "") -> dict[int, str]:
    """Returns the names of layers, by id, with automatic numbers that count among these layers alone.

    Args:
      inside: The layers.
      prefix: Regular expression of what may stand before an automatic name (Bidirectional puts "forward_" there).
    """
    numbered = {id(part): automatic for part in inside if (automatic := automatic_name(part, prefix))}
    counts: dict[str, list[int]] = defaultdict(list)
    for base, number in numbered.values():
        counts[base].append(number)
    names = {id(part): part.name for part in inside}
    for key, (base, number) in numbered.items():
        rank = sorted(set(counts[base])).index(number)
        names[key] = f"{base}_{rank}" if rank else base
    return names


def automatic_name(layer: Layer, prefix: str = "") -> tuple[str, int] | None:
    """Returns base and number of a name that Keras made from the layer's type ("lstm_cell", 7), or None."""
    kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", type(layer).__name__)).lower()
    match = re.fullmatch(rf"({prefix}{re.escape(kind)})(?:_(\d+))?", layer.name)
    return (match[1], int(match[2] or 0)) if match else None


def variables_of(layer: Layer) -> list[Any]:
    """Returns the weights of a layer that are variables; Keras lists the vocabulary of a lookup table with them."""
    return [weight for weight in layer.weights if hasattr(weight, "assign")]


def weight_names(layer: Layer) -> dict[int, str]:
    """Returns a name for each weight of a layer, by id: the shortest end of its path that no other weight has.

    "kernel" in a Dense layer, "query/kernel" in attention, "lstm_cell_1/kernel" in stacked cells.
    """
    paths = _weight_paths(layer)
    for length in range(1, 1 + max((len(path) for path in paths.values()), default=0)):
        names = {key: "/".join(path[-length:]) for key, path in paths.items()}
        if len(set(names.values())) == len(names):
            return names
    return {key: f"{path[-1]}_{index}" for index, (key, path) in enumerate(paths.items())}


def own_weights(model: Layer, layers: Iterable[Layer]) -> dict[str, Any]:
    """Returns the weights of a model and of nested ones that no layer holds, by path ("token", "encoder/token").

    Args:
      model: A model.
      layers: Its layers, as `located` yields them.
    """
    held = {id(weight) for layer in layers for weight in layer.weights}
    own = [weight for weight in variables_of(model) if id(weight) not in held]
    paths = _weight_paths(model) if own else {}
    found: dict[str, Any] = {}
    for weight in own:
        name = "/".join(paths[id(weight)])
        same = sum(re.fullmatch(rf"{re.escape(name)}(_\d+)?", other) is not None for other in found)
        found[f"{name}_{same}" if name in found else name] = weight
    return dict(sorted(found.items()))


def _weight_paths(layer: Layer) -> dict[int, Path]:
    """The path of every weight: the names of the layers around it, and the last part of its own name."""
    names = stable_names(layer)
    paths: dict[int, Path] = {}
    order = {id(weight): index for index, weight in enumerate(variables_of(layer))}

    def walk(outer: Layer, path: Path) -> None:
        for part in sublayers(outer):
            walk(part, (*path, names[id(part)]))
        for weight in variables_of(outer):
            paths.setdefault(id(weight), (*path, _last(weight)))

    walk(layer, ())
    return dict(sorted(paths.items(), key=lambda item: order[item[0]]))


def _last(weight: Any) -> str:
    return weight.name.split(":")[0].split("/")[-1]


def matches_path(path: Path, pattern: str) -> bool:
    """Returns whether a pattern means a part: by its name ("up"), its path ("block/feed/up"), or a layer around it."""
    names = {*path, *("/".join(path[:length]) for length in range(1, 1 + len(path)))}
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
