"""The whole way from an unenhanced CT to labelled vessels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from petflame.anatomy import AORTA, BY_NAME, AutomaticRegions
from petflame.errors import Fault
from petflame.segment.geometric import former
from petflame.segment.geometric.airway import Airway, find_airway
from petflame.segment.geometric.blood import PLAUSIBLE_BLOOD_HU, Blood, dense_tissue_ml, measure_blood
from petflame.segment.geometric.body import Chest, find_chest
from petflame.segment.geometric.cava import find_cava
from petflame.segment.geometric.cava_checks import cava_checks
from petflame.segment.geometric.ends import FIELD_MARGIN_MM, field_floor_mm
from petflame.segment.geometric.neck import find_neck, thyroid_region
from petflame.segment.geometric.neighbours import label_neighbours
from petflame.segment.geometric.paint import paint, paint_aorta, paint_neighbours
from petflame.segment.geometric.parts import divide
from petflame.segment.geometric.paths import find_paths
from petflame.segment.geometric.proposing import propose_vessels
from petflame.segment.geometric.quality import judge
from petflame.segment.geometric.result import GeometricResult, LimitCheck, TubeFinding
from petflame.segment.geometric.spine import find_spine
from petflame.segment.geometric.surface import Tube, fit_tube
from petflame.segment.geometric.work import STEP_MM, canonical_view
from petflame.space.grid import Array, Volume

VESSELS = (*AORTA, "svc")
SMOOTH_VOXELS = 0.6
UPRIGHT = 0.7
MIRRORED = "the aorta lies on the right: a right-sided arch, or left and right are exchanged"
CUT = "lower end"
IMPORT_REMEDY = "import a label map or have a reader draw the vessels"


def find_vessels(ct: Volume, regions: AutomaticRegions = "landmarks") -> GeometricResult:
    """Find the thoracic aorta and the superior vena cava on an unenhanced CT, and propose the vessels of the neck.

    The lungs, trachea and vertebral column give the places; circles are found by correlation and joined by dynamic
    programming; closed contours across the centreline give the surface (the design follows Xie and Reeves 2014,
    IJCARS 9:211, and Sedghi Gamechi 2019, Eur Radiol 29:4613, without atlas or training). The arch is what lies above
    the highest axial level on which the limbs are two sections. The ascending part begins 38 mm below the carina, above
    the root; the descending part ends at the diaphragm (`petflame.segment.geometric.ends`). Neither comes nearer than
    6 mm to the end of the scan.

    Parameters
    ----------
    ct : Volume
        CT in HU, any orientation and spacing.
    regions : {'landmarks', 'former'}
        By which rules vessels begin and end: those above, or `petflame.segment.geometric.former`.

    Returns
    -------
    GeometricResult
        Labels on the grid of `ct` (with a liver reference and the neighbours that an unenhanced CT shows), findings of
        every vessel, landmarks, proposals for carotids and jugular veins, and reasons to refuse the scan.
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

    by_former = regions == "former"
    paths = find_paths(chest, smooth, spine, airway, airway.carina, blood, regions)
    origin = chest.work.origin_lps_mm
    carina = chest.work.to_mm(airway.carina)
    aorta = fit_tube(canonical, paths.aorta_mm + origin, paths.aorta_radius_mm, blood.hu)
    wanted = (paths.ends_mm[0] + float(origin[2]), paths.ends_mm[1] + float(origin[2]))
    parts = former.divide(aorta, wanted) if by_former else divide(aorta, _ends_in_view(canonical, aorta, wanted))
    lost = [max(end - mark, 0.0) for end, mark in zip(parts.ends_mm, wanted, strict=True)]
    unread = {name: min(mm, FIELD_MARGIN_MM) for name, mm in zip((AORTA[0], AORTA[2]), lost, strict=True)}
    near = cKDTree(paths.aorta_mm + origin).query(aorta.centre_lps_mm)[1]
    evidence = np.asarray(paths.aorta_score[near])
    vessels = {
        name: judge(
            name,
            aorta.part(mask),
            float(np.median(evidence[mask])) if mask.any() else 0.0,
            canonical,
            blood,
            carina,
            aorta,
            unread_mm=unread.get(name, 0.0),
        )
        for name, mask in parts.sections(aorta).items()
    }
    vessels |= _cut_by_the_scan(vessels, parts.ends_mm, wanted)
    labels = np.zeros(ct.data.shape, np.uint8, order="F")
    view = canonical_view(Volume(labels, ct.grid))
    root = chest.work.to_index(np.array([*aorta.centre_lps_mm[0, :2], parts.ends_mm[0]])) * STEP_MM
    neighbours = label_neighbours(chest, smooth, spine, airway, blood, paths.descending, root)
    paint_neighbours(view, neighbours, chest.work)
    neck = find_neck(canonical, chest, airway)
    if neck is not None:
        thyroid = np.where(thyroid_region(neck, blood), np.uint8(BY_NAME["thyroid"].label), np.uint8(0))
        paint_neighbours(view, thyroid, neck.work)
    vessels["svc"] = TubeFinding.missing("no round vein was found to the right of the ascending aorta")
    if by_former:
        seen = former.find_cava(canonical, chest, smooth, airway.carina, paths.ascending, paths.join, blood)
        if seen is not None:
            vessels["svc"] = judge("svc", *seen, canonical, blood, carina, aorta)
            if len(vessels["svc"].radius_mm):
                paint(view, seen[0], BY_NAME["svc"].label, (-np.inf, np.inf))
    else:
        cava = find_cava(canonical, chest.work, smooth, airway.carina, paths.ascending, blood, aorta)
        if len(cava.score):
            score, more = float(np.median(cava.score)), cava_checks(cava, aorta, canonical)
            vessels["svc"] = judge("svc", cava.tube, score, canonical, blood, carina, aorta, more)
            if len(vessels["svc"].radius_mm):
                paint(view, cava.whole, BY_NAME["svc"].label, cava.levels_mm)
    paint_aorta(view, aorta, parts, [name for name in AORTA if len(vessels[name].radius_mm)])
    landmarks = _landmarks(chest, smooth, airway.carina, aorta, blood)
    proposals = {} if neck is None else propose_vessels(neck, blood)
    found = withhold_mirrored(vessels, paths.on_the_right)
    if found is not vessels:
        # Nobody knows which side is which.
        proposals = {name: replace(p, refused=MIRRORED) for name, p in proposals.items()}
    return GeometricResult(labels, found, landmarks, (), proposals)


def _ends_in_view(ct: Volume, aorta: Tube, wanted_mm: tuple[float, float]) -> tuple[float, float]:
    """Return the height of both lower ends, LPS z, no nearer to the scan's lowest slice than sections can be read."""
    floors = [field_floor_mm(ct, aorta.centre_lps_mm[n]) for n in (0, -1)]
    return max(wanted_mm[0], floors[0]), max(wanted_mm[1], floors[1])


def _cut_by_the_scan(
    vessels: dict[str, TubeFinding], ends_mm: tuple[float, float], wanted_mm: tuple[float, float]
) -> dict[str, TubeFinding]:
    """Say of limbs that end where the scan does, and not at their own mark, that they do."""
    said = {}
    for name, end, wanted in zip(("aorta_ascending", "aorta_descending"), ends_mm, wanted_mm, strict=True):
        if end > wanted and len(vessels[name].radius_mm):
            words = f"{end - wanted:.1f} mm of it lie too near the scan's lowest slice: it is cut by the field of view"
            check = LimitCheck(CUT, end - wanted, FIELD_MARGIN_MM, True, words)
            said[name] = replace(vessels[name], checks=(*vessels[name].checks, check))
    return said


def withhold_mirrored(vessels: dict[str, TubeFinding], on_the_right: bool = False) -> dict[str, TubeFinding]:
    """Withhold every vessel where the arch or the descending aorta lies on the right: sides may be exchanged."""
    wrong = [c for c in vessels["aorta_arch"].checks if c.name == "side of the trachea" and c.value < -c.limit]
    if not wrong and not on_the_right:
        return vessels
    return {
        name: replace(finding, withheld=True, reason="; ".join(filter(None, [MIRRORED, finding.reason])))
        for name, finding in vessels.items()
    }


def _nothing(ct: Volume, faults: list[Fault]) -> GeometricResult:
    reason = "; ".join(fault.what for fault in faults)
    vessels = {name: TubeFinding.missing(reason) for name in VESSELS}
    return GeometricResult(np.zeros(ct.data.shape, np.uint8, order="F"), vessels, {}, tuple(faults))


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
