"""The images of one visit as the measurement sees them: canonical, cut to each region once, shared by protocols."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.measure.perpendicular import cut_across
from petflame.measure.sections import MARGIN_MM, Planes, Section, cut, cut_on_pet, planes_through
from petflame.segment.product import Segmentation
from petflame.space.contours import Contours, contours_of
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

T = TypeVar("T")


class VisitImages:
    """PET, labels and, where there is one, CT of a visit, with what is worked out once and used by every protocol.

    Parameters
    ----------
    pet : Volume
        SUVbw (g/mL) or Bq/mL; any axis order and direction.
    segmentation : Segmentation
        Labels on the CT or the PET grid.
    ct : Volume or None
        HU; any axis order and direction.

    Raises
    ------
    InputRefused
        When labels that were drawn on the PET no longer lie on it.
    """

    def __init__(self, pet: Volume, segmentation: Segmentation, ct: Volume | None = None) -> None:
        self.pet = to_canonical(pet, copy=False)
        self.labels = to_canonical(segmentation.labels, copy=False)
        self.ct = None if ct is None else to_canonical(ct, copy=False)
        self.segmentation = segmentation
        if segmentation.reference == "pet" and not self.labels.grid.same_as(self.pet.grid, 0.01):
            what = "the labels no longer lie on the PET grid"
            raise InputRefused.of(what, "labels.nii.gz", "segment the visit again")
        self._kept: dict[Any, Any] = {}

    def moved(self, x_mm: float, y_mm: float) -> VisitImages:
        """Return the same PET with labels, centrelines and CT moved in the axial plane, LPS mm."""
        other = copy.copy(self)
        step = np.array([x_mm, y_mm, 0.0])
        other.labels = self.labels.moved(ras_to_lps(step))
        other.ct = None if self.ct is None else self.ct.moved(ras_to_lps(step))
        vessels = {
            name: replace(found, centreline_lps_mm=found.centreline_lps_mm + step)
            for name, found in self.segmentation.vessels.items()
        }
        other.segmentation = replace(self.segmentation, vessels=vessels)
        other._kept = {}
        return other

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """Return what `make` returned the first time this key was asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def knows(self, key: Any) -> bool:
        """Whether this key was asked for before."""
        return key in self._kept

    def has(self, name: str) -> bool:
        """Whether the label map holds the region."""
        return self.labels.has(name)

    def withheld(self, name: str) -> bool:
        """Whether a vessel needs a reader before it counts."""
        finding = self.segmentation.vessels.get(name)
        return finding is not None and finding.withheld

    def mask(self, name: str) -> Volume:
        """Boolean mask of a region that is there, cut to its bounding box."""
        return self.labels.cut(name)

    def centreline(self, name: str) -> Array:
        """Centreline of a vessel, LPS mm, shape (n, 3); empty where there is none."""
        finding = self.segmentation.vessels.get(name)
        return finding.centreline_lps_mm if finding is not None else np.zeros((0, 3))

    def contours(self, name: str) -> Contours:
        """In-plane distances to the boundary of a region that is there, those that its sections are cut with."""
        if self.segmentation.reference == "pet":
            return self.once(("contours", name), lambda: contours_of(self.mask(name), 0.0))
        return self._crossed(name, None, 0.0).contours

    def _crossed(self, name: str, spacing_mm: float | None, margin_mm: float) -> Planes:
        farther = max(margin_mm - MARGIN_MM, 0.0)
        return self.once(
            ("planes", name, spacing_mm, farther),
            lambda: planes_through(self.mask(name), self.pet.grid, spacing_mm, margin_mm),
        )

    def sections(
        self,
        name: str,
        margin_mm: float = 0.0,
        spacing_mm: float | None = None,
        plane: str = "axial",
        with_area: bool = True,
    ) -> list[Section]:
        """Cut a region by planes; no section where the label map lacks it.

        Parameters
        ----------
        name : str
        margin_mm : float
            Moves the contour outwards.
        spacing_mm : float or None
            Distance of the planes; None is the distance of the PET's slices.
        plane : {'axial', 'perpendicular'}
            Perpendicular to the vessel's centreline, or axial.
        with_area : bool
            Whether areas are needed; they take most of the time.
        """
        if not self.has(name):
            return []
        key = ("sections", name, margin_mm, spacing_mm, plane)
        # Neighbours' areas mean nothing; sections that have theirs serve where none is needed.
        with_area = (with_area or self.knows((*key, True))) and BY_NAME[name].kind != "neighbour"
        return self.once((*key, with_area), lambda: self._cut(name, margin_mm, spacing_mm, plane, with_area))

    def _cut(self, name: str, margin_mm: float, spacing_mm: float | None, plane: str, with_area: bool) -> list[Section]:
        line, grid = self.centreline(name), self.pet.grid
        own = self.segmentation.reference == "pet"
        if plane == "axial" and not (own and spacing_mm is None):
            return cut(self._crossed(name, spacing_mm, margin_mm), line, margin_mm, with_area)
        mask = self.mask(name)
        if plane == "perpendicular":
            return cut_across(mask, grid, line, margin_mm, spacing_mm or grid.spacing_mm[2], own)
        return cut_on_pet(mask, grid, line, margin_mm)
