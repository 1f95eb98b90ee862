"""The forms of an export: how each is written. Adding one is a function here and a line in FORMS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from dlth_tf.deploy.savedmodel.constant_weights import save_fixed
from dlth_tf.deploy.savedmodel.packed import save_packed
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.serving import Serving
from dlth_tf.errors import BadInput

# Folding rounds otherwise: usually by 1e-6 of the largest logit. Where channels hardly vary, batch norm multiplies such differences by
# hundreds: deep random networks with removed filters were seen to differ by 1e-3, and Keras in float32 from float64 by as much.
FOLDED = 2e-3
NOTHING_REMOVED = (
    "compact: nothing could be removed, since no filter, unit or channel of this network is zero throughout; it computes what plain "
    "does (tickets of --granularity=filter or channel are made for this form)."
)

# Rounding the folded weights of a MobileNet v1 with few channels to float16 moves its logits by 1.3 % of the largest, in Keras too.
HALF = 2e-2


@dataclass(frozen=True)
class Written:
    """A form of one network on the disk, and what those who check and describe it need to know.

    Args:
      model: the Keras model that it computes.
      kind: "saved_model" or "tflite".
      path: a folder; of a LiteRT model the file.
      tolerance: largest difference of a logit, relative to the largest logit if that is above 1; None: any.
      places: of a packed model, see `packed.save_packed`.
      same_weights: whether it holds the weights of the ticket's network, in their shapes.
      facts: for export.json.
    """

    model: tf_keras.Model
    kind: str
    path: Path
    tolerance: float | None
    places: dict[str, tuple[int, int]] | None = None
    same_weights: bool = True
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What all forms are written from.

    Args:
      model: an ordinary Keras model that gives logits.
      serving: what stands before and after it.
      values: how the packed form stores weights: float32 or float16.
      calibration: raw training images for a form that chooses number ranges by them.
    """

    model: tf_keras.Model
    serving: Serving
    values: str
    calibration: np.ndarray | None


def _plain(request: Request, path: Path) -> dict[str, Written]:
    save_plain(request.model, path, request.serving)
    return {"plain": Written(request.model, "saved_model", path, 1e-5)}


def _packed(request: Request, path: Path) -> dict[str, Written]:
    facts = save_packed(request.model, path, request.serving, request.values)
    places = facts.pop("places")
    tolerance = FOLDED if request.values == "float32" else HALF
    return {
        "packed": Written(
            request.model, "saved_model", path, tolerance, places, facts={"values": request.values, **facts}
        )
    }


def _compact(request: Request, path: Path) -> dict[str, Written]:
    from dlth_tf.deploy.compaction import compact, removed

    small = compact(request.model)
    save_fixed(small, path, request.serving, "compact")
    kernels = {name: facts["kernel"] for name, facts in removed(request.model, small)["layers"].items()}
    note = "" if small.count_params() < request.model.count_params() else NOTHING_REMOVED
    return {
        "compact": Written(
            small, "saved_model", path, FOLDED, same_weights=False, facts={"note": note, "kernels": kernels}
        )
    }


def _tflite(request: Request, path: Path) -> dict[str, Written]:
    from dlth_tf.deploy.tflite.convert import TOLERANCES, write_tflite

    small = _smaller(request.model)
    facts = write_tflite(small, path, normalization=request.serving.normalization, calibration=request.calibration)
    written = {}
    for file in sorted(path.glob("*.tflite")):
        known = {name: value for name, value in facts.pop(file.name).items() if name in ("sparse",)}
        tolerance = TOLERANCES[file.stem] if np.isfinite(TOLERANCES[file.stem]) else None
        written[f"tflite/{file.stem}"] = Written(small, "tflite", file, tolerance, same_weights=False, facts=known)
    for name, why in facts.items():  # what was not written
        next(iter(written.values())).facts["note"] = f"tflite: no {name}, since {why['skipped']}."
    return written


def _smaller(model: tf_keras.Model) -> tf_keras.Model:
    """Without what can be removed, where the graph of the model is known."""
    from dlth_tf.deploy.compaction import compact

    try:
        return compact(model)
    except BadInput:
        return model


FORMS: dict[str, Callable[[Request, Path], dict[str, Written]]] = {
    "plain": _plain,
    "packed": _packed,
    "compact": _compact,
    "tflite": _tflite,
}


def check_forms(forms: Sequence[str]) -> None:
    """Raises BadInput if there are none, or one that does not exist, or one twice."""
    for form in forms or [""]:
        if form not in FORMS or list(forms).count(form) > 1:
            raise BadInput("formats", form or "(none)", f"must be of {', '.join(FORMS)}, each at most once")
