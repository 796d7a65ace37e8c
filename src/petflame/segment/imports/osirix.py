"""Reading the ROIs that OsiriX and Horos export as XML (property list) or JSON.

Both hold ``Images``, each with ``ImageIndex`` and ``ROIs``, each with ``Name``, ``Type``, ``Point_mm`` (x, y, z in LPS
mm, where a voxel's position is that of its centre) and ``Point_px`` (x, y in pixels counted from the corner of the
image, so that the first voxel's centre is 0.5, 0.5). Positions in mm are used where there are any; pixels need a grid
and a slice. Types are the numbers of the viewers' tools.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from petflame.errors import FaultList, InputRefused
from petflame.outside import MEBIBYTE, Bounds, calling, read_json, read_plist
from petflame.segment.imports.claims import REFERENCES, Drawing, entitled
from petflame.segment.imports.contours import Region, draw
from petflame.segment.imports.doors import FARTHEST_MM
from petflame.segment.imports.names import is_ignored, resolve
from petflame.segment.imports.polygons import Contour
from petflame.segment.imports.sidecar import Sidecar
from petflame.space.grid import Array, Grid, ras_to_lps

# ROI types that enclose no area: line, open polygon, angle, text, arrow, 3-D point, 2-D point.
NOT_AREAS = {5: "line", 10: "open polygon", 12: "angle", 13: "text", 14: "arrow", 16: "point", 19: "point"}
# A reader's outlines of every vessel on 1,000 slices, 200 points each, as text; statistics may hold NaN.
ROIS = Bounds(size_bytes=32 * MEBIBYTE, elements=2_000_000, finite=False)
PIXEL_CENTRE = 0.5
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def is_osirix(document: Any) -> bool:
    """Tell whether a JSON or property list document is an export of ROIs."""
    return isinstance(document, dict) and isinstance(document.get("Images"), list)


def load_document(path: Path, where: str = "") -> Any:
    """Read a JSON or property list document.

    Raises
    ------
    InputRefused
        When it is neither, or larger or deeper than any such export.
    """
    where = where or calling(path, "the label file")
    remedy = "export the ROIs again as XML or JSON"
    if path.suffix.lower() == ".json":
        return read_json(path, ROIS, where, remedy)
    return read_plist(path, ROIS, where, remedy)


def read_osirix(path: Path, where: str, grids: dict[str, Grid], sidecar: Sidecar) -> Drawing:
    """Fill every area that the export draws on a grid of the visit; areas of one name that overlap are joined.

    A ROI that the file beside it says to ignore is passed over before anything is asked of it.

    Parameters
    ----------
    path : Path
    where : str
        How messages call the file.
    grids : dict
    sidecar : Sidecar
        Its ``grid`` forces one of them; its ``first_image`` says at which end image 0 lies, for exports without mm.

    Raises
    ------
    InputRefused
        With every ROI that cannot be read or placed; when none encloses an area, a name is unknown, or they lie on
        neither grid.
    """
    document = load_document(path, where)
    if not is_osirix(document):
        raise InputRefused.of("it holds no list of Images with ROIs", where, "export the ROIs as XML or JSON")
    faults, notes = FaultList(), []
    contours: dict[str, list[Array]] = defaultdict(list)
    by_pixels: set[str] = set()
    titles: dict[str, str] = {}
    for image, roi in _rois(document, where):
        name = str(roi.get("Name", "")).strip() or "ROI without a name"
        if is_ignored((name,), None, sidecar.names):
            continue
        titles.setdefault(name, entitled(name, len(titles) + 1))
        title = f"{titles[name]!r} on image {_image_number(image)}"
        kind = _kind(roi)
        if kind in NOT_AREAS:
            notes.append(f"{title}: a {NOT_AREAS[kind]} encloses no area and was left out")
            continue
        points = _points(roi.get("Point_mm"), 3)
        if points is None:
            points = _from_pixels(image, roi, grids, sidecar)
            by_pixels.add(titles[name])
        if points is None or len(points) < 3:
            faults.add(
                f"{title} cannot be placed",
                where,
                'export it with Point_mm, or write {"grid": "pet", "first_image": "head"} in a JSON file beside it',
            )
            continue
        contours[name].append(points)
    faults.raise_if_any()
    if not contours:
        raise InputRefused.of("it holds no ROI that encloses an area", where, "draw closed ROIs")
    if by_pixels:
        notes.append(
            f"placed by pixels and image number, as no position in mm is given: {', '.join(sorted(by_pixels))}"
        )
    regions = [Region((n,), None, tuple(map(Contour, parts)), titles[n]) for n, parts in contours.items()]
    # Names first: where an unknown region lies says nothing about the file.
    resolve([(r.names, r.number, r.title) for r in regions], sidecar.names, where)
    reference, claims, said, doubts = draw(regions, grids, where, sidecar.grid)
    return Drawing("OsiriX ROI", reference, tuple(claims), (*notes, *said), tuple(doubts))


def _rois(document: dict[str, Any], where: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every ROI with its image; refuses what is neither."""
    for image in document["Images"]:
        rois = image.get("ROIs", []) if isinstance(image, dict) else None
        if not isinstance(rois, list) or not all(isinstance(roi, dict) for roi in rois):
            what = "an entry of its Images is no image with a list of ROIs"
            raise InputRefused.of(what, where, "export the ROIs again as XML or JSON")
        for roi in rois:
            yield image, roi


def _kind(roi: dict[str, Any]) -> int:
    """Number of the viewer's tool; -1 where it is not told."""
    value = roi.get("Type", -1)
    return int(value) if isinstance(value, (int, float)) and -1 <= value <= 1000 else -1


def _image_number(image: dict[str, Any]) -> int | str:
    index = image.get("ImageIndex")
    return index if isinstance(index, int) and 0 <= index <= 100_000 else "?"


def _points(values: Any, dimensions: int) -> Array | None:
    """Points, shape (n, dimensions), of strings such as '(1.0, 2.0, 3.0)' or of lists; None where there are none."""
    if not isinstance(values, list) or not values:
        return None
    rows = []
    for value in values:
        numbers = _NUMBER.findall(value) if isinstance(value, str) else value
        if not isinstance(numbers, list) or len(numbers) != dimensions:
            return None
        if not all(isinstance(n, (str, int, float)) for n in numbers):
            return None
        try:
            rows.append([float(n) for n in numbers])
        except (ValueError, OverflowError):
            return None
    points = np.asarray(rows, float)
    return points if (np.abs(points) <= FARTHEST_MM).all() else None


def _from_pixels(image: dict[str, Any], roi: dict[str, Any], grids: dict[str, Grid], sidecar: Sidecar) -> Array | None:
    """Place a ROI by its pixels, its centre in mm or its image number; LPS mm, or None where that is not known."""
    points = _points(roi.get("Point_px"), 2)
    grid = _grid_of(image, grids, sidecar)
    if points is None or grid is None:
        return None
    centre = _points([roi["Center"]], 3) if roi.get("Center") else None
    if centre is not None:
        k = float(np.rint(grid.to_ijk(ras_to_lps(centre[0]))[2]))
    elif sidecar.first_image and isinstance(_image_number(image), int):
        index, last = int(_image_number(image)), grid.shape[2] - 1
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
