"""The whole way from an unenhanced CT to labelled vessels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.anatomy import AORTA, BY_NAME
from petflame.errors import Fault
from petflame.grid import Array, Volume
from petflame.segment.geometric.airway import Airway, find_airway
from petflame.segment.geometric.blood import PLAUSIBLE_BLOOD_HU, Blood, dense_tissue_ml, measure_blood
from petflame.segment.geometric.body import Chest, find_chest
from petflame.segment.geometric.neighbours import label_neighbours
from petflame.segment.geometric.paint import paint, paint_neighbours
from petflame.segment.geometric.paths import find_paths
from petflame.segment.geometric.quality import judge
from petflame.segment.geometric.result import GeometricResult, VesselFinding
from petflame.segment.geometric.spine import find_spine
from petflame.segment.geometric.surface import Tube, fit_tube, trim
from petflame.segment.geometric.work import STEP_MM, canonical_view

VESSELS = (*AORTA, "svc")
SMOOTH_VOXELS = 0.6
UPRIGHT = 0.7
MOST_CAVA_GROWTH = 1.25
LEAST_CAVA_COVERAGE = 0.4
_ASCENDING, _ARCH, _DESCENDING = (BY_NAME[name].label for name in AORTA)
IMPORT_REMEDY = "import a label map or have a reader draw the vessels"


def find_vessels(ct: Volume) -> GeometricResult:
    """Find the thoracic aorta and the superior vena cava on an unenhanced CT.

    The lungs, trachea and vertebral column give the places; circles are found by correlation and joined by dynamic
    programming; closed contours across the centreline give the surface (the design follows Xie and Reeves 2014,
    IJCARS 9:211, and Sedghi Gamechi 2019, Eur Radiol 29:4613, without atlas or training). The arch is what lies above
    the level of its own lower margin. The ascending part starts 34 mm below the carina, above the root; the descending
    part ends where it leaves the lung.

    Parameters
    ----------
    ct : Volume
        CT in HU, any orientation and spacing.

    Returns
    -------
    GeometricResult
        Labels on the grid of `ct`, findings of every vessel, landmarks and reasons to refuse the scan.
    """
    canonical = canonical_view(ct)
    chest = find_chest(canonical)
    if chest is None:
        faults = [Fault("no lungs were found in it", "the CT", f"give a CT of the whole chest, or {IMPORT_REMEDY}")]
        if dense_tissue_ml(canonical) > 60.0:
            faults.append(_enhanced())
        return _nothing(ct, faults)
    smooth = ndimage.gaussian_filter(chest.work.hu, SMOOTH_VOXELS)
    spine = find_spine(chest)
    airway = find_airway(chest)
    blood = measure_blood(chest, smooth, spine)
    faults = _scope(airway, blood)
    if faults or airway is None or airway.carina is None:
        return _nothing(ct, faults)

    paths = find_paths(chest, smooth, spine, airway, airway.carina, blood)
    origin = chest.work.origin_lps_mm
    trachea = chest.work.to_mm(airway.centre)
    aorta = fit_tube(canonical, paths.aorta_mm + origin, paths.aorta_radius_mm, blood.hu)
    ends = np.array(paths.ends_mm) + origin[2]
    parts = split(aorta)
    # Sections beyond the ends only serve to fill the last slices.
    beyond = np.zeros(len(parts), bool)
    for label, end in zip((_ASCENDING, _DESCENDING), ends, strict=True):
        beyond |= (parts == label) & (aorta.centre_lps_mm[:, 2] < end)
    vessels = {
        name: judge(name, aorta.part((parts == BY_NAME[name].label) & ~beyond), canonical, blood, trachea, aorta)
        for name in AORTA
    }
    labels = np.zeros(ct.data.shape, np.uint8)
    view = canonical_view(Volume(labels, ct.grid))
    root = chest.work.to_index(np.array([*aorta.centre_lps_mm[0, :2], ends[0]])) * STEP_MM
    neighbours = label_neighbours(chest, smooth, spine, airway, blood, paths.descending, root)
    paint_neighbours(view, neighbours, chest.work)
    vessels["svc"] = VesselFinding.missing("no round vein was found to the right of the ascending aorta")
    if len(paths.cava_mm) >= 4:
        cava = fit_tube(canonical, paths.cava_mm + origin, paths.cava_radius_mm, blood.hu)
        cava = trim(cava, MOST_CAVA_GROWTH, LEAST_CAVA_COVERAGE)
        vessels["svc"] = judge("svc", cava, canonical, blood, trachea, aorta)
        if len(vessels["svc"].radius_mm):
            paint(view, cava, np.full(len(cava.centre_lps_mm), BY_NAME["svc"].label, np.uint8))
    known = np.array([name for name in AORTA if len(vessels[name].radius_mm)])
    shown = np.where(np.isin(parts, [BY_NAME[name].label for name in known]), parts, 0).astype(np.uint8)
    paint(view, aorta, shown, lowest_mm=dict(zip((_ASCENDING, _DESCENDING), ends, strict=True)))
    landmarks = _landmarks(chest, smooth, airway.carina, aorta, blood)
    return GeometricResult(labels, vessels, landmarks, ())


def split(aorta: Tube) -> Array:
    """Divide an aorta's sections: label numbers, shape (n,).

    The arch is what lies above the level of its own lower margin, taken under its highest section; in front of it the
    vessel is ascending, behind it descending.

    Parameters
    ----------
    aorta : Tube
        Sections from the ascending over the arch to the descending part.
    """
    z = aorta.centre_lps_mm[:, 2]
    top = int(z.argmax())
    margin = float((z - aorta.mean_radius_mm * np.hypot(aorta.frame[:, 0, 2], aorta.frame[:, 1, 2]))[top])
    # Walk from the top to both sides, so that a limb that bends lower down stays a limb.
    before, after = np.flatnonzero(z[:top] < margin), np.flatnonzero(z[top:] < margin)
    first = int(before[-1]) + 1 if len(before) else 0
    last = top + int(after[0]) if len(after) else len(z)
    parts = np.full(len(z), _ARCH, np.uint8)
    parts[:first] = _ASCENDING
    parts[last:] = _DESCENDING
    return parts


def _nothing(ct: Volume, faults: list[Fault]) -> GeometricResult:
    reason = "; ".join(fault.what for fault in faults)
    vessels = {name: VesselFinding.missing(reason) for name in VESSELS}
    return GeometricResult(np.zeros(ct.data.shape, np.uint8), vessels, {}, tuple(faults))


def _enhanced() -> Fault:
    return Fault("it was made with contrast medium", "the CT", f"give the unenhanced CT, or {IMPORT_REMEDY}")


def _scope(airway: Airway | None, blood: Blood) -> list[Fault]:
    faults = []
    if blood.enhanced:
        faults.append(_enhanced())
    elif not PLAUSIBLE_BLOOD_HU[0] <= blood.hu <= PLAUSIBLE_BLOOD_HU[1]:
        what = f"its mediastinal soft tissue measures {blood.hu:.0f} HU, which is not unenhanced blood"
        faults.append(Fault(what, "the CT", f"check the rescaling to HU, or {IMPORT_REMEDY}"))
    if airway is None or airway.carina is None:
        what = "the trachea's division was not found in it"
        faults.append(Fault(what, "the CT", f"give a CT of the whole chest, or {IMPORT_REMEDY}"))
    return faults


def _landmarks(
    chest: Chest, smooth: Array, carina: Array, aorta: Tube, blood: Blood
) -> dict[str, tuple[float, float, float]]:
    """Return the carina, and the level at which the right pulmonary artery crosses behind the ascending aorta."""
    found = {"carina": chest.work.to_mm(carina)}
    level = int(carina[2])
    rising = aorta.part(aorta.frame[:, 2, 2] > UPRIGHT)
    best, best_share = None, 0.7
    for k in range(max(level - 12, 1), level - 1):
        z = float(chest.work.to_mm(np.array([0, 0, k]))[2])
        n = int(np.abs(rising.centre_lps_mm[:, 2] - z).argmin()) if len(rising.centre_lps_mm) else 0
        if len(rising.centre_lps_mm) == 0 or abs(rising.centre_lps_mm[n, 2] - z) > 3.0:
            continue
        point = rising.centre_lps_mm[n] + np.array([0.0, rising.mean_radius_mm[n] + 9.0, 0.0])
        i, j = np.round(chest.work.to_index(point)[:2]).astype(int)
        box = smooth[max(i - 6, 0) : i + 7, max(j - 2, 0) : j + 3, k - 1 : k + 2]
        share = float((np.abs(box - blood.hu) < 20.0).mean())
        if share > best_share:
            best, best_share = point, share
    if best is not None:
        found["right_pulmonary_artery_level"] = best
    return {name: (float(p[0]), float(p[1]), float(p[2])) for name, p in found.items()}
