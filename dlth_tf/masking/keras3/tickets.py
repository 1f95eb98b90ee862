"""Masks and tickets of a Keras 3 model: one object beside it, which Keras saves and restores with it."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dlth_tf.errors import BadInput
from dlth_tf.masking.keras3.arrays import HostArray
from dlth_tf.masking.keras3.execution import sync
from dlth_tf.masking.keras3.prunable import why_dense
from dlth_tf.masking.keras3.weights import find_prunable, leaf_layers, models_inside, paths
from dlth_tf.masking.layer_choice import LayerChoice
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.stripping import check_strippable
from dlth_tf.masking.structure.layer_paths import Path

ATTRIBUTE = "dlth_tickets"
STATE = "~fit"  # first part of the names of callbacks' state in a file
CHOICE = {"skip": "~skip", "only": "~only"}  # patterns of the layers that have masks, as text
RENUMBERED = "~renumbered"  # in files whose names count unnamed layers in the model, as "dense_1"; else in the process
MOST_STATE = 8  # times the bytes of the weights that the state of callbacks may take
SMALL = 1_000_000  # bytes, and as many more


class Tickets(keras.layers.Layer):
    """Masks and tickets by name, boolean arrays on the host.

    It is a layer only because Keras saves those. It has no variables, and no model counts it among its layers, so
    `model.weights`, `summary` and `export` do not see it, and the stock `keras.saving.load_model` reads the files.

    Args:
      model: The model.
      choice: The layers that get masks; None until a file is read that says so.
    """

    def __init__(self, model: Any, choice: LayerChoice | None) -> None:
        super().__init__(name=ATTRIBUTE)
        held: dict[str, Any] = {
            "of_model": weakref.ref(model),
            "choice": choice,
            "arrays": {},
            "states": {},  # name of a callback -> name -> array, while its `fit` lasts
            "waiting": {},  # the same from a file, for a callback that has not begun yet
        }
        for name, value in held.items():
            object.__setattr__(self, name, value)  # past the tracking of Keras and of torch
        self.built = True

    def entries(self) -> dict[str, PrunableWeight]:
        """Returns the prunable weights of the model with their masks and tickets.

        A weight that is new here begins with those that it has in a model inside this one.
        """
        return find_prunable(self.of_model(), functools.partial(self._of, functools.cache(self._inside)))

    def _inside(self) -> dict[int, PrunableWeight]:
        """The prunable weights of the models inside that have masks, by id; those of an outer model come first."""
        tickets = [tickets_of(each) for each in models_inside(self.of_model()) if has_masks(each)]
        chosen = [each for each in reversed(tickets) if each.choice is not None]
        return {id(entry.weight): entry for each in chosen for entry in each.entries().values()}

    def _of(
        self, inside: Callable[[], Mapping[int, PrunableWeight]], name: str, path: Path, weight: Any, packed: str | None
    ) -> tuple[HostArray, HostArray] | None:
        if not self.choice.includes(path):
            return None
        shape = tuple(weight.shape)
        held = self.arrays.get(name)
        if held is not None and (packed or held[0].shape != shape):
            if not all(array.numpy().all() for array in held):
                raise _no_fit("/".join(path), weight.name, held[0].shape, packed or shape)
            held = None
        if packed:
            return None
        if held is None:
            there = inside().get(id(weight))
            values = (np.ones(shape, bool),) * 2 if there is None else (there.kept(), there.chosen())
            held = self.arrays[name] = HostArray(values[0]), HostArray(values[1])
        return held

    def save_own_variables(self, store: Any) -> None:
        """Writes masks and tickets bit-packed, a sixteenth of a float32 weight, and the state of callbacks.

        A model whose masks no longer fit is saved without these: the file is that of the model as it is.
        """
        model = self.of_model()
        if model is not None and not _is_built(model):
            return
        store[RENUMBERED] = np.bool_(True)
        for name, key in CHOICE.items():
            if patterns := getattr(self.choice, name):
                store[key] = np.frombuffer(",".join(patterns).encode(), np.uint8)
        for name, entry in find_prunable(model, self._if_it_fits).items():
            store[_key(entry.stable_name)] = _packed(self.arrays[name])
        for callback, values in self.states.items():
            for number, array in enumerate(values.values()):
                store[_key(f"{STATE}/{callback}/{number}")] = array.numpy()

    def _if_it_fits(self, *weight: Any) -> tuple[HostArray, HostArray] | None:
        try:
            return self._of(dict, *weight)
        except BadInput:
            return None

    def reduce(self, protocol: Any) -> tuple[Any, ...]:
        """Returns how `pickle` and `copy.deepcopy` make the model again: as stock Keras does, then with its masks."""
        model = self.of_model()
        stock: Any = type(model)  # the model's own attribute is this method
        make, arguments, *state = stock.__reduce_ex__(model, protocol)
        fitting = find_prunable(model, self._if_it_fits) if _is_built(model) else ()
        bits = {name: (self.arrays[name][0].shape, _packed(self.arrays[name])) for name in fitting}
        return made_again, (make, arguments, self.choice, bits), *state

    def load_own_variables(self, store: Any) -> None:
        """Reads what a file has; where it has nothing, as one of stock Keras, masks and tickets become whole.

        Raises:
          BadInput: If an array does not fit its weight, or removes weights that the model does not have.
        """
        keys = list(store.keys())
        if self.choice is None:
            if not keys:
                return
            texts = {name: _within(store[key], key, SMALL) for name, key in CHOICE.items() if key in keys}
            patterns = {
                name: texts[name].tobytes().decode(errors="replace") if name in texts else "" for name in CHOICE
            }
            object.__setattr__(self, "choice", LayerChoice.parse(**patterns))
        weights = sum(4 * int(np.prod(weight.shape, dtype=np.int64)) for weight in self.of_model().weights)
        most = MOST_STATE * weights + SMALL
        renumbered = RENUMBERED in keys
        read = {_key(entry.stable_name if renumbered else name): name for name, entry in self.entries().items()}
        for key in keys:
            if not key.startswith("~") and key not in read and _removes(_within(store[key], key, most)):
                own = ", ".join(key.replace("|", "/") for key in read)
                allowed = f"removes weights in the file, and this model has no such weight; it has {own}"
                raise BadInput("tickets", key.replace("|", "/"), allowed)
        misfit: BadInput | None = None
        for key, name in read.items():
            both = self.arrays[name]
            if key not in keys:
                for array in both:
                    array.assign(True)
                continue
            bits = store[key]  # read only if it has the size of its weight
            size = int(np.prod(both[0].shape, dtype=np.int64))
            if bits.dtype != np.uint8 or bits.shape != (2, -(-size // 8)):
                allowed = f"is {bits.dtype}{list(bits.shape)} in the file, not uint8{[2, -(-size // 8)]}"
                misfit = BadInput("tickets", name, allowed)
                continue
            _unpack(np.asarray(bits), both)
        if misfit is not None:  # only now: load_weights(skip_mismatch=True) makes a warning of it
            raise misfit
        self.waiting.clear()
        for key in keys:
            if key.startswith(_key(f"{STATE}/")) and key.count("|") > 1:
                _, callback, name = key.split("|", 2)
                array = self.waiting.setdefault(callback, {})[name] = _within(store[key], key, most)
                most -= array.nbytes
        for callback, values in self.states.items():
            take_over(callback, values, self.waiting.pop(callback, {}))


def _no_fit(layer: str, weight: str, mask: tuple[int, ...], present: str | tuple[int, ...]) -> BadInput:
    """The refusal of a mask of removed weights whose weight has become another."""
    new = f"of shape {list(present)}" if isinstance(present, tuple) else f"packed {present}"
    remedy = (
        "quantize a clone of the model (keras.models.clone_model)" if isinstance(present, str) else "wrap a new model"
    )
    allowed = f"has removed weights in its {weight}, whose mask of shape {list(mask)} does not fit any more, since the"
    return BadInput("layer", layer, f"{allowed} {weight} is {new} now: {remedy}")


def _key(name: str) -> str:
    return name.replace("/", "|")  # a slash would make a group of an HDF5 file


def take_over(callback: str, values: Mapping[str, HostArray], stored: Mapping[str, np.ndarray]) -> None:
    """Assigns the state of a callback that a file has, by number, or by name in files before numbers; or has not.

    Raises:
      BadInput: If it has other arrays, as those of a `fit` with other arguments.
    """
    named = {_key(name): array for name, array in values.items()}
    numbered = {str(number): array for number, array in enumerate(values.values())}
    fits = named if stored.keys() == named.keys() else numbered
    shapes = {key: array.shape for key, array in fits.items()}
    if stored and shapes != {key: array.shape for key, array in stored.items()}:
        allowed = "has other arrays in the file than in this fit: give it the arguments of the fit that wrote the file"
        raise BadInput("state", callback, allowed)
    for key, array in stored.items():
        fits[key].assign(array)


def _within(stored: Any, key: str, most: int) -> np.ndarray:
    """Reads an array of a file, unless it has more than `most` bytes."""
    if int(np.prod(stored.shape, dtype=np.int64)) * stored.dtype.itemsize > most:
        raise BadInput("tickets", key, "is larger than any mask or state of a callback for this model")
    return np.asarray(stored)


def _removes(bits: np.ndarray) -> bool:
    """Returns whether a packed mask or ticket removes weights, other than the last 7 of a weight of unknown size."""
    rows = np.unpackbits(np.atleast_2d(bits.astype(np.uint8)), axis=-1)
    kept = rows.sum(axis=-1)
    return bool(any(rows.shape[-1] - n >= 8 or not row[:n].all() for row, n in zip(rows, kept, strict=True)))


def _packed(both: tuple[HostArray, HostArray]) -> np.ndarray:
    """Returns mask and ticket, a bit per weight each: uint8[2, bytes]."""
    return np.stack([np.packbits(array.numpy()) for array in both])


def _unpack(bits: np.ndarray, both: tuple[HostArray, HostArray]) -> None:
    """Assigns mask and ticket from their bits."""
    for array, packed in zip(both, bits, strict=True):
        array.assign(np.unpackbits(packed, count=array.numpy().size).reshape(array.shape))


def made_again(
    make: Callable[..., Any],
    arguments: Sequence[Any],
    choice: LayerChoice,
    bits: Mapping[str, tuple[tuple[int, ...], np.ndarray]],
) -> Any:
    """Makes a model from what `Tickets.reduce` returned; pickles name this function."""
    model = make(*arguments)
    _give(model, choice)
    for name, (shape, packed) in bits.items():
        both = tickets_of(model).arrays[name] = HostArray(np.ones(shape, bool)), HostArray(np.ones(shape, bool))
        _unpack(packed, both)
    return model


def _is_built(model: Any) -> bool:
    return bool(model.built)


def tickets_of(model: Any) -> Tickets:
    """Returns the masks and tickets of a model, which it gets here if it has none, for all of its layers."""
    if ATTRIBUTE not in vars(model):
        _give(model, LayerChoice())
    return vars(model)[ATTRIBUTE]


def _give(model: Any, choice: LayerChoice | None) -> None:
    tickets = Tickets(model, choice)
    object.__setattr__(model, ATTRIBUTE, tickets)  # past the tracking of Keras and of torch
    object.__setattr__(model, "__reduce_ex__", tickets.reduce)  # pickle and copy.deepcopy ask the object first


def prepare(model: Any) -> None:
    """Lets a model hold masks and tickets, so that a file that is read from here on can restore them.

    The state of callbacks that a file before has had is that of another `fit`, and forgotten.
    """
    tickets_of(model).waiting.clear()


def has_masks(model: Any) -> bool:
    """Returns whether the model has masks and tickets."""
    return ATTRIBUTE in vars(model)


def wrap(model: Any, *, skip: str | Sequence[str] = (), only: str | Sequence[str] = ()) -> Any:
    """Gives a model masks and tickets (see `masking.world.wrap`); the same model comes back, and nothing is wrapped."""
    if not isinstance(model, keras.Model):
        raise BadInput("model", type(model).__name__, "must be a keras.Model")
    choice = LayerChoice.parse(skip, only).check(paths(model))
    prunable = [layer for layer in leaf_layers(model) if why_dense(layer) is None]
    if not prunable or not any(choice.includes(path) for path in paths(model)):
        reason = "has no layer that can be pruned (dlth_tf.layer_table gives the reason for each)"
        raise BadInput("model", model.name, reason)
    if has_masks(model):
        object.__setattr__(tickets_of(model), "choice", choice)
    else:
        _give(model, choice)
    return model


def strip(model: Any) -> Any:
    """Checks that all that the ticket does not keep is removed and zero, and returns the same model."""
    if not has_masks(model):
        reason = "has no masks (call dlth_tf.wrap(model), or train it with a callback of dlth_tf)"
        raise BadInput("model", model.name, reason)
    check_strippable(model, prunable_weights(model))
    return model


stripped_copy = strip  # which changes nothing: there are no wrappers


def prunable_weights(model: Any) -> dict[str, PrunableWeight]:
    """Returns the prunable weights of a model: "layer_name/weight" -> PrunableWeight, in model order.

    Raises:
      BadInput: If the model is not built, two of its weights share a name, or nothing in it can be pruned.
    """
    sync(model)
    entries = tickets_of(model).entries()
    if not entries:
        reason = "has no layer that can be pruned (dlth_tf.layer_table gives the reason for each)"
        raise BadInput("model", model.name, reason)
    return entries


def accept_restored(model: Any) -> None:
    """Lets masks follow weights that are not those which they removed: another callback has restored an earlier epoch.

    If more weights are in use than a mask keeps, it has lost some since then, and keeps these too. Otherwise it has
    moved, and keeps what is in use: with what it moved to, it would keep more than at any time.
    """
    for entry in prunable_weights(model).values():
        kept, in_use = entry.kept(), entry.weight.numpy() != 0
        if np.any(in_use & ~kept):
            entry.mask.assign(in_use | kept if in_use.sum() > kept.sum() else in_use)


def load_model(path: str | os.PathLike[str], **options: Any) -> Any:
    """Loads a model of Keras 3 with the masks and tickets that were saved with it, and its choice of layers (`wrap`).

    `keras.saving.load_model` reads the same files, without masks and tickets.

    Args:
      path: A .keras file, or the folder that `keras.saving.save_model(model, path, zipped=False)` has written.
      **options: Of `keras.saving.load_model`: `custom_objects`, `compile`, and `safe_mode`, which is True unless given:
        nothing in the file runs.

    Returns:
      The model; all of its masks are whole if the file has none. Models inside it have the masks that were their own.

    Raises:
      ValueError: If a mask in the file does not fit its weight; Keras adds words of its own to the sentence.
    """
    model = keras.saving.load_model(path, **options)
    inside = models_inside(model)
    for each in (model, *inside):
        _give(each, None)
    model.load_weights(os.path.join(path, "model.weights.h5") if os.path.isdir(path) else path)
    for each in inside:
        if tickets_of(each).choice is None:
            for attribute in (ATTRIBUTE, "__reduce_ex__"):
                object.__delattr__(each, attribute)
    if tickets_of(model).choice is None:
        _give(model, LayerChoice())
    return model
