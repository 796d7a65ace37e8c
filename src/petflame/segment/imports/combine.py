"""From the regions of a file to one label map: names, overlaps, the whole aorta, orientation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, BY_LABEL, BY_NAME, VEINS
from petflame.errors import InputRefused
from petflame.files import sha256
from petflame.labelmap import LabelMap
from petflame.segment.aorta import split_aorta
from petflame.segment.imports.claims import Drawing
from petflame.segment.imports.names import IGNORE, WHOLE_AORTA, resolve
from petflame.segment.imports.places import require_orientation
from petflame.segment.imports.sidecar import Sidecar
from petflame.segment.labelmaps import describe
from petflame.segment.product import Segmentation
from petflame.space.grid import Array, Grid, Volume


def combine(
    drawing: Drawing, grid: Grid, sidecar: Sidecar, path: Path, where: str, described: bool = True
) -> Segmentation:
    """Turn what a file draws into a segmentation.

    A voxel that several regions claim goes to the one with the smallest number in `petflame.anatomy`: an artery before
    a vein, a vessel before a neighbour. A whole aorta is divided; parts that are drawn themselves win over it. Regions
    of one name are joined. Each of these is said in the warnings.

    Raises
    ------
    InputRefused
        With every unknown name; when no vessel is drawn or none holds a voxel; when the mask lies mirrored, upside
        down or back to front.
    """
    regions = resolve([(c.names, c.number, c.title) for c in drawing.claims], sidecar.names, where)
    notes, doubts = list(drawing.notes), [*sidecar.doubts, *drawing.doubts]
    masks: dict[str, Array] = {}
    for claim, region in zip(drawing.claims, regions, strict=True):
        if region == IGNORE:
            continue
        mask = masks.setdefault(region, np.zeros(grid.shape, bool))
        place = tuple(claim.voxels.T)
        if mask[place].any():
            doubts.append(f"{region}: regions of this name overlap and were joined: look at them")
        mask[place] = True
    vessels = set(masks) & {*ARTERIES, *VEINS, WHOLE_AORTA}
    if not vessels:
        raise InputRefused.of("it holds no artery and no vein", where, "draw at least one vessel")
    empty = sorted(name for name in vessels if not masks[name].any())
    if len(empty) == len(vessels):
        what = f"its outlines of {', '.join(empty)} enclose no voxel of the image"
        raise InputRefused.of(what, where, "look at them in the tool that drew them, and export them again")
    notes += [f"{name}: its outlines enclose no voxel" for name in empty]
    labels = np.zeros(grid.shape, np.uint8)
    if WHOLE_AORTA in masks:
        whole = masks.pop(WHOLE_AORTA)
        if set(AORTA) <= set(masks):
            notes.append("the whole aorta was left out, as its three parts are drawn")
        else:
            labels = split_aorta(Volume(whole, grid), where)
            own = [p for p in AORTA if p in masks]
            notes += [f"{', '.join(own)} as drawn, the rest of the whole aorta divided by rule"] if own else []
    overlaps: Counter[tuple[str, str]] = Counter()
    painted = np.zeros(grid.shape, np.uint8)
    for name in sorted(masks, key=lambda n: BY_NAME[n].label, reverse=True):
        mask = masks[name]
        for number, count in zip(*np.unique(painted[mask], return_counts=True), strict=True):
            if number:
                overlaps[name, BY_LABEL[int(number)].name] += int(count)
        painted[mask] = BY_NAME[name].label
    # What is drawn under its own name wins over the divided aorta, except neighbours, which never win over a vessel.
    stays = (labels > 0) & ((painted == 0) | (painted > BY_NAME[VEINS[-1]].label))
    labels = np.where(stays, labels, painted)
    notes += [f"{n} voxels drawn as {a} and as {b} were given to {a}" for (a, b), n in sorted(overlaps.items())]
    volume = LabelMap(labels, grid)
    doubts += require_orientation(volume, where)
    provenance = {"method": "labels", "format": drawing.kind, "source_sha256": sha256(path)}
    told = tuple(f"{where}: {doubt}" for doubt in dict.fromkeys(doubts))
    landmarks = dict(sidecar.landmarks_lps_mm)
    if not described:
        return Segmentation(volume, drawing.reference, {}, landmarks, provenance, told, told)
    segmentation = describe(volume, drawing.reference, "labels", landmarks, provenance)
    warnings = (*told, *(f"{where}: {note}" for note in notes), *segmentation.warnings)
    return replace(segmentation, warnings=warnings, doubts=told)
