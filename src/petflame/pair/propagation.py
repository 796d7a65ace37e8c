"""The follow-up measured inside the baseline's contours, so that both visits have the same area, on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.errors import FaultList
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.measure.images import VisitImages
from petflame.measure.left_out import LeftOut, left_out_of
from petflame.measure.product import MeasuredVisit, write_measurement
from petflame.measure.variations import measure_variations
from petflame.measure.visit import Measurement, measure_images
from petflame.pair.following import Followed
from petflame.protocol import Protocol
from petflame.segment.pet_ct_shift import check_pet_ct_shift
from petflame.segment.product import Check, Segmentation, write_segmentation
from petflame.space.boxes import voxels_between
from petflame.space.contours import contours_of, distance_at
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

OWN, PROPAGATED = "own", "of the baseline, propagated"
_MARGIN_MM = 5.0


@dataclass(frozen=True, eq=False)
class Remeasured:
    """A follow-up visit measured again.

    Attributes
    ----------
    visit : MeasuredVisit
    measurement : Measurement
    contours : dict
        Vessel to `PROPAGATED`, or `OWN` and why.
    """

    visit: MeasuredVisit
    measurement: Measurement
    contours: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write labels and tables as they stand in a visit folder."""
        visit = VisitFolder(folder)
        write_segmentation(self.visit.segmentation, visit)
        write_measurement(self.measurement, self.visit.variations, visit)


def propagated(baseline: Segmentation, followup: Segmentation, followed: Mapping[str, Followed]) -> Segmentation:
    """Put the baseline's contours into the follow-up's label map.

    Parameters
    ----------
    baseline, followup : Segmentation
        Both on the CT.
    followed : mapping of vessel to Followed
        Vessels whose map cannot be trusted keep their own contours.

    Returns
    -------
    Segmentation
        The follow-up's, canonical; blood pools and neighbours are its own.
    """
    own = to_canonical(followup.labels)
    labels = Volume(own.data.copy(), own.grid)
    here = to_canonical(baseline.labels, copy=False)
    vessels = dict(followup.vessels)
    trusted = {v: f for v, f in followed.items() if not f.refused}
    for vessel in trusted:
        labels.data[labels.data == BY_NAME[vessel].label] = 0
    for vessel, way in trusted.items():
        _draw(vessel, here, labels, way)
        finding = baseline.vessels[vessel]
        said = f"correlation at least {way.correlation:.2f}, there and back misses by {way.return_mm:.1f} mm"
        vessels[vessel] = replace(
            finding,
            centreline_lps_mm=way.apply(finding.centreline_lps_mm),
            checks=(*finding.checks, Check("propagated contour", True, said)),
            pet_ct_shift=None,
            pet_ct_shift_local=None,
        )
    return replace(followup, labels=LabelMap(labels.data, labels.grid), vessels=vessels)


def _draw(vessel: str, baseline: LabelMap, labels: Volume, way: Followed) -> None:
    """Label the voxels of the follow-up whose place at baseline lies inside the vessel's contour.

    Interpolating a thin vessel's contour between coarse voxels shrinks it, so the distance to the contour only ranks
    the voxels of a slice; as many are taken as come to lie in a labelled voxel, which on average keeps the area.
    """
    mask = baseline.mask(vessel)
    there = labels.grid.to_ijk(ras_to_lps(way.apply(ras_to_lps(baseline.places_mm(vessel)))))
    margin = _MARGIN_MM / np.array(labels.grid.spacing_mm)
    low = np.clip(np.floor(there.min(axis=0) - margin).astype(int), 0, labels.grid.shape)
    high = np.clip(np.ceil(there.max(axis=0) + margin).astype(int) + 1, 0, labels.grid.shape)
    voxels: Array = voxels_between(low, high).reshape(-1, 3)
    if not len(voxels):
        return
    back = ras_to_lps(way.back(ras_to_lps(labels.grid.to_ras(voxels))))
    place = np.round(baseline.grid.to_ijk(back)).astype(int)
    seen = ((place >= 0) & (place < baseline.grid.shape)).all(axis=1)
    hits = np.zeros(len(voxels), bool)
    hits[seen] = mask.data[tuple(place[seen].T)]
    distance = distance_at(contours_of(mask, 0.0), back)
    for k in np.unique(voxels[hits, 2]):
        own = np.flatnonzero(voxels[:, 2] == k)
        nearest = own[np.argsort(distance[own], kind="stable")[: int(hits[own].sum())]]
        labels.data[tuple(voxels[nearest].T)] = BY_NAME[vessel].label


def remeasure(
    followup: Path,
    images: VisitImages,
    is_suv: bool,
    first: MeasuredVisit,
    second: MeasuredVisit,
    followed: Mapping[str, Followed],
    protocol: Protocol,
) -> Remeasured:
    """Measure the follow-up inside the baseline's contours, by the same rules.

    Raises
    ------
    InputRefused
        When a reader's exclusions at follow-up cannot be carried over: by section number, or from a table that no
        longer lies with the visit.
    """
    contours = {name: PROPAGATED if not way.refused else f"{OWN}: {way.refused}" for name, way in followed.items()}
    drawn = propagated(first.segmentation, second.segmentation, followed)
    drawn = check_pet_ct_shift(drawn, images.ct, images.pet)
    again = VisitImages(images.pet, drawn, images.ct)
    rows = _exclusions(followup, second)
    result = measure_images(again, protocol, is_suv, rows)
    visit = replace(
        second,
        slices=result.slices,
        vessels=result.vessels,
        variations=measure_variations(again, protocol, result, is_suv, rows),
        details=result.details,
        segmentation=drawn,
    )
    return Remeasured(visit, result, contours)


def _exclusions(followup: Path, second: MeasuredVisit) -> tuple[LeftOut, ...]:
    visit, faults = VisitFolder(followup), FaultList()
    rows, _ = left_out_of(visit, second.segmentation)
    if second.details.get("reader_exclusions") and not rows:
        what = "a reader left out sections of the follow-up, by a table that does not lie with the visit"
        faults.add(
            what,
            str(visit.left_out[0]),
            "put it there, so that the same sections can be left out of the propagated contour",
        )
    for row in rows:
        if row.section is not None:
            what = "a section is left out by its number, which the propagated contour does not share"
            faults.add(what, row.where, "name heights (z_min_mm and z_max_mm) in its place")
    faults.raise_if_any()
    return rows
