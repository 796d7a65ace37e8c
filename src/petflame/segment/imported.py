"""Checks of a whole label map that somebody else has made, whether it belongs to this scan.

Its grid is that of the visit already, but a map of another visit or patient, or one that was flipped or moved as an
array, can have that too. The CT tells: the vessels must hold blood, lie beside airway and fellows as they do in a
person, and no other place nearby may suit all of them together clearly better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from petflame.anatomy import ARTERIES, VEINS
from petflame.labelmap import LabelMap
from petflame.segment.anatomy_checks import anatomy_checks, shape_of_mask, with_checks
from petflame.segment.product import Check, Segmentation
from petflame.space.boxes import lattice
from petflame.space.grid import Array, Volume

# Checks of where a vessel lies and what fills it. Calibre, length and course are the reader's to say: an aneurysm, a
# short piece, or the core of a vein on the PET grid is no map of another scan.
OF_PLACE = (
    "contents",
    "belongs to the scan",
    "beside the airway",
    "depth",
    "between the sides",
    "near its fellow",
    "order of carotid and jugular",
    "carotid or jugular",
)
# An arch lies along the axial planes, so that its calibre and core are not those of its axial sections.
LENGTHWISE = "aorta_arch"
FIT = "place in the CT"
# Upper and lower of two structures in every person: half of the one lies above half of the other.
HEAD_TO_FOOT = (
    ("jugular_right", "svc"),
    ("jugular_left", "svc"),
    ("carotid_right", "aorta_ascending"),
    ("carotid_left", "aorta_ascending"),
    ("svc", "liver"),
)
ORDER = "order from head to foot"
# The cava is about 19 mm wide (median 297 mm2 in CT of 1336 adults, Chooprasert), the ascending aorta 25 mm and more.
# A cava on the left, one wider than the aorta, or one that touches the arch occurs; two of these mean exchanged names.
EXCHANGED, FEWEST_SIGNS = "vena cava and ascending aorta", 2
# Breathing and turning between two scans move vessels by up to some centimetres; the search is coarse and wide enough
# to see that a better place exists, not to find it.
SEARCH_MM, STEP_MM = 16.0, 4.0
# Unenhanced blood has about 40 HU; what is further from the vessels' own level than 200 HU is air, bone or metal alike.
BLOOD_HU, FARTHEST_HU = 40.0, 200.0
# Within a wall's thickness and a voxel the place is the reader's.
LEAST_MOVE_MM = 5.0
# Noise and calcium stay wherever the map is put; a fifth less of the departure from blood is more than they give.
LEAST_GAIN = 0.2
MOST_POINTS = 20_000
FEWEST_VESSELS = 3


def check_imported(segmentation: Segmentation, ct: Volume | None) -> Segmentation:
    """Add to every vessel of an imported label map the checks against the CT; one that fails is withheld.

    Parameters
    ----------
    segmentation : Segmentation
        On the CT or the PET grid.
    ct : Volume or None
        HU, any axis order and direction; without it the order of the labels alone can be checked.
    """
    labels = segmentation.labels
    order = {name: own for name, own in order_checks(labels).items() if name in segmentation.vessels}
    if ct is None and not order:
        return segmentation
    if ct is None:
        said = [f"{name}: {check.name}: {check.message}" for name, own in order.items() for check in own]
        warnings = (*segmentation.warnings, *dict.fromkeys(said))
        return replace(segmentation, vessels=with_checks(segmentation.vessels, order), warnings=warnings)
    lines = {n: f.centreline_lps_mm for n, f in segmentation.vessels.items() if len(f.centreline_lps_mm) > 1}
    shapes = {name: shape_of_mask(labels.mask(name), line) for name, line in lines.items() if name != LENGTHWISE}
    made = anatomy_checks(ct, shapes, landmarks_lps_mm=segmentation.landmarks_lps_mm) if shapes else {}
    checks = {name: tuple(check for check in made[name] if check.name in OF_PLACE) for name in shapes}
    foreign = next((c for own in checks.values() for c in own if c.name == "belongs to the scan"), None)
    if foreign is not None and LENGTHWISE in lines:
        checks[LENGTHWISE] = (foreign,)
    for name, own in order.items():
        checks[name] = (*checks.get(name, ()), *own)
    fit = fit_check(labels, ct)
    if fit is not None:
        checks = {name: (*checks.get(name, ()), fit) for name in lines}
    vessels = with_checks(segmentation.vessels, checks)
    failed = [
        f"{name}: {check.name}: {check.message}"
        for name, own in checks.items()
        for check in own
        if not check.passed and check is not fit
    ]
    if fit is not None and not fit.passed:
        failed.insert(0, f"the label map: {fit.message}")
    return replace(segmentation, vessels=vessels, warnings=(*segmentation.warnings, *failed))


def order_checks(labels: LabelMap) -> dict[str, tuple[Check, ...]]:
    """Return a failed check for both of every two labels that lie as when their names were exchanged.

    Parameters
    ----------
    labels : Volume
        Numbers of `petflame.anatomy`, on any grid.
    """
    heights: dict[str, float] = {}
    for name in {name for pair in HEAD_TO_FOOT for name in pair}:
        if labels.has(name):
            heights[name] = float(np.median(labels.places_mm(name)[:, 2]))
    found: dict[str, tuple[Check, ...]] = {}
    for upper, lower in HEAD_TO_FOOT:
        if upper in heights and lower in heights and heights[upper] <= heights[lower]:
            below = heights[lower] - heights[upper]
            check = Check(ORDER, False, f"{upper} lies {below:.0f} mm below {lower}: were their names exchanged?")
            for name in (upper, lower):
                found[name] = (*found.get(name, ()), check)
    signs = exchange_signs(labels)
    if len(signs) >= FEWEST_SIGNS:
        check = Check(EXCHANGED, False, f"{', and '.join(signs)}: were the names of svc and aorta_ascending exchanged?")
        for name in ("svc", "aorta_ascending"):
            found[name] = (*found.get(name, ()), check)
    return found


def exchange_signs(labels: LabelMap) -> list[str]:
    """Return in words what speaks for exchanged names of superior vena cava and ascending aorta.

    Parameters
    ----------
    labels : Volume
        Numbers of `petflame.anatomy`, on any grid.
    """
    at = {n: labels.places_mm(n) for n in ("svc", "aorta_ascending", "aorta_arch") if labels.has(n)}
    if not {"svc", "aorta_ascending"} <= set(at):
        return []
    signs = []
    left_mm = float(at["aorta_ascending"][:, 0].mean() - at["svc"][:, 0].mean())
    if left_mm > 0:
        signs.append(f"svc lies {left_mm:.0f} mm to the patient's left of aorta_ascending")
    none = np.zeros((0, 3))
    cava, aorta = (shape_of_mask(labels.mask(n), none).radius_mm for n in ("svc", "aorta_ascending"))
    if cava is not None and aorta is not None and cava > aorta:
        signs.append(f"svc is wider than aorta_ascending ({2 * cava:.0f} and {2 * aorta:.0f} mm)")
    if "aorta_arch" in at:
        tree = cKDTree(at["aorta_arch"])
        to_cava, to_aorta = (float(tree.query(at[n])[0].min()) for n in ("svc", "aorta_ascending"))
        # Neighbouring voxels are at most their diagonal apart.
        if to_cava <= float(np.linalg.norm(labels.grid.spacing_mm)) < to_aorta:
            signs.append(f"aorta_arch joins svc and lies {to_aorta:.0f} mm from aorta_ascending")
    return signs


def fit_check(labels: LabelMap, ct: Volume) -> Check | None:
    """Check that no other place within 16 mm suits all vessels together clearly better; None for one or two of them.

    What is compared is the mean departure of the CT under the vessels from the level of blood, each limited to 200 HU.

    Parameters
    ----------
    labels : Volume
        Numbers of `petflame.anatomy`, on any grid.
    ct : Volume
        HU.
    """
    vessels = labels.any_of((*ARTERIES, *VEINS))
    voxels = np.argwhere(vessels)
    # A vessel or two alone may suit a muscle nearby as well.
    if len(np.unique(labels.data[vessels])) < FEWEST_VESSELS:
        return None
    voxels = voxels[:: -(-len(voxels) // MOST_POINTS)]
    points = ct.grid.to_ijk(labels.grid.to_ras(voxels))
    here = _hu(points, ct)
    # With contrast medium blood has the level that most of the map shows.
    level = max(BLOOD_HU, float(np.median(here)))
    own = _departure(here, level)
    steps = np.arange(-SEARCH_MM, SEARCH_MM + 1e-6, STEP_MM)
    moves = lattice(steps, steps, steps).reshape(-1, 3)
    moves = moves[np.argsort(np.linalg.norm(moves, axis=1), kind="stable")]
    origin = ct.grid.to_ijk(np.zeros(3))
    costs = np.array([_departure(_hu(points + ct.grid.to_ijk(move) - origin, ct), level) for move in moves])
    best = int(costs.argmin())
    far, gain = float(np.linalg.norm(moves[best])), 1.0 - costs[best] / own if own > 0 else 0.0
    passed = far <= LEAST_MOVE_MM or gain < LEAST_GAIN
    x, y, z = moves[best]
    said = f"no place within {SEARCH_MM:g} mm holds blood better"
    if not passed:
        said = (
            f"its vessels would hold blood better ({costs[best]:.0f} for {own:.0f} HU from blood's level) if it lay "
            f"{_way(x, 'right', 'left')}, {_way(y, 'forwards', 'back')} and {_way(z, 'up', 'down')}: "
            "was it moved, or does it belong to another scan?"
        )
    return Check(FIT, passed, said)


def _way(length_mm: float, positive: str, negative: str) -> str:
    return f"{abs(length_mm):g} mm {positive if length_mm >= 0 else negative}"


def _hu(points_ijk: Array, ct: Volume) -> Array:
    """CT at the nearest voxels; what lies outside counts as air."""
    nearest = np.rint(points_ijk).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(ct.grid.shape))).all(axis=1)
    hu = np.full(len(nearest), -1024.0)
    hu[inside] = ct.data[tuple(nearest[inside].T)]
    return hu


def _departure(hu: Array, level: float) -> float:
    return float(np.minimum(np.abs(hu - level), FARTHEST_HU).mean())
