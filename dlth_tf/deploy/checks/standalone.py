"""A script of its own, `python -I alone.py TASK.json RESULT.json`: checks or times exports with TensorFlow alone.

It runs in a process in which this package, Keras 2 and tf-mot cannot be imported, as wherever the exports are used. It must
therefore not import anything of `dlth_tf`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

BLOCKED = ("dlth_tf", "tf_keras", "tensorflow_model_optimization")
BATCHES = (1, 7, 64)
AT_A_TIME = 256
WRAPPERS = ("pruning_step", "prune_low_magnitude")
ROUNDS = (5, 100)  # least and most of a timing


class Failed(Exception):
    """What an export does wrong."""


class Blocker:
    """Makes the import of some packages fail."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raises ImportError for the packages that are not there where exports are used."""
        del path, target
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not there")


def main(task_path: str, result_path: str) -> None:
    """Does the task and writes {"forms": name -> facts}, or {"error": sentence}."""
    with open(task_path) as file:
        task = json.load(file)
    sys.path.append(task["packages"])  # where TensorFlow is, should this interpreter not look there by itself
    result = run(task)
    with open(result_path, "w") as file:
        json.dump(result, file)


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """The task's result."""
    import tensorflow as tf

    if task["threads"]:
        tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(task["threads"])
    with np.load(task["data"], allow_pickle=False) as arrays:
        data = dict(arrays)
    try:
        if task["what"] == "time":
            return {
                "forms": timed(
                    {form["name"]: opened(form, 1)[0] for form in task["forms"]}, data["images"], task["seconds"]
                )
            }
        return {"forms": {form["name"]: checked(form, data) for form in task["forms"]}}
    except Failed as error:
        return {"error": str(error)}


def opened(form: Mapping[str, Any], threads: int) -> tuple[Callable[[np.ndarray], dict[str, np.ndarray]], Any]:
    """(images -> outputs, what was loaded) of a SavedModel or a LiteRT file."""
    import tensorflow as tf

    if form["kind"] == "tflite":
        return lite(form["path"], threads), None
    try:
        loaded = tf.saved_model.load(form["path"])
    except Exception as error:
        raise Failed(f"{form['name']}: it cannot be loaded ({(str(error) or repr(error)).splitlines()[0]})") from error
    serve = loaded.signatures["serving_default"]
    return lambda images: {name: value.numpy() for name, value in serve(images=tf.constant(images)).items()}, loaded


def lite(path: str, threads: int) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A LiteRT file as a function of images."""
    import tensorflow as tf

    run = tf.lite.Interpreter(path, num_threads=threads or None).get_signature_runner("serving_default")
    return lambda images: run(images=images)


def checked(form: Mapping[str, Any], data: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What was found about one form.

    Returns:
      max_difference: largest difference of a logit.
      tolerance: what it may be; None: anything.
      accuracy: where labels are known.
      agreement: fraction of images with the class that the Keras model gives them.

    Raises:
      Failed: something is not as it must be.
    """
    serve, loaded = opened(form, 0)
    name, images, expected = form["name"], data["images"], data["logits"]
    if loaded is not None:
        check_operations(name, form["path"])
        if form["same_weights"]:
            check_zeros(form, loaded, data)
        check_outputs(name, serve(images[:AT_A_TIME]), form["label_names"])
    logits = np.concatenate(
        [serve(images[start : start + AT_A_TIME])["logits"] for start in range(0, len(images), AT_A_TIME)]
    )
    tolerance = None if form["tolerance"] is None else form["tolerance"] * max(1.0, float(np.max(np.abs(expected))))
    difference = float(np.max(np.abs(logits - expected)))
    if not difference <= (np.inf if tolerance is None else tolerance):
        raise Failed(
            f"{name}: the export's logits differ from the model's by {difference:g}, and at most {tolerance} is allowed"
        )
    check_batches(name, serve, images, logits, tolerance)
    classes = logits.argmax(-1)
    accuracy = float(np.mean(classes == data["labels"])) if "labels" in data else None
    agreement = float(np.mean(classes == expected.argmax(-1)))
    return {"max_difference": difference, "tolerance": tolerance, "accuracy": accuracy, "agreement": agreement}


def check_operations(name: str, path: str) -> None:
    """Every operation is one of a stock TensorFlow's, and nothing of tf-mot's wrappers is left."""
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.python.framework import op_def_registry

    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        saved = SavedModel.FromString(file.read())
    for graph in (part.graph_def for part in saved.meta_graphs):
        functions = {function.signature.name for function in graph.library.function}
        for node in (node for nodes in (graph.node, *(f.node_def for f in graph.library.function)) for node in nodes):
            if node.op not in functions and op_def_registry.get(node.op) is None:
                raise Failed(f"{name}: {node.op} is not an operation of TensorFlow's own")
            if any(word in node.name for word in WRAPPERS):
                raise Failed(f"{name}: {node.name} is left of the wrappers of training")
    keys = [key for key, _ in tf.train.list_variables(os.path.join(path, "variables", "variables"))]
    if len(keys) == 0:
        raise Failed(f"{name}: it holds no variables")


def check_zeros(form: Mapping[str, Any], loaded: Any, data: Mapping[str, np.ndarray]) -> None:
    """What the ticket removes is zero, and no tensor has more numbers that are not zero than the model's."""
    name = form["name"]
    weights = dict(weights_of(form, loaded))
    masks = {key.removeprefix("mask/"): value for key, value in data.items() if key.startswith("mask/")}
    for key, mask in masks.items():
        if key not in weights or weights[key].shape != mask.shape:
            raise Failed(f"{name}: the export has no weight {key} of the ticket's shape")
        if np.any(weights[key].ravel()[~mask.ravel()]):
            raise Failed(f"{name}: the export has weights in {key} that the ticket removes and that are not zero")
    for key, value in weights.items():
        count, most = int(np.count_nonzero(value)), form["nonzero"][key]
        if count > most:
            raise Failed(f"{name}: {key} has {count} numbers that are not zero, and the model's has {most}")


def weights_of(form: Mapping[str, Any], loaded: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The network's weights under their ticket names, as they are after loading."""
    import tensorflow as tf

    if form["places"] is None:
        yield from zip(form["weights"], (variable.numpy() for variable in loaded.network_variables), strict=True)
        return
    vectors: dict[int, np.ndarray] = {}
    for name, (index, start, shape, dtype) in form["places"].items():
        if index not in vectors:
            handle = getattr(loaded, f"weights{index}").resource_handle
            vectors[index] = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype).numpy()
        yield name, vectors[index][start : start + int(np.prod(shape, dtype=int))].reshape(shape)


def check_outputs(name: str, outputs: Mapping[str, np.ndarray], label_names: list[str] | None) -> None:
    """Probabilities, class and label belong to the logits."""
    logits = outputs["logits"].astype(np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    if not np.allclose(outputs["probabilities"], powers / powers.sum(-1, keepdims=True), rtol=0, atol=1e-5):
        raise Failed(f"{name}: the probabilities are not those of the logits")
    if not np.array_equal(outputs["class"], outputs["logits"].argmax(-1)):
        raise Failed(f"{name}: the class is not that of the largest logit")
    if ("label" in outputs) != (label_names is not None):
        raise Failed(f"{name}: it must give labels where their names are known, and only there")
    if label_names is not None and [label.decode() for label in outputs["label"]] != [
        label_names[c] for c in outputs["class"]
    ]:
        raise Failed(f"{name}: a label is not the name of its class")


def check_batches(
    name: str,
    serve: Callable[..., dict[str, np.ndarray]],
    images: np.ndarray,
    logits: np.ndarray,
    tolerance: float | None,
) -> None:
    """Any number of images at a time gives the same."""
    for batch in BATCHES:
        places = np.arange(batch) % len(images)
        found = serve(images[places])["logits"]
        allowed = np.inf if tolerance is None else tolerance
        if found.shape != (batch, logits.shape[1]) or not np.max(np.abs(found - logits[places])) <= allowed:
            raise Failed(f"{name}: {batch} images at a time give other logits")


def timed(
    serves: Mapping[str, Callable[..., Any]], images: np.ndarray, seconds: float
) -> dict[str, dict[str, list[float]]]:
    """name -> batch -> milliseconds of each call; all take turns, so that a busy moment strikes neighbours alike.

    Args:
      serves: what is timed.
      images: at least one; repeated to fill a batch.
      seconds: for each size of a batch, of all together; at least 5 rounds are made.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in serves}
    for batch in (1, 8, 64):
        given = images[np.arange(batch) % len(images)]
        for serve in serves.values():
            serve(given)  # the first call of a size prepares the next ones
        times: dict[str, list[float]] = {name: [] for name in serves}
        end = time.perf_counter() + seconds
        for turn in range(ROUNDS[1]):
            if turn >= ROUNDS[0] and time.perf_counter() > end:
                break
            for name, serve in list(serves.items())[:: -1 if turn % 2 else 1]:  # what comes first finds colder caches
                start = time.perf_counter()
                serve(given)
                times[name].append(1e3 * (time.perf_counter() - start))
        for name, values in times.items():
            found[name][str(batch)] = values
    return found


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocker())
    main(*sys.argv[1:])
