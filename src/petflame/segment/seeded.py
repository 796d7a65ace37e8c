"""Vessels from a reader's seeds, held against the CT, each other, and what was found beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from petflame.anatomy import AORTA
from petflame.labelmap import LabelMap
from petflame.segment.anatomy_checks import VesselShape, anatomy_checks, shape_of_mask, with_checks
from petflame.segment.checks import SIGN_OR_NAMES, require_laterality, vessel_centres
from petflame.segment.product import Check, VesselFinding
from petflame.segment.seedfile import Seeds
from petflame.segment.seeds import Memory, vessels_from_seeds
from petflame.space.grid import Array, Volume

# Levels of a found vessel at which a seeded one of the same name can be compared with it.
REACH_MM = 10.0
FEWEST_POINTS = 3


def checked_vessels_from_seeds(
    seeds: Seeds,
    ct: Volume,
    labels: LabelMap,
    vessels: Mapping[str, VesselFinding],
    landmarks_lps_mm: Mapping[str, tuple[float, float, float]],
    pet: Volume | None = None,
    memory: Memory | None = None,
) -> tuple[Array, dict[str, VesselFinding]]:
    """Draw every seeded vessel and check it; one that fails is withheld until a reader accepts it.

    Parameters
    ----------
    seeds : Seeds
    ct : Volume
        HU, any axis order and direction.
    labels : LabelMap
        What is labelled already, on the grid of `ct`.
    vessels : mapping
        Findings of the labelled vessels; those that need a reader are no measure for a reader's seeds.
    landmarks_lps_mm : mapping
        Landmarks beside those of the seeds.
    pet : Volume or None
        Uptake in any unit, which helps to tell blood from its surroundings.
    memory : dict, optional
        As of `petflame.segment.seeds.draw_vessel`.

    Returns
    -------
    labels : uint8 array
        Of the seeded vessels alone, on the grid of `ct`.
    findings : dict
        One for each seeded vessel.

    Raises
    ------
    InputRefused
        When right and left are exchanged.
    """
    sure = {
        name: shape_of_found(name, labels, finding)
        for name, finding in vessels.items()
        if not finding.withheld and len(finding.centreline_lps_mm) > 1
    }
    beside = [(s.line_lps_mm, s.radius_mm) for n, s in sure.items() if n not in seeds.points_lps_mm and s.radius_mm]
    drawn, findings, shapes = vessels_from_seeds(seeds, ct, pet, beside, memory)
    require_laterality(vessel_centres(findings), "the seeds", SIGN_OR_NAMES)
    checks = anatomy_checks(ct, shapes, sure, {**landmarks_lps_mm, **seeds.landmarks_lps_mm}, memory)
    more = {name: (*_sides(name, vessels), *_like_found(shapes[name], sure.get(name))) for name in shapes}
    return drawn, with_checks(findings, {name: (*checks[name], *more[name]) for name in shapes})


def shape_of_found(name: str, labels: LabelMap, finding: VesselFinding) -> VesselShape:
    """Describe a labelled vessel; that of an arch, which axial planes cut lengthwise, has no radius."""
    if name == AORTA[1]:
        return VesselShape(finding.centreline_lps_mm, None)
    return shape_of_mask(labels.cut(name), finding.centreline_lps_mm)


def _sides(name: str, vessels: Mapping[str, VesselFinding]) -> list[Check]:
    """A vessel that has a side is in doubt where the arch says that the image may be mirrored."""
    from petflame.segment.geometric.finder import MIRRORED

    arch = vessels.get("aorta_arch")
    if arch is None or MIRRORED not in arch.reason or not name.endswith(("_right", "_left")):
        return []
    return [Check("sides", False, MIRRORED)]


def _like_found(seeded: VesselShape, found: VesselShape | None) -> list[Check]:
    """Where software found the same vessel and its checks passed, the seeded one runs inside it."""
    if found is None:
        return []
    low, high = found.line_lps_mm[:, 2].min() - REACH_MM, found.line_lps_mm[:, 2].max() + REACH_MM
    line = seeded.line_lps_mm
    line = line[(line[:, 2] >= low) & (line[:, 2] <= high)]
    if len(line) < FEWEST_POINTS:
        return [Check("like the found one", False, "at no level where the automatic method found it")]
    apart = float(np.median(cKDTree(found.line_lps_mm).query(line)[0]))
    limit = max(seeded.radius_mm or 0.0, found.radius_mm or 0.0, REACH_MM)
    said = f"{apart:.1f} mm from the one found automatically (limit {limit:.1f})"
    return [Check("like the found one", apart <= limit, said)]
