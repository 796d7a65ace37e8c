"""What a reader of a foreign file hands over: named sets of voxels on one grid of the visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from petflame.errors import InputRefused
from petflame.privacy import named
from petflame.space.grid import Array, Grid

Reference = Literal["ct", "pet"]
REFERENCES: tuple[Reference, ...] = ("ct", "pet")


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
