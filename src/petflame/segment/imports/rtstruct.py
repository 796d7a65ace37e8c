"""Reading an RTSTRUCT: closed planar contours in LPS mm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from petflame.errors import FaultList, InputRefused
from petflame.grid import Grid
from petflame.segment.imports.claims import Drawing
from petflame.segment.imports.contours import Region, draw
from petflame.segment.imports.sidecar import Sidecar

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")


def read_rtstruct(dataset: Any, path: Path, grids: dict[str, Grid], sidecar: Sidecar) -> Drawing:
    """Fill the closed contours of every ROI on a grid of the visit (DICOM PS3.3 C.8.8.5 and C.8.8.6).

    Parameters
    ----------
    dataset : pydicom Dataset
    path : Path
    grids : dict
    sidecar : Sidecar

    Raises
    ------
    InputRefused
        With every contour that cannot be read; when there is no closed contour, or they lie on neither grid.
    """
    names = {int(r.ROINumber): str(r.get("ROIName", "")) for r in dataset.get("StructureSetROISequence", [])}
    regions, notes, faults = [], [], FaultList()
    for item in dataset.get("ROIContourSequence", []):
        number = int(item.ReferencedROINumber)
        title = names.get(number) or f"ROI {number}"
        contours, left = [], 0
        for contour in item.get("ContourSequence", []):
            kind = str(contour.get("ContourGeometricType", ""))
            values = np.asarray(contour.get("ContourData") or [], float)
            if kind not in CLOSED:
                left += 1
            elif len(values) % 3 or not len(values) or not np.isfinite(values).all():
                faults.add(f"a contour of {title!r} holds {len(values)} numbers", path.name, "export it again")
            else:
                contours.append(values.reshape(-1, 3))
        if left:
            notes.append(f"{title}: {left} point(s) or open line(s) were left out; only closed contours are regions")
        if contours:
            regions.append(Region((title,), number, tuple(contours)))
        elif not left:
            notes.append(f"{title}: it has no contour")
    faults.raise_if_any()
    if not regions:
        raise InputRefused.of("it holds no closed contour", path.name, "export the regions as closed planar contours")
    reference, claims, said = draw(regions, grids, path.name, sidecar.grid)
    return Drawing("RTSTRUCT", reference, tuple(claims), (*notes, *said))
