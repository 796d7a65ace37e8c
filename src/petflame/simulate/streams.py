"""Random streams, identifiers and keys that follow from the trial's seed and a path of names alone."""

from __future__ import annotations

import hashlib

import numpy as np


def _digest(seed: int, *names: object) -> bytes:
    return hashlib.sha256("|".join(["petflame-simulate-1", str(int(seed)), *map(str, names)]).encode()).digest()


def stream(seed: int, *names: object) -> np.random.Generator:
    """Return a random generator that depends on the seed and the names, not on what was drawn elsewhere.

    Visits can thus be made in any order, by any number of processes, with the same bytes.

    >>> bool(stream(1, "a").random() == stream(1, "a").random())
    True
    >>> bool(stream(1, "a").random() == stream(1, "b").random())
    False
    """
    return np.random.default_rng(int.from_bytes(_digest(seed, *names)[:16], "big"))


def uid(seed: int, *names: object) -> str:
    """Return a DICOM unique identifier (root 2.25, UUID-derived form) for the names.

    >>> len(uid(1, "study")) <= 64
    True
    """
    return f"2.25.{int.from_bytes(_digest(seed, 'uid', *names)[:16], 'big') | (1 << 126)}"


def hex_key(seed: int, *names: object) -> str:
    """Return 64 hexadecimal characters for the names.

    >>> len(hex_key(1, "blinding"))
    64
    """
    return _digest(seed, "key", *names).hex()
