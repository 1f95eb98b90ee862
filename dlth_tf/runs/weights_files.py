"""Checks of weights files of tf_keras, which may be somebody else's, before tf_keras reads them."""

from __future__ import annotations

import zipfile

import h5py
import tf_keras

from dlth_tf import files, masking

KERAS = ".keras"
INSIDE = "model.weights.h5"  # the only member of a .keras file that is read
MOST_OBJECTS = 100_000  # groups and arrays of an HDF5 file
ROOM = 64 * 2**20  # bytes of a file beyond its arrays
COPIES = 4  # a whole saved model contains its weights and at most three slots of an optimizer for each


def check_weights_file(path: str, model: tf_keras.Model) -> None:
    """Checks that reading a .h5 or .keras file takes no more memory than the model, and opens no other file.

    HDF5 files can refer to other files, whose bytes would become weights, and can claim arrays that they do not
    contain.

    Args:
      path: The file.
      model: The model that is to read it.

    Raises:
      OSError: If it cannot be read, is no regular file, or is larger than the weights of the model explain.
      ValueError: If it refers to another file, or contains an array that is larger than any weight of the model.
    """
    sizes = [variable.shape.num_elements() for variable in masking.named_weights(model).values()]
    most = COPIES * 8 * sum(sizes) + ROOM
    files.regular_size(path, most)
    if not path.endswith(KERAS):
        with h5py.File(path, "r") as file:
            check_group(file, max(sizes, default=1))
        return
    with files.open_clamped(path, files.MOST_ARRAYS) as opened, zipfile.ZipFile(opened) as archive:
        if archive.getinfo(INSIDE).file_size > most:
            raise ValueError(f"its {INSIDE} is larger than {most:,} bytes")
        with archive.open(INSIDE) as member, h5py.File(member, "r") as file:
            check_group(file, max(sizes, default=1))


def check_group(root: h5py.Group, most: int) -> None:
    """Checks that all arrays are in the file itself.

    Args:
      root: An open HDF5 file, or a group of one.
      most: Largest number of elements of an array.

    Raises:
      ValueError: If an entry refers to another place or file, or an array is larger.
    """
    groups = [root]
    seen = {h5py.h5o.get_info(root.id).addr}  # hard links may form a circle
    count = 0
    while groups:
        group = groups.pop()
        for name in group:
            count += 1
            if count > MOST_OBJECTS:
                raise ValueError(f"it contains more than {MOST_OBJECTS:,} groups and arrays")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"its entry {group.name}/{name} refers to another place or file")
            entry = group[name]
            if isinstance(entry, h5py.Dataset):
                _check_array(entry, most)
            elif isinstance(entry, h5py.Group) and (place := h5py.h5o.get_info(entry.id).addr) not in seen:
                seen.add(place)
                groups.append(entry)


def _check_array(array: h5py.Dataset, most: int) -> None:
    if array.external or array.is_virtual:
        raise ValueError(f"its array {array.name} is stored in another file")
    if array.size is not None and array.size > most:
        raise ValueError(f"its array {array.name} has {array.size:,} elements, more than any weight of the model")
    if array.dtype.itemsize > 256:
        raise ValueError(f"its array {array.name} is of {array.dtype.itemsize:,} bytes per element")
