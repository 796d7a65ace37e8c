"""Reading an RTSTRUCT: closed planar contours in LPS mm."""

from __future__ import annotations

from typing import Any

import numpy as np

from petflame.errors import FaultList, InputRefused
from petflame.segment.imports.claims import Drawing, entitled
from petflame.segment.imports.contours import Region, draw
from petflame.segment.imports.doors import FARTHEST_MM
from petflame.segment.imports.names import is_ignored, resolve
from petflame.segment.imports.polygons import Contour
from petflame.segment.imports.sidecar import Sidecar
from petflame.space.grid import Grid

AGAIN = "export it again"
PLAIN = "CLOSED_PLANAR"
EXCLUSIVE = ("CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")


def read_rtstruct(dataset: Any, where: str, grids: dict[str, Grid], sidecar: Sidecar, drawn_on: str = "") -> Drawing:
    """Fill the closed contours of every ROI on a grid of the visit (DICOM PS3.3 C.8.8.5 and C.8.8.6).

    A ROI that the file beside it says to ignore is passed over before anything is asked of it.

    Parameters
    ----------
    dataset : pydicom Dataset
    where : str
        How messages call the file.
    grids : dict
    sidecar : Sidecar
    drawn_on : {'', 'ct', 'pet'}
        Grid of the images that it names; the file beside it overrules this.

    Raises
    ------
    InputRefused
        With every contour that cannot be read and every unknown name; when there is no closed contour, or they lie on
        neither grid.
    """
    called = {int(r.ROINumber): str(r.get("ROIName", "")) for r in dataset.get("StructureSetROISequence", [])}
    regions, notes, faults = [], [], FaultList()
    for position, item in enumerate(dataset.get("ROIContourSequence", []), start=1):
        number = int(item.ReferencedROINumber)
        names = (called.get(number) or f"ROI {number}",)
        if is_ignored(names, number, sidecar.names):
            continue
        title = entitled(names[0], position)
        contours, left = [], 0
        for contour in item.get("ContourSequence", []):
            kind = str(contour.get("ContourGeometricType", ""))
            values = np.asarray(contour.get("ContourData") or [], float)
            if kind not in (PLAIN, *EXCLUSIVE):
                left += 1
            elif len(values) % 3 or not len(values) or not (np.abs(values) <= FARTHEST_MM).all():
                faults.add(f"a contour of {title!r} holds {len(values)} numbers that are no points", where, AGAIN)
            else:
                contours.append(Contour(values.reshape(-1, 3), kind in EXCLUSIVE))
        if left:
            notes.append(f"{title}: {left} point(s) or open line(s) were left out; only closed contours are regions")
        if contours:
            regions.append(Region(names, number, tuple(contours), title))
        elif not left:
            notes.append(f"{title}: it has no contour")
    faults.raise_if_any()
    if not regions:
        raise InputRefused.of("it holds no closed contour", where, "export the regions as closed planar contours")
    # Names first: where an unknown region lies says nothing about the file.
    resolve([(r.names, r.number, r.title) for r in regions], sidecar.names, where)
    reference, claims, said, doubts = draw(regions, grids, where, sidecar.grid, drawn_on)
    return Drawing("RTSTRUCT", reference, tuple(claims), (*notes, *said), tuple(doubts))
