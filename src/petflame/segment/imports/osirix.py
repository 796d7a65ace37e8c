"""Reading the ROIs that OsiriX and Horos export as XML (property list) or JSON.

Both hold ``Images``, each with ``ImageIndex`` and ``ROIs``, each with ``Name``, ``Type``, ``Point_mm`` (x, y, z in LPS
mm, where a voxel's position is that of its centre) and ``Point_px`` (x, y in pixels counted from the corner of the
image, so that the first voxel's centre is 0.5, 0.5). Positions in mm are used where there are any; pixels need a grid
and a slice. Types are the numbers of the viewers' tools.
"""

from __future__ import annotations

import json
import plistlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np

from petflame.errors import FaultList, InputRefused
from petflame.grid import Array, Grid, ras_to_lps
from petflame.segment.imports.claims import REFERENCES, Drawing
from petflame.segment.imports.contours import Region, draw
from petflame.segment.imports.sidecar import Sidecar

# ROI types that enclose no area: line, open polygon, angle, text, arrow, 3-D point, 2-D point.
NOT_AREAS = {5: "line", 10: "open polygon", 12: "angle", 13: "text", 14: "arrow", 16: "point", 19: "point"}
PIXEL_CENTRE = 0.5
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def is_osirix(document: Any) -> bool:
    """Tell whether a JSON or property list document is an export of ROIs."""
    return isinstance(document, dict) and isinstance(document.get("Images"), list)


def load_document(path: Path) -> Any:
    """Read a JSON or property list document.

    Raises
    ------
    InputRefused
        When it is neither.
    """
    try:
        if path.suffix.lower() == ".json":
            return json.loads(path.read_text(encoding="utf-8-sig"))
        return plistlib.loads(path.read_bytes())
    except (OSError, ValueError, ExpatError, plistlib.InvalidFileException, AttributeError) as error:
        what = f"it cannot be read as an export of ROIs ({error})"
        raise InputRefused.of(what, path.name, "export the ROIs again as XML or JSON") from None


def read_osirix(path: Path, grids: dict[str, Grid], sidecar: Sidecar) -> Drawing:
    """Fill every area that the export draws on a grid of the visit.

    Parameters
    ----------
    path : Path
    grids : dict
    sidecar : Sidecar
        Its ``grid`` forces one of them; its ``first_image`` says at which end image 0 lies, for exports without mm.

    Raises
    ------
    InputRefused
        With every ROI that cannot be read or placed; when none encloses an area, or they lie on neither grid.
    """
    document = load_document(path)
    if not is_osirix(document):
        raise InputRefused.of("it holds no list of Images with ROIs", path.name, "export the ROIs as XML or JSON")
    faults, notes = FaultList(), []
    contours: dict[str, list[Array]] = defaultdict(list)
    by_pixels: set[str] = set()
    for image in document["Images"]:
        for roi in image.get("ROIs", []):
            name = str(roi.get("Name", "")).strip() or "ROI without a name"
            title = f"{name!r} on image {image.get('ImageIndex', '?')}"
            kind = int(roi.get("Type", -1))
            if kind in NOT_AREAS:
                notes.append(f"{title}: a {NOT_AREAS[kind]} encloses no area and was left out")
                continue
            points = _points(roi.get("Point_mm"), 3)
            if points is None:
                points = _from_pixels(image, roi, grids, sidecar)
                by_pixels.add(name)
            if points is None or len(points) < 3:
                faults.add(
                    f"{title} cannot be placed",
                    path.name,
                    'export it with Point_mm, or write {"grid": "pet", "first_image": "head"} in a JSON file beside it',
                )
                continue
            contours[name].append(points)
    faults.raise_if_any()
    if not contours:
        raise InputRefused.of("it holds no ROI that encloses an area", path.name, "draw closed ROIs")
    if by_pixels:
        notes.append(
            f"placed by pixels and image number, as no position in mm is given: {', '.join(sorted(by_pixels))}"
        )
    regions = [Region((name,), None, tuple(parts)) for name, parts in contours.items()]
    reference, claims, said = draw(regions, grids, path.name, sidecar.grid, union=True)
    return Drawing("OsiriX ROI", reference, tuple(claims), (*notes, *said))


def _points(values: Any, dimensions: int) -> Array | None:
    """Points, shape (n, dimensions), of strings such as '(1.0, 2.0, 3.0)' or of lists; None where there are none."""
    if not isinstance(values, list) or not values:
        return None
    rows = []
    for value in values:
        numbers = [float(x) for x in _NUMBER.findall(value)] if isinstance(value, str) else list(value)
        if len(numbers) != dimensions:
            return None
        rows.append(numbers)
    points = np.asarray(rows, float)
    return points if np.isfinite(points).all() else None


def _from_pixels(image: dict[str, Any], roi: dict[str, Any], grids: dict[str, Grid], sidecar: Sidecar) -> Array | None:
    """Place a ROI by its pixels, its centre in mm or its image number; LPS mm, or None where that is not known."""
    points = _points(roi.get("Point_px"), 2)
    grid = _grid_of(image, grids, sidecar)
    if points is None or grid is None:
        return None
    centre = _points([roi["Center"]], 3) if roi.get("Center") else None
    if centre is not None:
        k = float(np.rint(grid.to_ijk(ras_to_lps(centre[0]))[2]))
    elif sidecar.first_image and isinstance(image.get("ImageIndex"), int):
        index, last = int(image["ImageIndex"]), grid.shape[2] - 1
        feet_first = grid.affine[2, 2] > 0
        k = float(index if feet_first == (sidecar.first_image == "feet") else last - index)
    else:
        return None
    ijk = np.column_stack([points - PIXEL_CENTRE, np.full(len(points), k)])
    return ras_to_lps(grid.to_ras(ijk))


def _grid_of(image: dict[str, Any], grids: dict[str, Grid], sidecar: Sidecar) -> Grid | None:
    """Grid that a ROI was drawn on: the one that is named, or the only one of the image's size."""
    if sidecar.grid:
        return grids.get(sidecar.grid)
    size = (image.get("ImageWidth"), image.get("ImageHeight"))
    fits = [grids[r] for r in REFERENCES if r in grids and (size == (None, None) or grids[r].shape[:2] == size)]
    return fits[0] if len(fits) == 1 else None
