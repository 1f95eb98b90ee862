"""Ticket: the weights of a network that are kept, and the provenance of that choice."""

from __future__ import annotations

import errno
import html
import math
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import plain, store

FORMAT = "dlth_tf ticket 1"
MOST_SIDECAR_BYTES = files.MOST_JSON
MOST_NAME_LETTERS = 1000
Plain = str | int | float | bool | None


@dataclass(frozen=True, eq=False)
class Ticket(Mapping[str, np.ndarray]):
    """Named boolean masks, True = kept, keyed "layer_name/weight" ("conv1/kernel").

    Tensors that a ticket does not name are kept whole. The masks are copied, checked and made read-only.

    Attributes:
      masks: Tensor name -> boolean array of the weight's shape.
      provenance: Origin of the ticket (method, seed, sparsity, ...): plain values only; NumPy scalars
        are stored as plain ones.

    Raises:
      BadInput: If they are no mapping, a mask is not boolean (0/1 numbers are accepted) or keeps nothing, or a name is
        invalid.
    """

    masks: Mapping[str, np.ndarray]
    provenance: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        provenance = {key: plain(value) for key, value in self.provenance.items()}
        for key, value in provenance.items():
            if (
                not isinstance(key, str)
                or not isinstance(value, Plain)
                or (isinstance(value, float) and not math.isfinite(value))
            ):
                raise BadInput("provenance", {key: value}, "must map names to text, numbers, booleans or None")
        if not isinstance(self.masks, Mapping):
            allowed = "must map tensor names to masks (Ticket.load reads a file)"
            raise BadInput("ticket", self.masks, allowed)
        masks = {name: _checked(name, mask) for name, mask in self.masks.items()}
        store(self, masks=types.MappingProxyType(masks), provenance=types.MappingProxyType(provenance))

    @classmethod
    def from_masks(cls, masks: Mapping[str, Any], **provenance: Plain) -> Ticket:
        """Builds a ticket from masks; `provenance` is stored with it.

        Examples:
          >>> masks = {"fc1/kernel": [[True, False], [True, True]]}
          >>> Ticket.from_masks(masks, origin="by hand").sparsity
          0.25
        """
        return cls(masks, provenance)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.masks:
            names = ", ".join(self.masks) or "no tensor"
            raise KeyError(f"{name}: the ticket does not name it, so it is kept whole; the ticket names {names}")
        return self.masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.masks)

    def __len__(self) -> int:
        return len(self.masks)

    def __eq__(self, other: object) -> bool:
        """Compares the kept weights; the provenance is ignored."""
        if not isinstance(other, Ticket):
            return NotImplemented
        return self.keys() == other.keys() and all(np.array_equal(self[n], other[n]) for n in self)

    def __hash__(self) -> int:
        return hash(files.arrays_sha256(self.masks))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.masks), dict(self.provenance))

    def __repr__(self) -> str:
        return (
            f"Ticket({len(self)} tensors, {self.removed:,} of {self.size:,} weights removed, {dict(self.provenance)})"
        )

    def _repr_html_(self) -> str:
        """Returns the kept weights of every tensor as a table, for notebooks."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{'x'.join(map(str, mask.shape))}</td>"
            f"<td>{int(mask.sum()):,}</td><td>{mask.size:,}</td></tr>"
            for name, mask in self.masks.items()
        )
        head = "<tr><th>tensor</th><th>shape</th><th>kept</th><th>weights</th></tr>"
        return f"<p>{html.escape(repr(self))}</p><table>{head}{rows}</table>"

    @property
    def size(self) -> int:
        """Number of weights in all named tensors."""
        return sum(mask.size for mask in self.masks.values())

    @property
    def kept(self) -> int:
        """Number of weights that are kept."""
        return sum(int(mask.sum()) for mask in self.masks.values())

    @property
    def removed(self) -> int:
        """Number of weights that are removed."""
        return self.size - self.kept

    @property
    def sparsity(self) -> float:
        """Fraction removed, over the tensors that the ticket names; 0 for a ticket that names none."""
        return self.removed / self.size if self.size else 0.0

    def counts(self) -> dict[str, dict[str, Any]]:
        """Returns tensor name -> {"shape": [...], "kept": int, "removed": int}."""
        return {
            n: {"shape": list(m.shape), "kept": int(m.sum()), "removed": int(m.size - m.sum())}
            for n, m in self.masks.items()
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the masks, bit-packed, to `path` (.npz) and their description to a .json next to it, atomically.

        Raises:
          BadInput: If no file can have that path: its folder does not exist, say.
          OSError: If writing fails for another reason, such as a full disk.
        """
        path = _npz_path(path)
        try:
            self._write(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            allowed = f"cannot be written ({error.strerror}): must be a file in a folder that exists and is writable"
            raise BadInput("ticket", path, allowed) from None

    def _write(self, path: Path) -> None:
        data = files.npz_bytes({name: np.packbits(mask, axis=None) for name, mask in self.masks.items()})
        files.write_atomic(path, data)
        files.write_json(
            path.with_suffix(".json"),
            {
                "format": FORMAT,
                "provenance": dict(self.provenance),
                "tensors": self.counts(),
                "sha256": files.sha256(data),
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Ticket:
        """Reads a ticket that `save` wrote. The files cannot run code or take more memory than they have bits.

        Raises:
          BadInput: If a file is missing, corrupt, truncated or not a ticket; the message gives the reason.
        """
        path = _npz_path(path)
        try:
            text = files.read_file(path.with_suffix(".json"), MOST_SIDECAR_BYTES)
            data = files.read_file(path, files.MOST_TICKET)
        except OSError as error:
            if error.errno == errno.EFBIG:
                kind = Path(error.filename).suffix
                raise BadInput(
                    "ticket", path, f"is not a valid ticket: its {kind} is larger than any ticket's"
                ) from None
            raise BadInput("ticket", path, f"cannot be read ({error.strerror}: {Path(error.filename).name})") from None
        try:
            return _parse(text, data)
        except ValueError as error:
            raise BadInput("ticket", path, f"is not a valid ticket: {error}") from None


def _npz_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise BadInput("ticket", path, "must be a file name that ends in .npz")
    return path


def _check_name(name: object) -> None:
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= MOST_NAME_LETTERS
        or name != name.strip()
        or not name.isprintable()
    ):
        raise BadInput("ticket", repr(name)[:80], 'every mask needs a name such as "conv1/kernel"')


def _checked(name: str, mask: Any) -> np.ndarray:
    _check_name(name)
    try:
        array = np.asarray(mask)
    except ValueError:
        raise BadInput("ticket", name, "the rows of its mask differ in length") from None
    if array.dtype != bool and (array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all()):
        raise BadInput("ticket", name, f"its mask must be boolean, or hold only 0 and 1, but is {array.dtype}")
    array = array.astype(bool)  # always a copy
    if array.size and not array.any():
        raise BadInput("ticket", name, "its mask keeps nothing, and at least one weight of every tensor must stay")
    array.setflags(write=False)
    return array


def _parse(text: bytes, data: bytes) -> Ticket:
    try:
        sidecar = files.parse_json(text)
    except ValueError:
        raise ValueError("its .json is not valid JSON") from None
    if not isinstance(sidecar, dict) or sidecar.get("format") != FORMAT:
        raise ValueError(f"its .json does not say {FORMAT!r}")
    if sidecar.get("sha256") != files.sha256(data):
        raise ValueError("the checksum in its .json is not that of the .npz (corrupt, truncated, or not its pair)")
    tensors, provenance = sidecar.get("tensors"), sidecar.get("provenance")
    if not isinstance(tensors, dict) or not isinstance(provenance, dict):
        raise ValueError("its .json lacks the tensors or the provenance")
    shapes = {name: _shape(name, entry, most=8 * len(data)) for name, entry in tensors.items()}
    packed = files.parse_npz(
        data, {name: ((-(-math.prod(shape) // 8),), np.dtype("uint8")) for name, shape in shapes.items()}
    )
    ticket = Ticket(
        {n: np.unpackbits(packed[n], count=math.prod(s)).astype(bool).reshape(s) for n, s in shapes.items()}, provenance
    )
    if ticket.counts() != tensors:
        raise ValueError("the counts in its .json are not those of its masks")
    return ticket


def _shape(name: str, entry: Any, most: int) -> tuple[int, ...]:
    _check_name(name)
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if (
        not isinstance(shape, list)
        or len(shape) > 32
        or not all(type(n) is int and 0 <= n < 2**31 for n in shape)
        or math.prod(shape) > most
    ):
        raise ValueError(f"the shape of {name} in its .json is not one that the .npz could hold")
    return tuple(shape)
