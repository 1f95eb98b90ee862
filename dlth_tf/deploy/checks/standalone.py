"""A script, `python -I standalone.py TASK.json RESULT.json`, that checks or times exports with TensorFlow alone.

ONNX files are run by onnxruntime.

It runs in a process that cannot import this package, Keras 2 or tf-mot, like the places where exports are used.
Therefore it must not import anything from `dlth_tf`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

BLOCKED = ("dlth_tf", "tf_keras", "tensorflow_model_optimization")
CHECKED_BATCHES = (1, 7, 64)
TIMED_BATCHES = (1, 8, 64)
IMAGES_PER_CALL = 256
WRAPPERS = ("pruning_step", "prune_low_magnitude")
MIN_ROUNDS = 5
ENCODED = 4  # images that are encoded to check the signature image_bytes
SPARE = 1e-3  # of the difference of a form without a limit, on another machine
MAX_ROUNDS = 100

Arrays = Mapping[str, np.ndarray]
Serve = Callable[[Arrays], dict[str, np.ndarray]]


class Failed(Exception):
    """A defect of an export, described in one sentence."""


class CannotRun(Failed):
    """A form that the runtime cannot load or run, so that it has no outputs to compare."""


class Blocker:
    """Import hook that makes the import of the packages in BLOCKED fail."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raises ImportError for packages that are not available where exports are used."""
        del path, target
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not available")


def main(task_path: str, result_path: str) -> None:
    """Runs a task and writes its result.

    Args:
      task_path: JSON file with the task: what ("check", "probe" or "time"), threads, forms, data, packages, and for
        timing seconds.
      result_path: JSON file to write: {"forms": name -> facts}, or {"error": sentence}.
    """
    with open(task_path) as file:
        task = json.load(file)
    sys.path.append(
        task["packages"]
    )  # the folder of TensorFlow, in case this interpreter does not search it by default
    result = run(task)
    with open(result_path, "w") as file:
        json.dump(result, file)


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a task and returns its result."""
    import tensorflow as tf

    if task["threads"]:
        tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(task["threads"])
    with np.load(task["data"], allow_pickle=False) as arrays:
        data = dict(arrays)
    try:
        if task["what"] == "time":
            serves = {form["name"]: load(form, threads=1)[0] for form in task["forms"]}
            sizes = (task["batch"],) if task["batch"] else TIMED_BATCHES
            return {"forms": timed(serves, _part(data, "input"), task["seconds"], sizes)}
        if task["what"] == "probe":
            return {"forms": {form["name"]: checked_or_left_out(form, data, probed) for form in task["forms"]}}
        return {"forms": {form["name"]: checked_or_left_out(form, data) for form in task["forms"]}}
    except Failed as error:
        return {"error": str(error)}


def checked_or_left_out(
    form: Mapping[str, Any], data: Arrays, check: Callable[..., dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Checks one form; of one that is optional, a failure is a fact: {"left_out": sentence, "runs": bool}.

    Args:
      form: Description of the form.
      data: Arrays for the check.
      check: The check; None: `checked`.
    """
    try:
        return (check or checked)(form, data)
    except Failed as error:
        if form["optional"]:
            return {"left_out": str(error), "runs": not isinstance(error, CannotRun)}
        raise


def _part(data: Arrays, kind: str) -> dict[str, np.ndarray]:
    """The arrays named kind/..., by the rest of their names."""
    return {key.removeprefix(f"{kind}/"): value for key, value in data.items() if key.startswith(f"{kind}/")}


def _rows(arrays: Arrays, rows: Any) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}


def load(form: Mapping[str, Any], threads: int) -> tuple[Serve, Any]:
    """Loads a SavedModel, a LiteRT file or an ONNX file.

    Args:
      form: Description of the form, of which name, kind and path are used.
      threads: Number of threads of LiteRT or onnxruntime; 0 uses the default.

    Returns:
      A function from inputs, by name, to outputs, and the loaded SavedModel (None for files).

    Raises:
      Failed: If the form cannot be loaded. The returned function raises Failed if the form cannot be run.
    """
    name = form["name"]
    try:
        if form["kind"] == "tflite":
            call, loaded = load_tflite(form["path"], threads), None
        elif form["kind"] == "onnx":
            call, loaded = load_onnx(form["path"], threads), None
        else:
            call, loaded = load_saved_model(form["path"])
    except Exception as error:
        raise CannotRun(f"{name}: cannot be loaded ({_first_line(error)})") from error

    def serve(inputs: Arrays) -> dict[str, np.ndarray]:
        try:
            return call(inputs)
        except Exception as error:
            raise CannotRun(f"{name}: cannot be run ({_first_line(error)})") from error

    return serve, loaded


def load_saved_model(path: str) -> tuple[Serve, Any]:
    """Loads a SavedModel and returns its signature as a function of inputs, and the loaded object."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    signature = loaded.signatures["serving_default"]

    def serve(inputs: Arrays) -> dict[str, np.ndarray]:
        outputs = signature(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return serve, loaded


def load_tflite(path: str, threads: int) -> Serve:
    """Loads a LiteRT file and returns its signature as a function of inputs."""
    import tensorflow as tf

    signature = tf.lite.Interpreter(path, num_threads=threads or None).get_signature_runner("serving_default")
    return lambda inputs: signature(**inputs)


def load_onnx(path: str, threads: int) -> Serve:
    """Loads an ONNX file in onnxruntime, on the CPU, and returns it as a function of inputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def serve(inputs: Arrays) -> dict[str, np.ndarray]:
        texts = {name: array.astype(str) if array.dtype.kind == "S" else array for name, array in inputs.items()}
        outputs = zip(names, session.run(None, texts), strict=True)
        return {name: np.char.encode(array.astype(str)) if array.dtype == object else array for name, array in outputs}

    return serve


def checked(form: Mapping[str, Any], data: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Checks one form.

    Args:
      form: Description of the form, as `verification` writes it.
      data: Arrays input/<name> and output/<name>, and if known labels (classes, or floating-point targets of the only
        output) and mask/<name> for every tensor of the ticket.

    Returns:
      max_difference: Largest difference of a number.
      tolerance: Largest allowed difference; None allows any.
      accuracy: Accuracy of the form; None without classes.
      mse: Mean squared error of the form; None without targets.
      agreement: Fraction of examples with the same class as in the Keras model; None if it is no classifier.
      validation: Both on the validation examples, from `judged`; None without them.
      probe_tolerance: Largest allowed difference on the probe, relative to the largest output or 1; None without one.

    Raises:
      Failed: If a check fails.
    """
    serve, loaded = load(form, threads=0)
    name = form["name"]
    inputs = _part(data, "input")
    expected = _part(data, "output")
    count = len(next(iter(inputs.values())))
    size = form["batch"] or min(IMAGES_PER_CALL, count)
    if loaded is not None:
        check_operations(name, form["path"])
        if form["same_weights"] or form["places"] is not None:
            check_zeros(form, loaded, _part(data, "mask") if form["same_weights"] else {})
        if form["image_bytes"]:
            check_image_bytes(name, loaded, serve, _rows(inputs, slice(ENCODED)), form["value_range"])
    if form["compared"] and form["kind"] != "tflite":
        outputs = serve(_rows(inputs, slice(size)))
        check_outputs(name, outputs, form["compared"][0], form["label_names"])
    parts = [serve(_rows(inputs, slice(start, start + size))) for start in range(0, count, size)]
    found = {key: np.concatenate([part[key] for part in parts]) for key in expected if key in parts[0]}
    difference, tolerance = compared(form, found, expected)
    check_batches(form, serve, inputs, found)
    facts: dict[str, Any] = {"max_difference": difference, "tolerance": tolerance}
    facts |= {"accuracy": None, "mse": None, "agreement": None}
    facts["validation"] = judged(form, serve, data)
    facts["probe_tolerance"] = probe_tolerance(form, serve, data)
    key = next(iter(form["compared"] or expected))
    if form["compared"] or form.get("threshold") is not None:
        classes = classes_of(form, found[key])
        facts["accuracy"] = float(np.mean(classes == data["labels"])) if "labels" in data else None
        facts["agreement"] = float(np.mean(classes == classes_of(form, expected[key])))
    elif "labels" in data:
        facts["mse"] = squared_error(found[key], data["labels"])
    return facts


def classes_of(form: Mapping[str, Any], scores: np.ndarray) -> np.ndarray:
    """Returns the classes that scores [N, classes] stand for; of one number, class 1 above the form's threshold."""
    threshold = form.get("threshold")
    return scores.argmax(-1) if threshold is None else (scores[:, 0] > threshold).astype(np.int64)


def squared_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Returns the mean squared error of all numbers of all examples."""
    return float(np.mean(np.square(outputs.astype(np.float64).ravel() - targets.ravel())))


def judged(form: Mapping[str, Any], serve: Serve, data: Arrays) -> dict[str, Any] | None:
    """Compares the classes of a form on the validation examples with the Keras model's and with the labels.

    Returns:
      images: Number of examples.
      agreement: Fraction of them with the same class as in the Keras model.
      accuracy: Accuracy of the form; None without labels.
      None if the form is not judged, or there are no validation examples.
    """
    expected = _part(data, "validation_output")
    if not form.get("judged") or not expected:
        return None
    ((key, scores),) = expected.items()
    inputs = _part(data, "validation_input")
    size = form["batch"] or IMAGES_PER_CALL
    parts = (serve(_rows(inputs, slice(start, start + size))) for start in range(0, len(scores), size))
    classes = np.concatenate([classes_of(form, part[key]) for part in parts])
    return {
        "images": len(scores),
        "agreement": float(np.mean(classes == classes_of(form, scores))),
        "accuracy": float(np.mean(classes == data["validation_labels"])) if "validation_labels" in data else None,
    }


def probe_tolerance(form: Mapping[str, Any], serve: Serve, data: Arrays) -> float | None:
    """Returns the allowed difference on the probe: that of the form, or twice the present one if that has no limit."""
    expected = _part(data, "probe_output")
    if not expected:
        return None
    found = serve(_part(data, "probe_input"))
    compared({**form, "tolerance": None}, found, expected)
    if form["tolerance"] is not None:
        return form["tolerance"]
    finite = {key: np.isfinite(value) for key, value in expected.items() if value.dtype.kind == "f"}
    pairs = [(found[key][where], expected[key][where]) for key, where in finite.items()]
    differences = (_largest(one - other) / max(1, _largest(other)) for one, other in pairs)
    return float(2 * max(differences, default=0) + SPARE)


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.abs(values), initial=0))


def probed(form: Mapping[str, Any], data: Arrays) -> dict[str, Any]:
    """Checks the operations of an earlier export, and compares its outputs on the probe with the recorded ones.

    Args:
      form: Description of the form: name, kind, path and tolerance.
      data: Arrays input/<name> and output/<name>.

    Raises:
      Failed: If it cannot be run, or the outputs differ by more than the tolerance.
    """
    if form["kind"] == "saved_model":
        check_operations(form["name"], form["path"])
    serve, _ = load(form, threads=0)
    difference, tolerance = compared(form, serve(_part(data, "input")), _part(data, "output"))
    return {"max_difference": difference, "tolerance": tolerance}


def compared(form: Mapping[str, Any], found: Arrays, expected: Arrays) -> tuple[float, float | None]:
    """Compares all outputs, and returns the largest difference and how much of it is allowed.

    Raises:
      Failed: If an output is missing, has another shape, or differs by more than is allowed.
    """
    largest = 0.0
    limit: float | None = None
    for key, value in expected.items():
        if key not in found or found[key].shape != value.shape:
            shape = list(found[key].shape) if key in found else "missing"
            raise Failed(
                f"{form['name']}: the export's {key} is {shape}, and the model's has shape {list(value.shape)}"
            )
        if value.dtype.kind not in "fc":
            same = np.mean(found[key].astype(np.bytes_ if value.dtype.kind == "S" else value.dtype) == value)
            if form["tolerance"] is not None and same < (1 if value.dtype.kind == "S" else 0.99):
                raise Failed(f"{form['name']}: {1 - same:.1%} of the export's {key} are not the model's")
            continue
        finite = np.isfinite(value)
        scale = max(1.0, float(np.max(np.abs(value), initial=0, where=finite)))
        tolerance = None if form["tolerance"] is None else form["tolerance"] * scale
        same = np.array_equal(found[key][~finite], value[~finite], equal_nan=True)
        if tolerance is not None and not same:
            raise Failed(f"{form['name']}: the export's {key} differ from the model's where these are not finite")
        difference = float(np.max(np.abs(found[key][finite] - value[finite]), initial=0))
        if not difference <= (np.inf if tolerance is None else tolerance):
            raise Failed(
                f"{form['name']}: the export's {key} differ from the model's by {difference:g}; "
                f"at most {tolerance} is allowed"
            )
        if difference >= largest:
            largest = difference
            limit = tolerance
    return largest, limit


def check_operations(name: str, path: str) -> None:
    """Checks that a SavedModel has stock TensorFlow operations only, variables, and no remains of tf-mot's wrappers."""
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.python.framework import op_def_registry

    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        saved = SavedModel.FromString(file.read())
    for graph in (part.graph_def for part in saved.meta_graphs):
        functions = {function.signature.name for function in graph.library.function}
        for node in (node for nodes in (graph.node, *(f.node_def for f in graph.library.function)) for node in nodes):
            if node.op not in functions and op_def_registry.get(node.op) is None:
                raise Failed(f"{name}: {node.op} is not a stock TensorFlow operation")
            if any(word in node.name for word in WRAPPERS):
                raise Failed(f"{name}: {node.name} is a leftover of the pruning wrappers")
    keys = [key for key, _ in tf.train.list_variables(os.path.join(path, "variables", "variables"))]
    if len(keys) == 0:
        raise Failed(f"{name}: contains no variables")


def check_zeros(form: Mapping[str, Any], loaded: Any, masks: Arrays) -> None:
    """Checks that all removed weights are zero, and that no tensor has more nonzero values than the model's."""
    name = form["name"]
    weights = dict(loaded_weights(form, loaded))
    check_masks(name, weights, masks)
    for key, value in weights.items():
        count = int(np.count_nonzero(value))
        allowed = form["nonzero"][key]
        if count > allowed:
            raise Failed(f"{name}: {key} has {count} nonzero values, and the model's has {allowed}")


def check_masks(name: str, weights: Arrays, masks: Arrays) -> None:
    """Checks that all weights which a ticket removes are zero."""
    for key, mask in masks.items():
        if key not in weights or weights[key].shape != mask.shape:
            raise Failed(f"{name}: the export has no weight {key} of the ticket's shape")
        if np.any(weights[key].ravel()[~mask.ravel()]):
            raise Failed(f"{name}: {key} has nonzero weights that the ticket removes")


def loaded_weights(form: Mapping[str, Any], loaded: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the network's weights as they are after loading, with their ticket names."""
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


def check_outputs(name: str, outputs: Arrays, scores: str, label_names: list[str] | None) -> None:
    """Checks that probabilities, class and label agree with the logits, or with the model's own probabilities."""
    if scores == "logits":
        logits = outputs["logits"].astype(np.float64)
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        if not np.allclose(outputs["probabilities"], powers / powers.sum(-1, keepdims=True), rtol=0, atol=1e-5):
            raise Failed(f"{name}: the probabilities are not those of the logits")
    if not np.array_equal(outputs["class"], outputs[scores].argmax(-1)):
        raise Failed(f"{name}: the class is not that of the largest {'logit' if scores == 'logits' else 'probability'}")
    if ("label" in outputs) != (label_names is not None):
        raise Failed(f"{name}: the output label must exist if and only if label names are known")
    if label_names is None:
        return
    if [label.decode() for label in outputs["label"]] != [label_names[index] for index in outputs["class"]]:
        raise Failed(f"{name}: a label is not the name of its class")


def check_image_bytes(name: str, loaded: Any, serve: Serve, inputs: Arrays, value_range: int = 255) -> None:
    """Checks that encoded images, whose pixels are 0 to 255, give the same outputs as the images themselves."""
    import tensorflow as tf

    (key, images), *_ = inputs.items()
    pixels = np.clip(np.round(images * (255 / value_range)), 0, 255).astype(np.uint8)
    encoded = tf.stack([tf.io.encode_png(image) for image in pixels])
    stored = pixels.astype(np.float32) * value_range / 255
    outputs = serve({key: (stored if images.dtype.kind == "f" else np.round(stored)).astype(images.dtype)})
    for output, value in loaded.signatures["image_bytes"](image_bytes=encoded).items():
        found = value.numpy()
        same = np.allclose(found, outputs[output], atol=1e-5) if found.dtype.kind == "f" else found == outputs[output]
        if not np.all(same):
            raise Failed(f"{name}: encoded images yield another {output} than the images themselves")


def check_batches(form: Mapping[str, Any], serve: Serve, inputs: Arrays, found: Arrays) -> None:
    """Checks that batches of several sizes yield the same outputs."""
    count = len(next(iter(inputs.values())))
    for batch in () if form["batch"] else CHECKED_BATCHES:
        indices = np.arange(batch) % count
        results = serve(_rows(inputs, indices))
        try:
            compared(form, {key: results[key] for key in found}, _rows(found, indices))
        except Failed as failed:
            raise Failed(f"{form['name']}: a batch of {batch} yields other {' and '.join(found)}") from failed


def timed(
    serves: Mapping[str, Callable[..., Any]], inputs: Arrays, seconds: float, sizes: Sequence[int] = TIMED_BATCHES
) -> dict[str, dict[str, list[float]]]:
    """Times several forms in turns, so that other load on the machine affects neighboring calls alike.

    Args:
      serves: Name -> function of inputs to time.
      inputs: At least one example; examples are repeated to fill a batch.
      seconds: Time per batch size for all forms together. At least 5 rounds run in any case.
      sizes: Batch sizes.

    Returns:
      Name -> batch size -> milliseconds of each call.
    """
    results: dict[str, dict[str, list[float]]] = {name: {} for name in serves}
    count = len(next(iter(inputs.values())))
    for size in sizes:
        batch = _rows(inputs, np.arange(size) % count)
        for serve in serves.values():
            serve(batch)  # the first call with a new batch size prepares the following ones
        times: dict[str, list[float]] = {name: [] for name in serves}
        end = time.perf_counter() + seconds
        for turn in range(MAX_ROUNDS):
            if turn >= MIN_ROUNDS and time.perf_counter() > end:
                break
            # The order alternates, because the first form of a round finds colder caches.
            for name, serve in list(serves.items())[:: -1 if turn % 2 else 1]:
                start = time.perf_counter()
                serve(batch)
                times[name].append(1e3 * (time.perf_counter() - start))
        for name, values in times.items():
            results[name][str(size)] = values
    return results


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocker())
    main(*sys.argv[1:])
