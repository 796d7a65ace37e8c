"""What a reader of a foreign file hands over: named sets of voxels on one grid of the visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from petflame.errors import InputRefused
from petflame.labelmap import LabelMap
from petflame.privacy import named
from petflame.space.grid import Array, Grid

Reference = Literal["ct", "pet"]
REFERENCES: tuple[Reference, ...] = ("ct", "pet")
# Looks at the labels of a file and the grid that they lie on, and refuses them where they cannot be meant.
Over = Callable[[LabelMap, Reference], None]
# Rounding of a header's 32-bit numbers.
SAME_MM = 0.01


@dataclass(frozen=True, eq=False)
class Claim:
    """One named region of a file.

    Attributes
    ----------
    names : tuple of str
        What the file calls it, the most specific name first; a later one is tried when the first is not known.
    number : int or None
        Segment, label or ROI number in the file.
    voxels : (n, 3) int array
        Voxel ijk on the grid of `Drawing.reference`; may hold a voxel twice.
    title : str
        How messages call the region: see `entitled`.
    """

    names: tuple[str, ...]
    number: int | None
    voxels: Array
    title: str


def entitled(name: str, position: int) -> str:
    """Name a region in messages: the screen shows its name, records its position in the file, counted from 1."""
    return named(name or f"region {position}", f"region {position}")


@dataclass(frozen=True, eq=False)
class Drawing:
    """Everything that a file draws.

    Attributes
    ----------
    kind : str
        Format, for the provenance.
    reference : {'ct', 'pet'}
        Grid that the voxels belong to.
    claims : tuple of Claim
        In the file's order.
    notes : tuple of str
        What was left out or decided, for the user.
    doubts : tuple of str
        What may be wrong with it, for the tables too.
    """

    kind: str
    reference: Reference
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def mirrored_header(own: Grid, grids: dict[str, Grid]) -> str:
    """Say which axes of patient space a header has with the wrong sign; empty where that does not explain it."""
    for name, grid in grids.items():
        for signs in product((1.0, -1.0), repeat=3):
            turned = np.diag([*signs, 1.0]) @ own.affine
            if min(signs) < 0 and own.shape == grid.shape and np.allclose(turned, grid.affine, rtol=0, atol=SAME_MM):
                axes = " and ".join(axis for axis, sign in zip("xyz", signs, strict=True) if sign < 0)
                both = " (RAS written as LPS, or the other way)" if signs == (-1.0, -1.0, 1.0) else ""
                return (
                    f"on the grid of the {name.upper()} with the sign of {axes} changed{both}: its header is flipped; "
                )
    return ""


def elsewhere(what: str, grids: dict[str, Grid], where: str) -> InputRefused:
    """Make the refusal of a drawing that lies on no grid of the visit; every grid is named.

    Parameters
    ----------
    what : str
        Where the drawing lies, as a phrase that follows "it lies ...".
    """
    known = "; ".join(f"{name.upper()}: {grid.describe()}" for name, grid in grids.items())
    error = InputRefused.of(
        f"it lies {what}, which is neither on the CT nor on the PET of this visit ({known})",
        where,
        "export it for the images of this visit, on their own grid, without resampling",
    )
    return InputRefused(error.faults)
