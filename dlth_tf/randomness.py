"""Random numbers of the whole package: each stream is a pure function of (seed, purpose, name).

Nothing here reads or advances a global generator, or depends on Python's `hash()`, the order of calls, the device or
the process.
"""

from __future__ import annotations

import hashlib

import numpy as np

from dlth_tf.plain_numbers import whole_number


def digest(seed: int, purpose: str, name: str = "") -> bytes:
    """Returns 16 bytes that depend on (seed, purpose, name) only (blake2b)."""
    return hashlib.blake2b(f"{whole_number('seed', seed)}/{purpose}/{name}".encode(), digest_size=16).digest()


def generator(seed: int, purpose: str, name: str = "") -> np.random.Generator:
    """Returns a NumPy Philox generator keyed by (seed, purpose, name).

    >>> a, b = generator(0, "ticket", "fc1/kernel"), generator(0, "ticket", "fc1/kernel")
    >>> bool((a.random(4) == b.random(4)).all())
    True
    """
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest(seed, purpose, name), "little")))


def stateless_seed(seed: int, purpose: str, name: str = "") -> tuple[int, int]:
    """Returns two non-negative int32 numbers, the seed of stateless TensorFlow operations and `index_shuffle`."""
    raw = digest(seed, purpose, name)
    return int.from_bytes(raw[:4], "little") >> 1, int.from_bytes(raw[4:8], "little") >> 1


def integer_seed(seed: int, purpose: str, name: str = "") -> int:
    """Returns one non-negative int32 number, the seed of Keras initializers."""
    return stateless_seed(seed, purpose, name)[0]


def int62(seed: int, purpose: str, name: str = "") -> int:
    """Returns both numbers of `stateless_seed` in one: 62 random bits, one word of a stateless operation's seed.

    >>> high, low = stateless_seed(0, "data/finetune")
    >>> int62(0, "data/finetune") == (high << 31) + low
    True
    """
    high, low = stateless_seed(seed, purpose, name)
    return high << 31 | low
