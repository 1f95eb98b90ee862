"""Opening and reading of files that may be somebody else's: regular files only, none larger than its kind may be."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from typing import Any, BinaryIO

# Largest number of bytes of a file, by kind. A larger one is refused unread.
MOST_JSON = 16 * 2**20  # configurations, results, plans, checkpoints: kilobytes, or megabytes with thousands of runs
MOST_TABLE = 64 * 2**20  # history.csv: about 200 bytes per epoch
MOST_TEXT = 2**20  # flag files
MOST_TICKET = 2**30  # eight weights per byte
MOST_ARRAYS = 32 * 2**30  # weights, checkpoints and shared trainings; where the network is known, its size is the limit


def open_regular(path: str | os.PathLike[str], most: int = MOST_ARRAYS) -> BinaryIO:
    """Opens a regular file for reading; links to one are followed.

    Args:
      path: The file.
      most: Largest size in bytes.

    Raises:
      OSError: If it cannot be opened, is a pipe, a socket, a device or a folder, or is larger. The file has not been
        read then, and a pipe has not been waited for.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:  # an embedded NUL
        raise OSError(errno.EINVAL, str(error), _name(path)) from None
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise _not_regular(path) from None
        raise
    try:
        _check(os.fstat(handle), path, most)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


class Clamped(io.BufferedReader):
    """A file that is never asked for more bytes than it has left: Python reserves memory for all that is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads at most `size` bytes, or all if it is negative or None."""
        if size is not None and size >= 0:
            size = min(size, max(0, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def open_clamped(path: str | os.PathLike[str], most: int) -> Clamped:
    """Opens a regular file for a reader that goes by sizes inside of it, such as zipfile; errors as `open_regular`."""
    file: Any = open_regular(path, most)
    return Clamped(file.detach())


def read_file(path: str | os.PathLike[str], most: int) -> bytes:
    """Reads a regular file.

    Args:
      path: The file.
      most: Largest size in bytes; never more is read, also of a file that grows meanwhile.

    Raises:
      OSError: If it cannot be opened or read, is no regular file, or is larger.
    """
    with open_regular(path, most) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            data = file.read(size + 1)
        except MemoryError:
            raise OSError(errno.ENOMEM, f"its {size:,} bytes do not fit into memory", _name(path)) from None
    if len(data) > size:
        raise OSError(errno.EBUSY, "it grows while it is read", _name(path))
    return data


def sha256_of(path: str | os.PathLike[str], most: int) -> tuple[int, str]:
    """Returns size and SHA-256 of a regular file in a few megabytes of memory.

    Args:
      path: The file.
      most: Largest size in bytes.

    Raises:
      OSError: If it cannot be opened or read, is no regular file, or is larger.
    """
    size, digest = 0, hashlib.sha256()
    with open_regular(path, most) as file:
        while size <= most and (data := file.read(2**20)):
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()


def regular_size(path: str | os.PathLike[str], most: int = MOST_ARRAYS) -> int:
    """Returns the size of a file in bytes without opening it, for a file that another library opens next.

    Raises:
      OSError: If it does not exist, is no regular file, or is larger than `most`.
    """
    try:
        found = os.stat(path)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), _name(path)) from None
    _check(found, path, most)
    return found.st_size


def exists(path: str | os.PathLike[str]) -> bool:
    """Returns whether something with this name can be found; False for names that no file can have."""
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True


def _check(found: os.stat_result, path: str | os.PathLike[str], most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), _name(path))
    if not stat.S_ISREG(found.st_mode):
        raise _not_regular(path)
    if found.st_size > most:
        raise _too_large(path, most)


def _not_regular(path: str | os.PathLike[str]) -> OSError:
    return OSError(errno.EINVAL, "it is not a regular file", _name(path))


def _too_large(path: str | os.PathLike[str], most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most:,} bytes, the most that is read of such a file", _name(path))


def _name(path: str | os.PathLike[str]) -> str:
    return os.fsdecode(path)
